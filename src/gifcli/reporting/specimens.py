"""The pictures of a report: for each class some of its seeds, with what was made of them, read from the run's shards."""

import io
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from gifcli.records import Array
from gifcli.report import Picture, Strip
from gifcli.state.shards import ShardId, ShardStore

PICTURES = 1000
"""Pictures on a page, about."""
ROWS, COLUMNS, FEWEST = 4, 9, 6
"""Seeds a class and pictures a seed, at most; and the fewest pictures a class gets."""
REFUSED = 4
"""Rejected samples that are shown beside a seed at most, while kept ones wait."""
SIDE = 144
"""Pixels of the longer side of a picture."""

Row = dict[str, Any]
Slot = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Layout:
    """How many classes, seeds a class, and samples a seed there is room for."""

    classes: int
    seeds: int
    samples: int


def layout(classes: int) -> Layout:
    """Fewer a class where there are many classes."""
    each = min(ROWS * COLUMNS, max(FEWEST, PICTURES // max(1, classes)))
    seeds = min(ROWS, max(1, each // COLUMNS))
    return Layout(max(1, PICTURES // each), seeds, min(COLUMNS, each // seeds) - 1)


@dataclass(frozen=True, slots=True)
class Specimens:
    """Where the pictures of a run lie. `places`: seed -> shard; `names`: seed -> the path of its file.

    samples  seed -> rows of the manifest, with k, attempt, verdict and reason; `limit` are shown beside a seed at most
    """

    store: ShardStore
    places: Mapping[str, int]
    names: Mapping[str, str]
    samples: Mapping[str, Sequence[Row]]
    limit: int

    def strips(self, seeds: Sequence[str]) -> Iterator[Strip]:
        """One strip a seed, in the given order, kept samples first; what no shard holds any more is left out."""
        shown = {seed: self._pick(seed) for seed in seeds}
        originals = self._originals(seeds)
        images = self._images(shown)
        for seed in seeds:
            if seed in originals:
                pictures = [
                    Picture(_caption(row), images[slot], _reason(row))
                    for row in shown[seed]
                    if (slot := (seed, row["k"], row["attempt"])) in images
                ]
                more = len(self.samples.get(seed, ())) - len(pictures)
                yield Strip(Picture(self.names.get(seed, seed), originals[seed]), pictures, more)

    def _pick(self, seed: str) -> list[Row]:
        """The samples of a seed to show: kept ones by k, then rejected ones by attempt."""
        rows = sorted(self.samples.get(seed, ()), key=lambda row: (row["attempt"], row["k"]))
        kept = sorted((row for row in rows if row["verdict"] == "kept"), key=lambda row: row["k"])
        refused = [row for row in rows if row["verdict"] == "rejected"]
        last = min(len(refused), max(self.limit - len(kept), min(REFUSED, self.limit // 2)))
        return [*kept[: self.limit - last], *refused[:last]]

    def _originals(self, seeds: Sequence[str]) -> dict[str, Array]:
        shards: defaultdict[int, list[str]] = defaultdict(list)
        for seed in seeds:
            if seed in self.places:
                shards[self.places[seed]].append(seed)
        found: dict[str, Array] = {}
        for n, keys in shards.items():
            members = self.store.read("extract", ShardId(n), tuple(f"{key}.pixels.png" for key in keys))
            found |= {name.partition(".")[0]: _small(data) for name, data in members}
        return found

    def _images(self, shown: Mapping[str, Sequence[Row]]) -> dict[Slot, Array]:
        """Small copies of the samples, each shard read once."""
        wanted = {(seed, row["k"], row["attempt"]) for seed, rows in shown.items() for row in rows}
        homes = {self.places.get(seed) for seed in shown}
        found: dict[Slot, Array] = {}
        for shard, mark in self.store.done("generate").items():
            inside = [(seed, k, shard.attempt or 0) for seed, k in mark["slots"]] if shard.n in homes else []
            names = {f"{seed}-k{k:05d}": (seed, k, a) for seed, k, a in inside if (seed, k, a) in wanted}
            if names:
                members = self.store.read("generate", shard, tuple(f"{n}.image{end}" for n in names for end in _ENDS))
                found |= {names[name.partition(".")[0]]: _small(data) for name, data in members}
        return found


_ENDS = (".jpg", ".png", ".webp")


def _caption(row: Row) -> str:
    attempt = f", attempt {row['attempt'] + 1}" if row["attempt"] else ""
    return f"k{row['k']}{attempt}"


def _reason(row: Row) -> str | None:
    return (row["reason"] or "rejected") if row["verdict"] == "rejected" else None


def _small(data: bytes) -> Array:
    """An encoded image -> (h w 3) uint8, its longer side SIDE at most."""
    with Image.open(io.BytesIO(data)) as image:
        image.draft("RGB", (SIDE, SIDE))
        small = image.convert("RGB")
    small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return np.asarray(small)
