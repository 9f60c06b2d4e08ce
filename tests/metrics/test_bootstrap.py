"""Intervals hold the truth as often as they say, siblings included."""

import numpy as np

from gifcli.metrics.bootstrap import draws, interval, means


def test_groups_are_drawn_whole_and_as_many_as_there_are() -> None:
    groups = ["a", "a", "b", "c", "c", "c"]
    weights = draws(groups, times=50)
    assert weights.shape == (50, 6)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, [0, 2, 3]].sum(1) == 3).all()
    assert np.array_equal(weights, draws(groups, times=50))


def test_a_95_percent_interval_holds_the_mean_95_times_in_100() -> None:
    rng = np.random.default_rng(1)
    held = wide = narrow = 0
    for trial in range(300):
        offsets = rng.normal(size=40)  # what siblings share
        values = np.repeat(offsets, 5) + 0.3 * rng.normal(size=200)
        low, high = interval(values.mean(), means(values, draws(np.repeat(np.arange(40), 5), 200, trial)))
        held += low < 0 < high
        wide += high - low
        naive = interval(values.mean(), means(values, draws(np.arange(200), 200, trial)))
        narrow += naive[1] - naive[0]
    assert 0.9 < held / 300 < 0.98
    assert narrow < 0.6 * wide  # as if siblings were independent: too sure of itself


def test_bias_of_the_replicates_does_not_move_the_interval() -> None:
    low, high = interval(5.0, np.array([7.0, 8.0, 9.0]))
    assert low < 5.0 < high
    assert high - 5.0 == 5.0 - low
