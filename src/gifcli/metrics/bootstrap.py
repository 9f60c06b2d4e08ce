"""Bootstrap intervals (Efron 1979), with rows that belong together drawn together."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

TIMES, LEVEL = 400, 0.95


def draws(groups: Sequence[str], times: int = TIMES, rng: int = 0) -> Array:
    """(times n) float64: how often each of n rows counts when whole groups are drawn with replacement.

    Siblings are no independent evidence: name their seed as their group. Rows that stand alone have a group each.
    """
    names, place = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    drawn = np.random.default_rng(rng).multinomial(len(names), np.full(len(names), 1 / len(names)), size=times)
    return np.asarray(drawn[:, place], np.float64)


def means(values: Array, weights: Array) -> Array:
    """Weighed means of values (n), once for each row of weights (r n). -> (r)"""
    return np.asarray(weights @ values.astype(np.float64) / weights.sum(1))


def interval(estimate: float, replicates: Array, level: float = LEVEL) -> tuple[float, float]:
    """The quantiles of the replicates around the estimate: their spread counts, not the bias that drawing again brings in."""
    tail = (1 - level) / 2
    low, high = np.quantile(replicates - replicates.mean(), [tail, 1 - tail])
    return float(estimate + low), float(estimate + high)
