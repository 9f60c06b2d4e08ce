"""Precision, recall, density, coverage: do generated features lie among the real ones, and do they reach all of them?

Precision and recall: Kynkaanniemi et al., arXiv 1904.06991. Density and coverage: Naeem et al., arXiv 2002.09797. Each point
of a set stands for the ball around it that reaches its k-th nearest neighbour in the same set.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

NEIGHBOURS = 5
ROWS = 1024
"""Rows of distances held at once."""


@dataclass(frozen=True, slots=True)
class Shares:
    """What each point adds to a metric; the metric is the mean.

    precision  (m) is the generated point inside the ball of a real one?
    recall     (n) is the real point inside the ball of a generated one?
    density    (m) how many balls of real points hold the generated one, over k; 1 is what real ones are expected to have
    coverage   (n) is a generated point inside the ball of this real one?
    """

    precision: Array
    recall: Array
    density: Array
    coverage: Array


def prdc(real: Array, made: Array, k: int = NEIGHBOURS) -> dict[str, float]:
    """The four metrics of real (n d) and generated (m d) features by name; precision, recall, coverage in [0, 1]."""
    return {name: float(np.mean(values)) for name, values in asdict(shares(real, made, k)).items()}


def shares(real: Array, made: Array, k: int = NEIGHBOURS) -> Shares:
    """The same, point by point.

    Raises:
        ValueError: a set has no k-th neighbours.
    """
    if min(len(real), len(made)) <= k:
        raise ValueError(f"manifold: expected more than {k} features of each kind; found {len(real)} and {len(made)}")
    real_reach, made_reach = reach(real, k), reach(made, k)
    held, recall, coverage = np.zeros(len(made)), [], []
    for start in range(0, len(real), ROWS):
        rows = slice(start, start + ROWS)
        far = distances(real[rows], made)
        held += (far < real_reach[rows, None]).sum(0)
        recall.append((far < made_reach).any(1))
        coverage.append(far.min(1) < real_reach[rows])
    return Shares((held > 0).astype(float), np.concatenate(recall), held / k, np.concatenate(coverage))


def reach(x: Array, k: int) -> Array:
    """(n d) -> (n): the distance of each point to its k-th nearest other one."""
    blocks = []
    for start in range(0, len(x), ROWS):
        far = distances(x[start : start + ROWS], x)
        far[np.arange(len(far)), np.arange(start, start + len(far))] = 0
        blocks.append(np.partition(far, k, axis=1)[:, k])
    return np.concatenate(blocks)


def distances(x: Array, y: Array) -> Array:
    """Euclidean: (n d), (m d) -> (n m) float64."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    squared = (x * x).sum(1)[:, None] + (y * y).sum(1) - 2 * x @ y.T
    return np.asarray(np.sqrt(np.maximum(squared, 0)))
