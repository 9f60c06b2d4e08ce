import numpy as np
import pytest

from gifcli.evaluate.intervals import balanced_weights, correct, estimate, verdict


def test_intervals_hold_the_truth_about_nine_times_of_ten():
    """Values with chance in both directions: 0.3 between random numbers, 2 between images."""
    random = np.random.default_rng(0)
    inside = 0
    for _ in range(400):
        values = 1.0 + 0.3 * random.standard_normal((4, 1)) + 2 * random.standard_normal((1, 150))
        found = estimate(values + 0.2 * random.standard_normal((4, 150)))
        inside += found.low < 1.0 < found.high
    assert 0.87 <= inside / 400 <= 0.97


def test_one_random_number_leaves_the_images():
    found = estimate(np.array([[0.0, 100.0] * 50]))
    assert found.mean == 50
    assert found.high - found.mean == pytest.approx(1.660 * 100 * (0.25 / 99) ** 0.5, rel=1e-3)


def test_certain_is_certain():
    found = estimate(np.full((3, 5), 100.0))
    assert (found.low, found.high) == (100, 100)


def test_verdicts():
    assert verdict(estimate(np.array([[1.0, 1.1, 0.9, 1.0]]))) == "helps"
    assert verdict(estimate(np.array([[-1.0, -1.1, -0.9]]))) == "hurts"
    assert verdict(estimate(np.array([[-1.0, 1.1]]))) == "no clear difference"


def test_balanced_accuracy_counts_classes_not_images():
    labels = np.array([0] * 9 + [1])
    right = correct([np.tile([0.9, 0.1], (10, 1))], labels)
    assert right.mean() == 90
    assert (right * balanced_weights(labels)).mean() == pytest.approx(50)
