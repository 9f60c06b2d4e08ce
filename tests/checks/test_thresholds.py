"""A setting wins over the seeds; the seeds' quantile is read off their percentiles."""

from dataclasses import replace

import numpy as np
import pytest

from gifcli.checks.thresholds import threshold


def test_setting_then_quantile_then_nothing(rules):
    rules = replace(rules, quantiles={"drift": np.linspace(0, 2, 101)})
    assert threshold(0.3, rules, "drift", 0.5) == 0.3
    assert threshold(0.0, rules, "drift", 0.5) == 0.0
    assert threshold(None, rules, "drift", 0.995) == pytest.approx(1.99)
    assert threshold(None, rules, "sharpness", 0.5) is None
