"""The same figures as torch-fidelity, and an estimate without bias."""

import numpy as np
import pytest
import torch
from torch_fidelity.metric_kid import kid_features_to_metric

from gifcli.metrics.bootstrap import draws
from gifcli.metrics.kid import kernel, kid, kid_of_subsets, mmd2, rescaled

RNG = np.random.default_rng(5)
X = RNG.normal(size=(90, 24))
Y = RNG.normal(0.4, 1.3, size=(140, 24))


def fidelity(x: np.ndarray, y: np.ndarray, subsets: int, size: int) -> tuple[float, float]:
    found = kid_features_to_metric(
        torch.from_numpy(x), torch.from_numpy(y), kid_subsets=subsets, kid_subset_size=size, verbose=False, rng_seed=7
    )
    return found["kernel_inception_distance_mean"], found["kernel_inception_distance_std"]


def test_it_equals_torch_fidelity_on_everything() -> None:
    assert kid(X, Y[:90]) == pytest.approx(fidelity(X, Y[:90], 1, 90)[0], rel=1e-10)


def test_it_equals_torch_fidelity_on_random_subsets() -> None:
    assert kid_of_subsets(X, Y, 10, 40, rng=7) == pytest.approx(fidelity(X, Y, 10, 40), rel=1e-10)


def test_too_few_for_a_subset_is_said() -> None:
    with pytest.raises(ValueError, match=r"at least 1000 .* found 90 and 140"):
        kid_of_subsets(X, Y)


def test_equal_distributions_lie_around_zero_and_others_do_not() -> None:
    same = [kid(RNG.normal(size=(60, 8)), RNG.normal(size=(50, 8))) for _ in range(40)]
    assert abs(np.mean(same)) < 3 * np.std(same) / 40**0.5
    assert kid(X, Y) > 0.1


def test_a_weight_of_two_is_a_row_that_stands_there_twice_but_not_its_own_partner() -> None:
    weights = draws([str(i) for i in range(90)], times=3)
    found = mmd2(kernel(X, X), kernel(Y, Y), kernel(X, Y), weights, np.ones((3, 140)))
    rows = np.repeat(np.arange(90), weights[1].astype(int))
    k = kernel(X[rows], X[rows])
    other = rows[:, None] != rows[None]
    y = kernel(Y, Y)
    expected = k[other].mean() + (y.sum() - np.trace(y)) / (140 * 139) - 2 * kernel(X[rows], Y).mean()
    assert found[1] == pytest.approx(expected, rel=1e-10)


def test_unit_features_are_compared_by_their_cosine() -> None:
    unit = (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32)
    assert np.allclose(kernel(rescaled(unit), rescaled(unit)), (1 + unit @ unit.T) ** 3, rtol=1e-5)
