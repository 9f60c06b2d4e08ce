"""A sample that looks like another class is rejected, one that looks like its own is not."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from gifcli.checks import Table
from gifcli.checks.label import LabelCheck
from gifcli.guides.classifier import make_classifier


def label_check(rules, **settings):
    return LabelCheck(rules, classify=partial(make_classifier, rules), **settings)


def by_label(seeds, label):
    return next(seed for seed in seeds if seed.label == label)


@pytest.fixture
def pair(seeds, make_pair):
    """Coffee under the name of cat; and a cat as a child of that cat."""
    cat, coffee = by_label(seeds, "cat"), by_label(seeds, "coffee")
    return make_pair([coffee.pixels, cat.pixels[:, ::-1]], [cat, cat])


def test_rejects_another_class_only(rules, pair):
    check = label_check(rules)
    columns = check.measure(*pair)
    assert columns["label_prob"][0] < 0.1 < columns["label_prob"][1]
    assert columns["label_rank"].tolist()[1] == 0
    wrong, right = check.judge(Table(columns, {}))
    assert wrong.startswith("label: p 0.0")
    assert right is None


def test_an_asked_for_probability_is_strict(rules, pair):
    check = label_check(rules, min_prob=1.0)
    columns = check.measure(*pair) | {"label_prob": np.array([0.99, 1.0])}
    assert check.judge(Table(columns, {})) == ["label: p 0.990 < 1.000", None]


def test_a_child_need_not_be_clearer_than_its_seed(rules):
    check = LabelCheck(replace(rules, quantiles={"label_prob": np.full(101, 0.5)}))
    columns = {
        "label_prob": np.array([0.3, 0.3]),
        "label_rank": np.array([1, 1]),
        "label_prob_seed": np.array([0.2, 0.9]),
    }
    assert check.judge(Table(columns, {})) == [None, "label: p 0.300 < 0.500"]


def test_a_clear_label_is_clear_enough(rules):
    """On an easy set the seeds' low quantile is nearly 1."""
    check = LabelCheck(replace(rules, quantiles={"label_prob": np.full(101, 0.999)}))
    columns = {"label_prob": np.array([0.6, 0.4]), "label_rank": np.array([0, 1]), "label_prob_seed": np.ones(2)}
    assert check.judge(Table(columns, {})) == [None, "label: p 0.400 < 0.500"]


def test_a_label_near_the_top_of_many_saves(rules, pair):
    many = replace(rules, classes=[f"c{i}" for i in range(30)])
    assert [LabelCheck(rules).top_k, LabelCheck(many).top_k, LabelCheck(many, min_prob=0.5).top_k] == [0, 3, 0]
    check = LabelCheck(rules, min_prob=0.9, top_k=2)
    columns = {"label_prob": np.array([0.1, 0.1]), "label_rank": np.array([1, 2]), "label_prob_seed": np.ones(2)}
    assert check.judge(Table(columns, {})) == [None, "label: p 0.100 < 0.900"]


def test_an_unknown_label_is_not_judged(rules, seeds, make_pair):
    stranger = replace(seeds[0], label="somewhere else")
    check = label_check(rules)
    columns = check.measure(*make_pair([seeds[0].pixels], [stranger]))
    assert np.isnan(columns["label_prob"][0])
    assert check.judge(Table(columns, {})) == [None]


def test_without_a_quantile_nothing_is_rejected(rules, pair):
    check = label_check(replace(rules, quantiles={}))
    assert check.judge(Table(check.measure(*pair), {})) == [None, None]
