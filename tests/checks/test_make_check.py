"""Checks are made by name."""

import pytest

from gifcli.checks import make_check
from gifcli.checks.drift import DriftCheck
from gifcli.errors import UsageError


def test_known_and_unknown_names(rules):
    check = make_check("drift", {"max_distance": 0.4}, rules)
    assert isinstance(check, DriftCheck)
    assert check.limits.tolist() == [0.4] * 5
    with pytest.raises(UsageError, match="outlier; found 'smell'"):
        make_check("smell", {}, rules)
