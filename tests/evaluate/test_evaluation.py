"""Whole evaluations on features made up so that the truth is known: classes as directions, samples near them or not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gifcli.errors import CheckError, UsageError
from gifcli.evaluate.advice import make_advice
from gifcli.evaluate.evaluation import assess
from gifcli.evaluate.pool import pool_of
from gifcli.evaluate.probe import Probe
from gifcli.evaluate.settings import EvaluationSettings, parse_threshold, require_gain
from gifcli.evaluate.table import CLEAN
from gifcli.evaluate.testset import TestSet
from gifcli.evaluate.trial import Trial

CLASSES = ["a", "b", "c", "d"]
DIM = 24
SETTINGS = EvaluationSettings("probe", rngs=3)
FEWER = EvaluationSettings("probe", rngs=2)


def unit(x):
    return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(np.float32)


def trial(kind, originals=6, ratio=4, steps=60):
    """Few noisy originals a class. Samples: "fresh" ones of the classes, or the originals' with "scrambled" parents."""
    random = np.random.default_rng(5)
    centres = unit(random.standard_normal((4, DIM)))

    def draw(labels, spread):
        return unit(centres[labels] + spread * random.standard_normal((len(labels), DIM)))

    labels = np.repeat(np.arange(4), originals)
    x = draw(labels, 0.45)
    parents = np.repeat(np.arange(len(labels)), ratio)
    made = draw(labels[parents], 0.3) if kind == "fresh" else draw(random.permutation(labels[parents]), 0.2)
    pool = replace(pool_of(x, labels.tolist(), made, parents.tolist()), views=np.repeat(x[:, None], 2, 1))
    test = np.repeat(np.arange(4), 150)
    found = TestSet(Path(), [], test, "600 images drawn")
    return Trial(Probe(steps=steps), pool, found, {CLEAN: draw(test, 0.45)}, "cpu")


@pytest.fixture(scope="module")
def helpful():
    return assess(trial("fresh", 12), SETTINGS, "run", CLASSES, lambda _: None)


@pytest.fixture(scope="module")
def scrambled():
    return assess(trial("scrambled"), SETTINGS, "run", CLASSES, lambda _: None)


def test_fresh_samples_are_reported_as_helping(helpful):
    assert helpful.data["verdict"] == "helps"
    assert helpful.chosen["share"] >= 33
    require_gain(helpful, 0.5)
    assert helpful.data["equivalent"]["more_real"] > 20
    assert sum(row["images"] for row in helpful.data["classes"]) == 600
    changes = [row["change"] for row in helpful.data["classes"]]
    assert changes == sorted(changes)
    assert np.mean(changes) == pytest.approx(helpful.chosen["gain"], abs=0.02)


def test_scrambled_labels_are_reported_as_hurting(scrambled):
    assert scrambled.data["verdict"] == "hurts"
    assert scrambled.arm(scrambled.data["plain"])["gain_high"] < -5
    assert scrambled.chosen["verdict"] != "helps"
    assert "verdict: hurts; against originals" in scrambled.to_lines()
    assert any(line.startswith("expansion hurts here: train on the originals alone") for line in scrambled.to_lines())
    with pytest.raises(CheckError, match=r"--fail-under gain=1: expected the 90% interval .* for \d+% generated"):
        require_gain(scrambled, 1.0)
    advice = make_advice("run", 24, 96, "imagefolder", [scrambled.data])
    assert advice["synthetic_share"]["value"] == 0
    assert advice["synthetic_share"]["by"] == "measured"


def test_every_arm_is_in_the_table_once(helpful):
    names = [arm["name"] for arm in helpful.data["arms"]]
    assert len(set(names)) == len(names)
    assert [arm["share"] for arm in helpful.data["arms"]] == sorted(arm["share"] for arm in helpful.data["arms"])
    assert {0.0, 10.0, 33.0, 50.0, 67.0, 83.0} <= {arm["share"] for arm in helpful.data["arms"]}
    table = [line for line in helpful.to_lines() if line.startswith("|")]
    assert len(table) == len(names) + 2
    assert len({len(line) for line in table}) == 1
    for arm in helpful.data["arms"]:
        assert arm["low"] <= arm["accuracy"] <= arm["high"]
        assert (arm["gain"] is None) == (arm["name"] == helpful.data["baseline"])


def test_the_test_set_takes_no_part_in_the_choice():
    """Another test set, here of wrong labels: the same arms are chosen."""
    one = trial("fresh", steps=15)
    other = replace(one, test=replace(one.test, labels=one.test.labels[::-1].copy()))
    chosen = [assess(each, FEWER, "run", CLASSES, lambda _: None).data for each in (one, other)]
    assert [data["chosen"] for data in chosen] == [chosen[0]["chosen"]] * 2
    assert chosen[0]["arms"][0]["accuracy"] != chosen[1]["arms"][0]["accuracy"]


def test_one_original_a_class_is_measured_without_a_choice():
    data = assess(trial("fresh", 1, steps=15), FEWER, "run", CLASSES, lambda _: None).data
    assert data["baseline"] == "originals + weak augmentation"
    assert any("nothing could be chosen" in note for note in data["notes"])


def test_settings_are_checked_at_the_door():
    assert parse_threshold("gain=1.5") == 1.5
    assert parse_threshold("gain = -2") == -2
    for bad, message in (
        (lambda: parse_threshold("accuracy=3"), "--fail-under: expected gain=POINTS"),
        (lambda: EvaluationSettings("forest").checked(), "--learner: expected probe, cnn or timm:NAME; found 'forest'"),
        (lambda: EvaluationSettings(rngs=1).checked(), "--rngs: expected 2 to 100"),
        (lambda: EvaluationSettings(steps=0).checked(), "--train-steps: expected 1 or more"),
    ):
        with pytest.raises(UsageError, match=message):
            bad()
