"""Histograms: shares in equal bins."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gifcli.report import Histogram

BINS = 32


def histogram(of: str, values: NDArray[Any], low: float, high: float) -> Histogram:
    """Values (n), n > 0, over [low, high]; what lies outside counts in the first or the last bin."""
    counts, _ = np.histogram(np.clip(values, low, high), BINS, (low, high))
    shares = [round(float(count) / len(values), 5) for count in counts]
    return Histogram(of, low, high, shares, float(np.median(values)), float(values.max()))
