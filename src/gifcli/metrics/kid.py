"""Kernel inception distance: the squared maximum mean discrepancy of two sets of features (Binkowski et al., arXiv 1801.01401).

The features are whatever the encoder gives. 0 means that no polynomial of degree 3 tells the sets apart; an estimate from
equal distributions lies around 0, so it may be slightly negative.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

SUBSETS, SUBSET_SIZE, RNG = 100, 1000, 2020
"""What torch-fidelity takes unless told otherwise."""


def kernel(x: Array, y: Array) -> Array:
    """k(x, y) = (x . y / d + 1)^3 (section 4): (n d), (m d) -> (n m)."""
    return np.asarray((x @ y.T / x.shape[1] + 1) ** 3)


def rescaled(features: Array) -> Array:
    """Unit-norm (n d) -> (n d) float64 of norm sqrt(d), so that x . y / d is the cosine and the kernel is (1 + cos)^3."""
    return features.astype(np.float64) * math.sqrt(features.shape[1])


def kid(x: Array, y: Array) -> float:
    """The unbiased estimate (equation 4) from all of x (n d) and y (m d)."""
    one = np.ones(1)
    replicates = mmd2(kernel(x, x), kernel(y, y), kernel(x, y), one.repeat(len(x))[None], one.repeat(len(y))[None])
    return float(replicates[0])


def mmd2(xx: Array, yy: Array, xy: Array, p: Array, q: Array) -> Array:
    """Unbiased estimates of MMD^2 (equation 4) from kernel matrices (n n), (m m), (n m), each row weighed.

    p (r n) and q (r m) say how often each row counts, r times; a row is never paired with itself. -> (r)
    """
    cross = ((p @ xy) * q).sum(1) / (p.sum(1) * q.sum(1))
    return np.asarray(_within(xx, p) + _within(yy, q) - 2 * cross)


def kid_of_subsets(
    x: Array, y: Array, subsets: int = SUBSETS, size: int = SUBSET_SIZE, rng: int = RNG
) -> tuple[float, float]:
    """Mean and standard deviation over random subsets of `size` rows of each, drawn as torch-fidelity draws them.

    Raises:
        ValueError: there are fewer rows than `size`.
    """
    if min(len(x), len(y)) < size:
        raise ValueError(f"kid: expected at least {size} features of each kind; found {len(x)} and {len(y)}")
    draw = np.random.RandomState(rng)
    estimates = [
        kid(x[draw.choice(len(x), size, replace=False)], y[draw.choice(len(y), size, replace=False)])
        for _ in range(subsets)
    ]
    return float(np.mean(estimates)), float(np.std(estimates))


def _within(k: Array, weights: Array) -> Array:
    """Mean of k (n n) over all pairs of different rows, each row weighed (r n). -> (r)"""
    own = weights**2 @ np.diagonal(k)
    pairs = weights.sum(1) ** 2 - (weights**2).sum(1)
    return np.asarray((((weights @ k) * weights).sum(1) - own) / pairs)
