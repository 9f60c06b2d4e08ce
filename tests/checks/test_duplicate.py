"""Copies of earlier samples and of other seeds are rejected, in table order; everything else stays."""

import numpy as np
import pytest

from gifcli.checks import Table, duplicate, neighbours
from gifcli.checks.copies import CopySettings
from gifcli.checks.duplicate import DuplicateCheck
from gifcli.stages.filter import seed_rows


def columns_of(rows):
    return {name: np.stack([np.asarray(row[name]) for row in rows]) for name in rows[0]}


@pytest.fixture
def table(rules, seeds, make_pair):
    """Samples of cat0: an own view, the same again, a copy of its own seed, a copy of coffee0, another view of itself."""
    square = [seed for seed in seeds if seed.pixels.shape[1] == 160]
    cat, coffee = (next(seed for seed in square if seed.label == label) for label in ("cat", "coffee"))
    view = np.ascontiguousarray(cat.pixels[::-1])
    other = np.ascontiguousarray(cat.pixels.transpose(1, 0, 2))
    images = [view, view, cat.pixels, coffee.pixels, other]
    samples = DuplicateCheck(rules).measure(*make_pair(images, [cat] * 5))
    samples |= {"seed": np.array([cat.key] * 5), "k": np.arange(5), "attempt": np.zeros(5, int)}
    return Table(samples, columns_of(list(seed_rows(seeds, rules.classes))))


def test_rejects_copies_of_earlier_samples_and_of_other_seeds(rules, table):
    expected = [None, "duplicate: of cat0-k0-a0", None, "duplicate: of the seed coffee0", None]
    assert DuplicateCheck(rules).judge(table) == expected


def test_rejected_samples_take_no_place(rules, table):
    rejected = np.array([True, False, False, True, False])
    samples = {**table.samples, "rejected": rejected}
    assert DuplicateCheck(rules).judge(Table(samples, table.seeds)) == [None] * 5


def test_thresholds_can_be_set(rules, table):
    assert DuplicateCheck(rules, CopySettings(max_similarity=1.01)).judge(table) == [None] * 5
    looser = DuplicateCheck(rules, CopySettings(max_similarity=-1.0, max_hash_distance=64)).judge(table)
    assert all(reason is not None for reason in looser)


def test_without_seeds_only_samples_are_compared(rules, table):
    reasons = DuplicateCheck(rules).judge(Table(table.samples, {}))
    assert [reason is None for reason in reasons] == [True, False, True, True, True]


def test_blocks_judge_as_one_by_one(rules, monkeypatch):
    random = np.random.default_rng(0)
    n = 300
    source = random.integers(0, 120, n)
    sketches = random.standard_normal((120, 64))
    sketches = (sketches / np.linalg.norm(sketches, axis=1, keepdims=True)).astype(np.float16)
    hashes = random.integers(0, 2**63, 120, dtype=np.uint64)
    samples = {
        "seed": np.array([f"s{i}" for i in range(n)]),
        "k": np.zeros(n, int),
        "attempt": np.zeros(n, int),
        "sketch": sketches[source],
        "phash": hashes[source],
    }
    first: dict[int, int] = {}
    expected = [
        None if first.setdefault(value, i) == i else f"duplicate: of s{first[value]}-k0-a0"
        for i, value in enumerate(source.tolist())
    ]
    monkeypatch.setattr(duplicate, "ROWS", 7)
    monkeypatch.setattr(neighbours, "ROWS", 3)
    monkeypatch.setattr(neighbours, "COLUMNS", 5)
    assert DuplicateCheck(rules).judge(Table(samples, {})) == expected
