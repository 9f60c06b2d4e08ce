"""duplicate: rejects what is near an earlier sample, or another seed."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gifcli.checks import Columns, SampleBatch, Table
from gifcli.checks.copies import CALIBRATED, CopyLimits, CopySettings
from gifcli.checks.fingerprints import perceptual_hash, sketch
from gifcli.checks.neighbours import near_pairs
from gifcli.checks.thresholds import likeness
from gifcli.compute.batches import SeedBatch, tensor_to_pixels
from gifcli.rules.rules import Rules

Array = NDArray[Any]

MAX_SIMILARITY = 0.95
ROWS = 1024
"""How many samples are judged at once."""


class DuplicateCheck:
    """Rejects what is near an earlier kept sample or a seed other than its own, in features and to the eye.

    Near: features above `max_similarity` (cosine, of sketches) and perceptual hashes within `max_hash_distance` of 64
    bits; while they are None, what `quantile` of the seeds are apart from each other, see `likeness` and `bits_apart`.
    Judged in table order, so the earlier one stays; rows whose optional column `rejected` is true neither need a
    reason nor take a place. Its seeds have the columns key, sketch and phash; where the table has no seeds, only samples
    are compared.
    """

    def __init__(self, rules: Rules, asked: CopySettings = CALIBRATED) -> None:
        similarity = likeness(asked.max_similarity, rules, asked.quantile, MAX_SIMILARITY)
        self.limits = CopyLimits(similarity, asked.bits(rules))

    def measure(self, samples: SampleBatch, seeds: SeedBatch) -> Columns:
        """Columns sketch (64 float16) and phash (uint64)."""
        return {"sketch": sketch(samples.features), "phash": perceptual_hash(tensor_to_pixels(samples.pixels))}

    def thresholds(self, table: Table) -> dict[str, float]:
        """max_similarity and max_hash_distance."""
        return self.limits.told()

    def judge(self, table: Table) -> list[str | None]:
        """The reasons, such as "duplicate: of 5f0c...-k0-a0"; time grows with the square of the samples, memory doesn't."""
        samples, seeds = table.samples, table.seeds
        reasons: list[str | None] = [None] * len(samples["phash"])
        rejected = samples.get("rejected", np.zeros(len(reasons), bool))
        free = ~rejected  # may be what a later one is a duplicate of
        kept: list[Array] = []
        all_seeds = np.arange(len(seeds["key"]) if seeds else 0)
        for start in range(0, len(reasons), ROWS):
            rows = np.flatnonzero(~rejected[start : start + ROWS]) + start
            for i, j in self._near(samples, rows, seeds, all_seeds):
                other = samples["seed"][i] != seeds["key"][j]
                for row, near in _first(i[other], j[other]):
                    reasons[row] = reasons[row] or f"duplicate: of the seed {seeds['key'][near]}"
            for i, j in self._near(samples, rows, samples, np.concatenate([np.zeros(0, np.int64), *kept])):
                for row, near in _first(i, j):
                    reasons[row] = reasons[row] or f"duplicate: of {_name(samples, near)}"
            free[rows] = [reasons[row] is None for row in rows]
            for i, j in self._near(samples, rows, samples, rows):
                for row, group in _groups(i[j < i], j[j < i]):  # in order: all of the group are judged by now
                    if free[row] and free[group].any():
                        reasons[row] = f"duplicate: of {_name(samples, group[free[group].argmax()])}"
                        free[row] = False
            kept.append(rows[free[rows]])
        return reasons

    def _near(self, a: Columns, rows: Array, b: Columns, columns: Array) -> Iterator[tuple[Array, Array]]:
        return near_pairs(a, rows, b, columns, self.limits)


def _first(i: Array, j: Array) -> Iterator[tuple[int, int]]:
    """Each row of i once, with its first partner."""
    unique, places = np.unique(i, return_index=True)
    return zip(unique.tolist(), j[places].tolist(), strict=True)


def _groups(i: Array, j: Array) -> Iterator[tuple[int, Array]]:
    """Each row of i once, with all its partners."""
    unique, places = np.unique(i, return_index=True)
    return zip(unique.tolist(), np.split(j, places)[1:], strict=True)


def _name(samples: Columns, row: int) -> str:
    return f"{samples['seed'][row]}-k{samples['k'][row]}-a{samples['attempt'][row]}"
