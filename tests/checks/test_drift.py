"""What is far from its class is rejected; the seeds are not, nor is variety where all seeds are alike."""

from dataclasses import replace

import numpy as np
import pytest
from skimage import data

from gifcli.checks import Table
from gifcli.checks.drift import DriftCheck
from gifcli.rules.induce import induce

LABELS = {"label": np.array([0, 0])}


def test_rejects_what_is_far_from_its_class(rules, seeds, make_pair):
    strange = np.ascontiguousarray(data.astronaut()[100:260, 100:260])
    check = DriftCheck(rules)
    columns = check.measure(*make_pair([strange, seeds[0].pixels], [seeds[0]] * 2))
    far, near = check.judge(Table(columns | LABELS, {}))
    assert far.startswith("drift: distance")
    assert near is None


def test_distance_is_one_minus_the_cosine_to_the_nearest_prototype(rules, seeds, make_pair):
    check = DriftCheck(rules, max_distance=0.0)
    columns = check.measure(*make_pair([seeds[0].pixels], [seeds[0]]))
    own = rules.prototypes[rules.owners == 0] @ seeds[0].feature
    assert columns["drift"][0] == pytest.approx(1 - own.max(), abs=1e-4)
    reason = f"drift: distance {columns['drift'][0]:.3f} > 0.000"
    assert check.judge(Table(columns | {"label": np.array([0])}, {})) == [reason]


def test_limits_are_the_quantile_or_the_way_to_the_next_class(rules):
    wide = replace(rules, quantiles={"drift": np.full(101, 1.5)})
    assert DriftCheck(wide).limits.tolist() == [1.5] * 5
    alike = replace(rules, quantiles={"drift": np.full(101, 0.01)})
    between = 1 - rules.prototypes[rules.owners == 1] @ rules.prototypes[rules.owners != 1].T
    assert DriftCheck(alike).limits[1] == pytest.approx(0.75 * between.min(), abs=1e-5)
    assert DriftCheck(alike, max_distance=0.2).limits.tolist() == [0.2] * 5


def test_a_child_may_lie_a_tenth_farther_than_its_seed(rules):
    columns = {"drift": np.array([1.6, 1.7]), "drift_seed": np.array([1.5, 1.5]), "label": np.array([0, 0])}
    assert DriftCheck(rules).judge(Table(columns, {})) == [None, "drift: distance 1.700 > 1.650"]
    assert all(DriftCheck(rules, max_distance=1.5).judge(Table(columns, {})))


def test_a_lone_class_of_textures_has_room(seeds, make_pair):
    brick = [seed for seed in seeds if seed.label == "brick"]
    lone = induce(np.stack([seed.feature for seed in brick]), np.zeros(6), ["brick"], [seed.key for seed in brick])
    turned, cat = np.rot90(brick[0].pixels), next(seed for seed in seeds if seed.label == "cat").pixels
    check = DriftCheck(lone)
    columns = check.measure(*make_pair([turned, cat], [brick[0]] * 2))
    kept, strange = check.judge(Table(columns | LABELS, {}))
    assert kept is None
    assert strange.endswith("> 0.500")


def test_unknown_labels_and_unknown_ranges_are_not_judged(rules):
    columns = {"drift": np.array([0.0, 1.9]), "drift_seed": np.zeros(2), "label": np.array([-1, 0])}
    assert DriftCheck(replace(rules, quantiles={})).judge(Table(columns, {})) == [None, None]
