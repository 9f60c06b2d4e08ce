"""The same figure as torch-fidelity, and none at all for small sets."""

import numpy as np
import pytest
import torch
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

from gifcli.errors import InputError
from gifcli.metrics.frechet import FEWEST, frechet

RNG = np.random.default_rng(2)
MIX = RNG.normal(size=(32, 32))
X = RNG.normal(size=(FEWEST, 32)) @ MIX
Y = RNG.normal(0.2, 1.1, size=(FEWEST + 50, 32)) @ MIX


def test_it_equals_torch_fidelity() -> None:
    statistics = [fid_features_to_statistics(torch.from_numpy(values)) for values in (X, Y)]
    expected = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert frechet(X, Y) == pytest.approx(expected, rel=1e-8)


def test_a_set_and_itself_are_no_distance_apart() -> None:
    assert frechet(X, X) == pytest.approx(0, abs=1e-8)


def test_fewer_than_2000_are_refused() -> None:
    with pytest.raises(InputError, match=r"at least 2000 .* found 1999 and 2050; use kid"):
        frechet(X[:1999], Y)
