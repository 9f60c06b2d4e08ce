"""What learners train on: the originals of a run and the images generated from them, as arrays."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gifcli.records import Array


@dataclass(frozen=True, slots=True)
class Pool:
    """n labelled examples, the m originals first.

    x        (n d) float32 unit-norm features, or (n s s 3) uint8 pixels
    labels   (n) int64
    parents  (n) int64: the row of each example's original; an original's own row
    weights  (n) float32: how often an example is drawn, relative to the others of its kind
    views    (m v d) float32: features of each original as it is, mirrored, and augmented v - 2 times; None for pixels
    """

    x: Array
    labels: Array
    parents: Array
    weights: Array
    originals: int
    views: Array | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def generated(self) -> int:
        """How many examples were generated."""
        return len(self) - self.originals

    def of_parents(self, rows: Array) -> "Pool":
        """The originals at the given rows, and what was generated from them."""
        place = np.full(self.originals, -1)
        place[rows] = np.arange(len(rows))
        children = np.arange(self.originals, len(self))
        children = children[place[self.parents[children]] >= 0]
        kept = np.concatenate([rows, children])
        return replace(
            self,
            x=self.x[kept],
            labels=self.labels[kept],
            parents=place[self.parents[kept]],
            weights=self.weights[kept],
            originals=len(rows),
            views=None if self.views is None else self.views[rows],
        )


def pool_of(originals: Array, labels: Sequence[int], samples: Array, parents: Sequence[int]) -> Pool:
    """Originals (m ...) with their labels, and samples (k ...) with the rows of their originals."""
    own = np.asarray(labels, np.int64)
    of = np.asarray(parents, np.int64)
    x = np.concatenate([originals, samples]) if len(samples) else originals
    ones = np.ones(len(own) + len(of), np.float32)
    return Pool(x, np.concatenate([own, own[of]]), np.concatenate([np.arange(len(own)), of]), ones, len(own))


def split(labels: Array, share: float, rng: int) -> tuple[Array, Array]:
    """(rows to train on, rows to validate on), stratified: `share` of each class, rounded, at least one of two or more and
    never all; both in order.
    """
    order = np.random.default_rng([rng, 0x1A7E]).permutation(len(labels))
    aside: list[int] = []
    for label in np.unique(labels):
        members = order[labels[order] == label]
        count = min(max(1, round(share * len(members))), len(members) - 1)
        aside += members[:count].tolist()
    validation = np.array(sorted(aside), np.int64)
    return np.setdiff1d(np.arange(len(labels)), validation), validation


def subset(labels: Array, share: float, rng: int) -> Array:
    """Rows of `share` of each class, rounded, at least one; larger shares of one rng hold the smaller ones; in order."""
    order = np.random.default_rng([rng, 0x5B5E]).permutation(len(labels))
    rows: list[int] = []
    for label in np.unique(labels):
        members = order[labels[order] == label]
        rows += members[: max(1, round(share * len(members)))].tolist()
    return np.array(sorted(rows), np.int64)
