"""Counts are those of the manifest; what is drawn depends on the rows, not on their order."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from gifcli.formats.manifest import write_manifest
from gifcli.reporting.findings import scores
from gifcli.reporting.tally import Draw, Tally, check_of, siblings, tally


def original(key: str, label: str = "cat", split: str = "train") -> dict[str, Any]:
    return {"key": key, "label": label, "split": split, "is_synthetic": False, "verdict": "original"}


def sample(seed: str, k: int, attempt: int = 0, reason: str | None = None, **more: Any) -> dict[str, Any]:
    row = {
        "key": f"{seed}-k{k}-a{attempt}",
        "label": "cat",
        "split": "train",
        "is_synthetic": True,
        "parent_key": seed,
        "k": k,
        "attempt": attempt,
        "verdict": "rejected" if reason else "kept",
        "reason": reason,
        "scores_start": {"entropy": 0.2},
        "scores_end": {"entropy": 0.1 if reason else 0.5},
    }
    return row | more


ROWS = [
    original("s1"),
    original("s2"),
    original("v", split="val"),
    sample("s1", 0, nn_seed=0.5),
    sample("s1", 1, reason="drift: distance 2 > 1"),
    sample("s1", 1, 1, verdict="spare"),
    sample("s2", 0, reason="label: p 0.1 < 0.2"),
]


def test_it_counts_what_the_manifest_says(tmp_path: Path) -> None:
    write_manifest(ROWS, tmp_path / "m.parquet", ["cat"])
    found = tally(tmp_path / "m.parquet", 4)
    assert (found.original["cat"], found.generated["cat"]) == (2, 1)
    assert {attempt: dict(verdicts) for attempt, verdicts in found.attempts.items()} == {
        0: {"": 1, "drift": 1, "label": 1},
        1: {"": 1},
    }
    assert dict(found.made["cat"]) == {"": 2, "rejected": 2}
    assert found.scores["entropy"].round(6).tolist() == [0.8, 1.2, 4, 2]
    found.scores = {"total": np.ones(4), **found.scores}
    assert [change.name for change in scores(found)] == ["entropy", "total"]
    assert [row.nn_seed for row in found.kept.rows] == [0.5]
    assert {row.seed for row in found.seeds.rows} == {"s1", "s2"}
    assert {row.seed for row in found.rejected.rows} == {"s1", "s2"}
    assert [row["k"] for row in siblings(tmp_path / "m.parquet", {"s1"})["s1"]] == [0, 1, 1]


def test_the_seed_with_most_rejected_images_is_shown() -> None:
    found = Tally(2)
    for i in range(40):
        found.add(original(f"s{i}"))
    drawn = found.chosen("cat")
    assert len(drawn) == 2
    worst = next(f"s{i}" for i in range(40) if f"s{i}" not in drawn)
    for k in range(3):
        found.add(sample(worst, k, reason="drift: x"))
    assert found.chosen("cat") == [drawn[0], worst]
    found.add(sample("gone", 0, reason="drift: x"))
    assert "gone" not in found.chosen("cat")
    assert found.chosen("dog") == []


def test_a_draw_is_the_same_in_any_order_and_bounded() -> None:
    names = [f"row{i}" for i in range(500)]
    draws = []
    for order in range(3):
        random.Random(order).shuffle(names)
        draw: Draw[str] = Draw(20)
        for name in names:
            draw.add(name, name)
        draws.append(draw.rows)
        assert draw.seen == 500
    assert draws[0] == draws[1] == draws[2]
    assert len(set(draws[0])) == 20
    many = [sum(int(name[3:]) < 250 for name in _drawn(first)) for first in range(30)]
    assert 8 < sum(many) / 30 < 12  # no half is preferred


def _drawn(first: int) -> list[str]:
    draw: Draw[str] = Draw(20)
    for i in range(500):
        draw.add(f"{first}-{i}", f"row{i}")
    return draw.rows


def test_a_manifest_of_a_finished_run(reference: Path) -> None:
    found = tally(reference / "manifest.parquet", 4)
    table = pq.read_table(reference / "manifest.parquet").to_pandas()
    assert found.original.total() == (~table["is_synthetic"]).sum()
    assert found.generated.total() == (table["verdict"] == "kept").sum()


@pytest.mark.parametrize(("reason", "check"), [("drift: 1 > 0", "drift"), ("odd", "odd"), (None, "unknown")])
def test_reasons_name_their_check(reason: str | None, check: str) -> None:
    assert check_of(reason) == check
