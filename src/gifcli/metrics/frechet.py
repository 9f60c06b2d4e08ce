"""Frechet distance of two sets of features, each taken for a normal distribution (Heusel et al., arXiv 1706.08500)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gifcli.errors import InputError

Array = NDArray[Any]

FEWEST = 2000
"""Features of each kind below which the estimate says more about the number of images than about them."""


def frechet(x: Array, y: Array) -> float:
    """|mu_x - mu_y|^2 + tr(C_x + C_y - 2 (C_x C_y)^(1/2)) (equation 6) of features (n d), (m d).

    Raises:
        InputError: fewer than FEWEST of a kind: its bias is then larger than what it is to measure; kid has none.
    """
    if min(len(x), len(y)) < FEWEST:
        raise InputError(
            f"Frechet distance: expected at least {FEWEST} features of each kind; found {len(x)} and {len(y)}; use kid"
        )
    x, y = x.astype(np.float64), y.astype(np.float64)
    c_x, c_y = np.atleast_2d(np.cov(x, rowvar=False)), np.atleast_2d(np.cov(y, rowvar=False))
    root = _root(c_x)
    middle = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ c_y @ root), 0)).sum()  # similar to C_x C_y, but symmetric
    return float(((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(c_x) + np.trace(c_y) - 2 * middle)


def _root(c: Array) -> Array:
    """The symmetric square root of a covariance (d d)."""
    values, vectors = np.linalg.eigh(c)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T)
