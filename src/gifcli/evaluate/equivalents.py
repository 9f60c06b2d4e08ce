"""What a gain is worth in real images: by the learning curve of the originals alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FRACTIONS = (0.35, 0.6)
"""Of the originals; the curve's third point is all of them."""
LEAST_IN_A_CLASS = 10
LEAST_TEST = 50
MOST = 300.0
"""Percent: beyond four times the originals the curve says nothing."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Error in percent = a n^-b, n in units of all originals (Cortes et al. 1993; Hestness et al., arXiv 1712.00409)."""

    a: float
    b: float

    def more_real(self, error: float) -> float:
        """How many percent more real images give this error; negative if it takes fewer; at most MOST, at least -100."""
        if error <= 0:
            return MOST
        return float(np.clip(100 * ((self.a / error) ** (1 / self.b) - 1), -100, MOST))


def fit_curve(shares: Sequence[float], errors: Sequence[float]) -> Curve | None:
    """By least squares in logarithms through the last point, which is known best; None where error does not fall."""
    n, error = np.log(shares), np.log(np.maximum(errors, 1e-3))
    run, rise = n - n[-1], error - error[-1]
    b = -float((run * rise).sum() / (run**2).sum())
    return Curve(float(np.exp(error[-1] + b * n[-1])), b) if b > 0.05 else None


def large_enough(counts: Sequence[int], test: int) -> bool:
    """Whether the folder can bear a learning curve: ten originals in the middle class, fifty test images."""
    return float(np.median(counts)) >= LEAST_IN_A_CLASS and test >= LEAST_TEST
