"""Rules of small sets whose truth is known, and of real pictures."""

import numpy as np
import pytest
from scipy.stats import binom

from gifcli.errors import UsageError
from gifcli.rules.induce import beats_chance, induce
from gifcli.rules.rules import Rules, digest


def unit(x: np.ndarray) -> np.ndarray:
    return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(np.float32)


def blobs(classes: int = 3, each: int = 10, noise: float = 0.1, rng: int = 0) -> tuple[np.ndarray, np.ndarray]:
    g = np.random.default_rng(rng)
    y = np.repeat(np.arange(classes), each)
    return unit(np.eye(classes, 24)[y] + noise * g.normal(size=(len(y), 24))), y


def rules(x: np.ndarray, y: np.ndarray, **settings: object) -> Rules:
    return induce(x, y, [f"c{i}" for i in range(max(y) + 1)], [f"s{i}" for i in range(len(y))], **settings)  # type: ignore[arg-type]


def test_well_separated_classes() -> None:
    x, y = blobs()
    got = rules(x, y, mirrored=x)
    assert got.accuracy == {"prototype": 1.0, "chance": pytest.approx(1 / 3, abs=1e-6), "mirrored": 1.0}
    assert got.classifier == "prototype"
    assert got.mirror_safe
    assert got.notes == []
    assert set(got.quantiles) == {"drift", "label_prob", "nearest"}
    assert all(values.shape == (101,) and (np.diff(values) >= 0).all() for values in got.quantiles.values())
    assert got.quantiles["label_prob"][5] > 0.5


def test_classes_that_are_noise_are_said_to_be_so() -> None:
    x, _ = blobs(1, 60, 1.0)
    got = rules(x, np.arange(60) % 2)
    assert got.accuracy["prototype"] < 0.7
    assert "cannot tell" in got.notes[0]


def test_leave_one_out_takes_the_seed_out() -> None:
    """Pure noise in many dimensions: a seed is always near a mean that holds it, and never near one that does not."""
    x = unit(np.random.default_rng(0).normal(size=(24, 2000)))
    means = unit(np.stack([x[c::6].mean(0) for c in range(6)]))
    y = np.arange(24) % 6
    assert ((x @ means.T).argmax(1) == y).all()
    assert rules(x, y).accuracy["prototype"] < 0.45


def test_auto_takes_the_better_classifier() -> None:
    x, y = blobs(noise=0.4)
    good, bad = np.eye(3, 24, dtype=np.float32), np.eye(3, 24, dtype=np.float32)[[1, 2, 0]]
    assert rules(x, y, text=bad).classifier == "prototype"
    got = rules(x, y, text=good)
    assert got.accuracy["text"] > got.accuracy["prototype"]
    assert got.classifier == "text"
    assert rules(x, y, text=good, kind="prototype").classifier == "prototype"
    with pytest.raises(UsageError, match="without text"):
        rules(x, y, kind="text")
    with pytest.raises(UsageError, match="nearest"):
        rules(x, y, kind="nearest")


def test_one_image_each_leaves_text_as_the_only_measure() -> None:
    x, y = blobs(8, 1)
    got = rules(x, y, mirrored=x)
    assert set(got.accuracy) == {"chance"}
    assert set(got.quantiles) == {"nearest"}
    assert not got.mirror_safe
    assert len(got.notes) == 2
    assert rules(x, y, text=x).classifier == "text"


def test_one_class_and_one_image() -> None:
    x, y = blobs(1, 9)
    got = rules(x, y, mirrored=x)
    assert got.accuracy == {}
    assert got.mirror_safe
    assert got.notes == ["one class only: consistency with a class is off, and no accuracy can be measured"]
    assert got.summary["c0"]["accuracy"] is None
    assert not rules(x, y, mirrored=-x).mirror_safe
    assert rules(x[:1], y[:1], mirrored=x[:1]).quantiles == {}


def test_a_lone_class_beside_others_is_named() -> None:
    x, y = blobs(3, 8)
    got = rules(x[:17], y[:17])
    assert got.notes == ["classes of one image, which leave-one-out leaves out: 1 (c2)"]
    assert got.summary["c2"]["accuracy"] is None
    assert len(got.owners) == 3


def test_mirroring_is_safe_only_where_no_class_loses_by_it() -> None:
    x, y = blobs(4, 10)
    swapped = np.concatenate([x[10:20], x[:10], x[20:]])
    assert rules(x, y, mirrored=x).mirror_safe
    assert not rules(x, y, mirrored=swapped).mirror_safe
    assert not rules(x, y).mirror_safe
    few = np.r_[0:2, 10:12, 20:22]
    assert not rules(x[few], y[few], mirrored=x[few]).mirror_safe


def test_typical_and_unusual_seeds() -> None:
    x, y = blobs(2, 10)
    x[3] = unit(np.eye(2, 24)[0] + 2 * np.eye(1, 24, 5)[0])
    got = rules(x, y).summary["c0"]
    assert got["unusual"][0] == "s3"
    assert "s3" not in got["typical"]


def test_the_same_seeds_give_the_same_bytes() -> None:
    x, y = blobs(3, 30, 0.5)
    assert digest(rules(x, y, mirrored=x)) == digest(rules(x.copy(), y.astype(np.int32), mirrored=x))


@pytest.mark.parametrize(("n", "chance"), [(5, 0.2), (40, 0.5), (3000, 0.05)])
def test_beating_chance_is_the_exact_binomial_test(n: int, chance: float) -> None:
    for hits in range(0, n + 1, max(1, n // 40)):
        assert beats_chance(hits, n, chance) == (binom.sf(hits - 1, n, chance) < 0.05)


def test_nothing_beats_certainty() -> None:
    assert not beats_chance(0, 0, 0.5)
    assert not beats_chance(10, 10, 1.0)
