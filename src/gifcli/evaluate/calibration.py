"""How far a model's confidence can be believed."""

import numpy as np

from gifcli.records import Array

BINS = 15


def expected_calibration_error(p: Array, labels: Array) -> float:
    """ECE in percent of probabilities (n C): the gap between confidence and accuracy over 15 equal bins, weighted by how
    many fall into each (Guo et al., arXiv 1706.04599, equation 3).
    """
    confidence = p.max(1)
    right = p.argmax(1) == labels
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = [
        abs(float(right[bins == i].mean() - confidence[bins == i].mean())) * float((bins == i).mean())
        for i in np.unique(bins)
    ]
    return 100 * sum(gaps)
