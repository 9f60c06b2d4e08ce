"""Passes over a run's manifest: what is counted for its report, and which images it shows. Memory does not grow with the run."""

import hashlib
import heapq
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import pyarrow.parquet as pq

from gifcli.records import Array

Row = TypeVar("Row")

ROWS = 4096
"""Rows of the manifest read at once."""
COMPARED = 2048
"""Originals, and as many kept images, whose features and scores are compared."""
REJECTED = 512
"""Rejected images on the map."""

COLUMNS = (
    "key",
    "label",
    "split",
    "is_synthetic",
    "parent_key",
    "k",
    "attempt",
    "scores_start",
    "scores_end",
    "nn_seed",
    "nn_set",
    "nn_prior",
    "safety",
    "verdict",
    "reason",
)


class Draw(Generic[Row]):
    """At most `size` of all rows: those whose names have the lowest hashes, in whatever order they come."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.seen = 0
        self._heap: list[tuple[int, str, Row]] = []

    def add(self, name: str, row: Row) -> None:
        """Looks at one more row; names are unique."""
        self.seen += 1
        place = -int.from_bytes(hashlib.sha256(name.encode()).digest()[:8])
        if len(self._heap) < self.size:
            heapq.heappush(self._heap, (place, name, row))
        elif self._heap and place > self._heap[0][0]:
            heapq.heapreplace(self._heap, (place, name, row))

    @property
    def rows(self) -> list[Row]:
        """The rows drawn, lowest hash first."""
        return [row for *_, row in sorted(self._heap, key=lambda entry: (-entry[0], entry[1]))]


@dataclass(frozen=True, slots=True)
class Drawn:
    """A row that was drawn. `seed` is its parent's key, or for an original its own."""

    seed: str
    label: str
    k: int = 0
    attempt: int = 0
    nn_seed: float | None = None
    nn_set: float | None = None
    nn_prior: float | None = None
    safety: float | None = None


@dataclass(slots=True)
class Tally:
    """What one pass counts, of the train split.

    attempts  attempt -> verdict -> images; the verdict is "" for those that passed, else the check that rejected them
    made      label -> verdict, "" or "rejected" -> images
    scores    name -> sum before, sum after, images, images for which it rose
    shown     label -> seeds to show, drawn by hash; `refused` counts the rejected images of each seed
    """

    seeds_shown: int
    original: Counter[str] = field(default_factory=Counter)
    generated: Counter[str] = field(default_factory=Counter)
    seed_keys: set[str] = field(default_factory=set)
    attempts: defaultdict[int, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    made: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    scores: defaultdict[str, Array] = field(default_factory=lambda: defaultdict(lambda: np.zeros(4)))
    seeds: Draw[Drawn] = field(default_factory=lambda: Draw(COMPARED))
    kept: Draw[Drawn] = field(default_factory=lambda: Draw(COMPARED))
    rejected: Draw[Drawn] = field(default_factory=lambda: Draw(REJECTED))
    shown: dict[str, Draw[str]] = field(default_factory=dict)
    refused: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def add(self, row: dict[str, Any]) -> None:
        """Counts one row of the manifest."""
        if row["split"] != "train":
            return
        if row["is_synthetic"]:
            self._add_sample(row)
        else:
            self.original[row["label"]] += 1
            self.seed_keys.add(row["key"])
            drawn = Drawn(row["key"], row["label"], safety=row.get("safety"))
            self.seeds.add(row["key"], drawn)
            self.shown.setdefault(row["label"], Draw(self.seeds_shown)).add(row["key"], row["key"])

    def _add_sample(self, row: dict[str, Any]) -> None:
        passed = row["verdict"] != "rejected"
        self.attempts[row["attempt"]]["" if passed else check_of(row["reason"])] += 1
        self.made[row["label"]]["" if passed else "rejected"] += 1
        self.generated[row["label"]] += row["verdict"] == "kept"
        for name, start in (row["scores_start"] or {}).items():
            end = (row["scores_end"] or {}).get(name)
            if start is not None and end is not None:
                self.scores[name] += (start, end, 1, end > start)
        figures = {name: row.get(name) for name in ("nn_seed", "nn_set", "nn_prior", "safety")}
        drawn = Drawn(row["parent_key"], row["label"], row["k"], row["attempt"], **figures)
        if not passed:
            self.refused[row["label"]][row["parent_key"]] += 1
            self.rejected.add(row["key"], drawn)
        elif row["verdict"] == "kept":
            self.kept.add(row["key"], drawn)

    def chosen(self, label: str) -> list[str]:
        """The seeds of a class to show: drawn ones, the last of them replaced by the one with most rejected images."""
        drawn = self.shown[label].rows if label in self.shown else []
        worst = min(self.refused[label].items(), key=lambda item: (-item[1], item[0]), default=None)
        if worst is None or worst[0] in drawn or worst[0] not in self.seed_keys:
            return drawn
        return [*drawn[: max(1, self.seeds_shown - 1)], worst[0]][: max(1, self.seeds_shown)]


def check_of(reason: str | None) -> str:
    """The check that a reason comes from: drift, of "drift: distance 0.612 > 0.450"."""
    return (reason or "unknown").partition(":")[0]


def tally(manifest: Path, seeds_shown: int) -> Tally:
    """Counts a whole manifest; at most `seeds_shown` seeds a class are chosen to be shown."""
    result = Tally(seeds_shown)
    for row in rows(manifest, COLUMNS):
        result.add(row)
    return result


def siblings(manifest: Path, seeds: set[str]) -> dict[str, list[dict[str, Any]]]:
    """The samples of the given seeds: seed -> rows with k, attempt, verdict and reason, in the manifest's order."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows(manifest, ("parent_key", "k", "attempt", "verdict", "reason")):
        if row["parent_key"] in seeds:
            found.setdefault(row["parent_key"], []).append(row)
    return found


def rows(manifest: Path, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Rows of a manifest with the given columns, those that it lacks as None."""
    with pq.ParquetFile(manifest) as file:
        there = [name for name in columns if name in file.schema_arrow.names]
        lacking = dict.fromkeys(set(columns) - set(there))
        for batch in file.iter_batches(ROWS, columns=there):
            for row in batch.to_pylist():
                yield {**lacking, **row}
