"""Clusters of each class, scored leave-one-out: how many there are, and the temperature that suits them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans

Array = NDArray[Any]

LEADING = 16
MEMBERS_A_CLUSTER = 8
TAU_RANGE = (1.0, 1000.0)


@dataclass(frozen=True, slots=True)
class Clusters:
    """p clusters of n seeds, sorted by class.

    sums    (p d) sum of the members' features     sizes  (p) members     owners  (p) int64 class of each
    member  (n) the cluster of each seed      classes C
    """

    sums: Array
    sizes: Array
    owners: Array
    member: Array
    classes: int

    @property
    def prototypes(self) -> Array:
        """(p d) unit norm means."""
        return _unit(self.sums)


def find_clusters(features: Array, labels: Array, classes: int, most: int) -> tuple[Clusters, float]:
    """Clusters and tau: a class gets more than one cluster where that lowers the leave-one-out loss of the whole set.

    features (n d) float32 unit norm, labels (n). Class after class, with 2.. at most n_c // 8 and `most` clusters.
    """
    within = np.zeros(len(labels), np.int64)
    clusters = _gather(features, labels, within, classes)
    s = leave_one_out(clusters, features, features, labels)
    tau = calibrate(s, labels)
    rows = np.flatnonzero(np.isfinite(s[np.arange(len(labels)), labels]))
    y = labels[rows]
    e = np.exp(tau * (s.astype(np.float64) - 1))
    for c in range(classes if len(rows) and classes > 1 else 0):
        members = np.flatnonzero(labels == c)
        others = e[rows].sum(1) - e[rows, c]
        best = _loss(e[rows, c], others, np.where(y == c, np.nan, e[rows, y]))
        for count in range(2, min(most, len(members) // MEMBERS_A_CLUSTER) + 1):
            assigned = _kmeans(features[members], count)
            column = np.exp(tau * (_class_column(features, members, assigned).astype(np.float64) - 1))
            if (loss := _loss(column[rows], others, np.where(y == c, np.nan, e[rows, y]))) < best:
                best, e[:, c], within[members] = loss, column, assigned
    clusters = _gather(features, labels, within, classes)
    return clusters, calibrate(leave_one_out(clusters, features, features, labels), labels)


def leave_one_out(clusters: Clusters, queries: Array, features: Array, labels: Array) -> Array:
    """Similarity of query i to each class, seed i taken out of its own cluster: (n d) -> (n C).

    A cluster of one vanishes; a class of one image becomes -inf for that image, and so does a class without seeds.
    """
    each = queries @ clusters.prototypes.T
    rows = np.arange(len(labels))
    rest = _unit(clusters.sums[clusters.member] - features)
    alone = clusters.sizes[clusters.member] == 1
    each[rows, clusters.member] = np.where(alone, -np.inf, (queries * rest).sum(1))
    present, starts = np.unique(clusters.owners, return_index=True)
    s = np.full((len(labels), clusters.classes), -np.inf, np.float32)
    s[:, present] = np.maximum.reduceat(each, starts, axis=1)
    return s


def calibrate(s: Array, y: Array) -> float:
    """The tau that minimises the negative log likelihood of softmax(tau * s) against y, by bisection of its slope.

    s (n C), y (n); rows that leave-one-out left out are skipped. Targets are smoothed to (n + 1) / (n + 2), as Platt's are
    (1999): with every seed right the likelihood alone would want an infinite tau, and gradients would vanish.
    """
    judged = np.isfinite(s[np.arange(len(y)), y])
    s, y = np.where(np.isfinite(s), s, -1).astype(np.float64)[judged], y[judged]
    n, classes = s.shape
    if not n or classes < 2:
        return TAU_RANGE[0]
    target = 1 / (n + 2) / (classes - 1)
    own = s[np.arange(n), y]
    wanted = target * (s.sum(1) - own) + (n + 1) / (n + 2) * own
    low, high = TAU_RANGE
    for _ in range(30):
        tau = (low * high) ** 0.5
        p = np.exp(tau * (s - s.max(1, keepdims=True)))
        slope = ((p * s).sum(1) / p.sum(1) - wanted).mean()
        low, high = (tau, high) if slope < 0 else (low, tau)
    return float((low * high) ** 0.5)


def spread(features: Array) -> Array:
    """Shares of a class's variance along its leading principal directions, largest first: (n d) -> (at most 16)."""
    if len(features) < 2:
        return np.zeros(0)
    variance = (_leading(features) ** 2).sum(0)
    total = ((features - features.mean(0)) ** 2).sum()
    return variance / total if total > 0 else np.zeros(0)


def _gather(features: Array, labels: Array, within: Array, classes: int) -> Clusters:
    pairs, member = np.unique(np.stack([labels, within], 1), axis=0, return_inverse=True)
    member = member.reshape(-1)
    order = np.argsort(member, kind="stable")
    starts = np.searchsorted(member[order], np.arange(len(pairs)))
    sums = np.add.reduceat(features[order], starts, axis=0)
    return Clusters(sums, np.bincount(member), pairs[:, 0].astype(np.int64), member, classes)


def _class_column(features: Array, members: Array, assigned: Array) -> Array:
    """Leave-one-out similarity (n) of every seed to one class with these clusters."""
    sums = np.stack([features[members[assigned == j]].sum(0) for j in range(assigned.max() + 1)])
    each = features @ _unit(sums).T
    rest = _unit(sums[assigned] - features[members])
    alone = np.bincount(assigned)[assigned] == 1
    each[members, assigned] = np.where(alone, -np.inf, (features[members] * rest).sum(1))
    nearest: Array = each.max(1)
    return nearest


def _loss(column: Array, others: Array, own: Array) -> float:
    """Mean -log p(y): exp(tau * similarity) of one class and the sum of the others', and of y's, nan where y is that class."""
    p = np.where(np.isnan(own), column, own) / np.maximum(column + others, 1e-300)
    return float(-np.log(np.maximum(p, 1e-300)).mean())


def _kmeans(features: Array, count: int) -> Array:
    assigned = KMeans(count, n_init=4, random_state=0).fit_predict(_leading(features))
    places = np.unique(assigned, return_inverse=True)[1]
    return np.asarray(places, np.int64).reshape(-1)


def _leading(features: Array) -> Array:
    """Coordinates (n, at most 16) along the leading principal directions, from the smaller of the two Gram matrices."""
    x = (features - features.mean(0)).astype(np.float64)
    n, d = x.shape
    value, vector = np.linalg.eigh(x @ x.T if n <= d else x.T @ x)
    value, vector = np.maximum(value[::-1][:LEADING], 0), vector[:, ::-1][:, :LEADING]
    coordinates: Array = vector * np.sqrt(value) if n <= d else x @ vector
    return coordinates


def _unit(x: Array) -> Array:
    unit: Array = x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)
    return unit
