"""Scores off the mean of the window by more than two sigma are rejected; what comes later changes nothing."""

import numpy as np

from gifcli.checks import Table
from gifcli.checks.outlier import LEAST, OutlierCheck


def judged(scores, check=None, labels=None, rejected=None):
    columns = {"drift": np.asarray(scores, float), "label": np.zeros(len(scores), int) if labels is None else labels}
    if rejected is not None:
        columns["rejected"] = rejected
    return (check or OutlierCheck(None)).judge(Table(columns, {}))


def test_equals_the_formula_written_out():
    scores = np.random.default_rng(0).normal(0.3, 0.05, 200)
    window = 32
    reasons = judged(scores, OutlierCheck(None, window=window))
    for i, reason in enumerate(reasons):
        seen = scores[max(0, i - window) : i]
        expected = len(seen) >= LEAST and abs(scores[i] - seen.mean()) > 2 * seen.std()
        assert (reason is not None) == expected
    assert 4 <= sum(reason is not None for reason in reasons) <= 24


def test_the_reason_has_the_numbers():
    scores = [0.1, 0.2] * LEAST + [0.9]
    assert judged(scores)[-1] == "outlier: drift 0.900 is 15.0 sigma off 0.150"
    assert judged(scores, OutlierCheck(None, sigmas=20.0))[-1] is None


def test_later_samples_change_no_verdict():
    scores = np.random.default_rng(1).normal(size=100)
    assert judged(scores)[:60] == judged(scores[:60])


def test_classes_have_windows_of_their_own():
    scores, labels = [0.1, 9.0] * 20, np.arange(40) % 2
    assert judged(scores, labels=labels) == [None] * 40


def test_rejected_samples_and_unknown_scores_are_left_out():
    scores = [0.1, 0.2] * LEAST + [5.0] * 8 + [np.nan, 0.15]
    rejected = np.array([False] * 2 * LEAST + [True] * 8 + [False] * 2)
    assert judged(scores, rejected=rejected) == [None] * len(scores)
