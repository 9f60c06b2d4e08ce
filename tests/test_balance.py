"""A skewed set comes out equal: the tail is filled first, with no more than the ratio's budget."""

import shutil
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from gifcli import session
from gifcli.state.plan import fill_up
from runs import save_crops, tiny

SKEWED = {"brick": 8, "cat": 3, "coffee": 1}


@pytest.fixture
def skewed(tmp_path: Path) -> Path:
    """Three classes of 8, 3 and 1 pictures."""
    for label, count in SKEWED.items():
        save_crops(tmp_path / "skewed" / label, label, count)
    return tmp_path / "skewed"


def exported(root: Path) -> tuple[Counter[str], Counter[str]]:
    """Images of each class in the dataset, all and generated."""
    rows = [row for row in pq.read_table(root / "manifest.parquet").to_pylist() if row["file"]]
    return Counter(row["label"] for row in rows), Counter(row["label"] for row in rows if row["is_synthetic"])


@pytest.mark.parametrize(
    ("goal", "total", "generated"),
    [
        ({"ratio": 0.5, "balance": True}, {"brick": 8, "cat": 5, "coffee": 5}, {"cat": 2, "coffee": 4}),
        ({"ratio": 1, "balance": True}, dict.fromkeys(SKEWED, 8), {"cat": 5, "coffee": 7}),
        ({"ratio": None, "per_class": 8}, dict.fromkeys(SKEWED, 8), {"cat": 5, "coffee": 7}),
    ],
    ids=["half the ratio", "the ratio", "per class"],
)
def test_classes_come_out_equal(skewed: Path, tmp_path: Path, goal: dict, total: dict, generated: dict) -> None:
    loose = {f"checks__{name}__enabled": False for name in ("label", "drift", "unchanged", "duplicate", "broken")}
    summary = session.expand(skewed, tmp_path / "out", tiny(**goal, **loose))
    assert summary.shortfall == {}
    assert exported(tmp_path / "out") == (Counter(total), Counter(generated))
    assert summary.generated <= round(12 * (goal["ratio"] or 1))


def test_a_higher_ratio_later_keeps_what_is_there(skewed: Path, tmp_path: Path) -> None:
    loose = {f"checks__{name}__enabled": False for name in ("label", "drift", "unchanged", "duplicate", "broken")}
    session.expand(skewed, tmp_path / "out", tiny(ratio=0.5, balance=True, **loose))
    before = {path.name: path.read_bytes() for path in (tmp_path / "out" / "train").rglob("*.jpg")}
    session.expand(skewed, tmp_path / "out", tiny(ratio=2, balance=True, **loose))
    after = {path.name: path.read_bytes() for path in (tmp_path / "out" / "train").rglob("*.jpg")}
    assert before.items() <= after.items()
    assert set(exported(tmp_path / "out")[0].values()) == {12}
    shutil.rmtree(tmp_path / "out")


@pytest.mark.parametrize("budget", range(0, 60, 7))
def test_the_budget_goes_where_the_water_would(budget: int) -> None:
    counts = {"a": 9, "b": 2, "c": 2, "d": 17, "e": 1}
    level = dict(counts)
    for _ in range(budget):  # one by one, to whichever class is smallest
        level[min(level, key=lambda label: level[label])] += 1
    filled = fill_up(counts, budget)
    assert sum(filled.values()) == budget
    assert sorted(counts[label] + filled[label] for label in counts) == sorted(level.values())
