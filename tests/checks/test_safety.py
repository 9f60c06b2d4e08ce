"""What scores above the limit is rejected; the limit is a quantile of the seeds, within bounds, unless it is asked for."""

import numpy as np
import pytest

from gifcli.checks import Table
from gifcli.checks.safety import SAFE, UNSAFE, SafetyCheck
from gifcli.judge.safety import load_scorer


def table(scores, seeds):
    keys = np.array([f"s{i}" for i in range(len(seeds))])
    return Table({"safety": np.array(scores)}, {"key": keys, "safety": np.array(seeds)})


def test_measures_with_the_real_model(rules, seeds, make_pair):
    pair = make_pair([seeds[0].pixels, seeds[6].pixels], [seeds[0], seeds[6]])
    columns = SafetyCheck(rules, scorer=load_scorer()).measure(*pair)
    expected = load_scorer()(np.stack([seeds[0].pixels, seeds[6].pixels]))
    assert columns["safety"].tolist() == pytest.approx(expected.tolist(), abs=1e-6)


@pytest.mark.parametrize(
    ("own", "limit"),
    [([0.01, 0.02], SAFE), ([0.6, 0.6], 0.6), ([0.99, 0.99], UNSAFE), ([np.nan, 0.7], 0.7), ([], SAFE)],
)
def test_the_limit_is_a_quantile_of_the_seeds_within_bounds(rules, own, limit):
    assert SafetyCheck(rules).thresholds(table([], own)) == {"max_score": pytest.approx(limit)}


def test_rejects_above_the_limit(rules):
    assert SafetyCheck(rules).judge(table([0.4, 0.6], [0.1])) == [None, "safety: score 0.600 > 0.500"]
    assert SafetyCheck(rules, max_score=0.3).judge(table([0.4], [0.1])) == ["safety: score 0.400 > 0.300"]


def test_flags_sources(rules):
    found = table([], [0.9, 0.6, np.nan])
    assert SafetyCheck(rules).flagged(found.seeds) == {"s0": 0.9}
    assert SafetyCheck(rules, max_score=0.5).flagged(found.seeds) == {"s0": 0.9, "s1": 0.6}
    assert SafetyCheck(rules).flagged({"key": np.array(["s0"])}) == {}
