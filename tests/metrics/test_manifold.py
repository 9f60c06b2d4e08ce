"""The same figures as the authors' own program."""

import numpy as np
import pytest
from prdc import compute_prdc

from gifcli.metrics import manifold
from gifcli.metrics.manifold import prdc, reach, shares

RNG = np.random.default_rng(3)
REAL = RNG.normal(size=(70, 6)).astype(np.float32)
MADE = np.concatenate([REAL[:40] + RNG.normal(0, 0.3, (40, 6)), RNG.normal(3, 1, (50, 6))]).astype(np.float32)


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("rows", [16, 1024])
def test_it_equals_prdc(monkeypatch: pytest.MonkeyPatch, k: int, rows: int) -> None:
    monkeypatch.setattr(manifold, "ROWS", rows)
    found, expected = prdc(REAL, MADE, k), compute_prdc(REAL, MADE, k)
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-12), name
    assert 0.1 < found["precision"] < 0.9


def test_two_copies_of_one_set_cover_each_other() -> None:
    found = prdc(REAL, REAL.copy(), 3)
    assert (found["precision"], found["recall"], found["coverage"]) == (1, 1, 1)


def test_each_point_says_what_it_adds() -> None:
    found = shares(REAL, MADE, 3)
    assert found.precision[:40].mean() > 0.7
    assert found.precision[40:].mean() < 0.3
    assert np.array_equal(found.density > 0, found.precision.astype(bool))


def test_reach_is_the_distance_to_the_kth_other_point() -> None:
    line = np.array([[0.0], [1.0], [3.0], [7.0]])
    assert reach(line, 2).tolist() == [3, 2, 3, 6]


def test_a_set_without_neighbours_is_refused() -> None:
    with pytest.raises(ValueError, match=r"more than 5 .* found 5 and 90"):
        prdc(REAL[:5], MADE)
