"""Means with 90% intervals that know both sources of chance: the random numbers of training, and the test images drawn."""

from dataclasses import dataclass

import numpy as np

from gifcli.records import Array

CONFIDENCE = 0.90


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean and its 90% interval, in the unit of what it was made from."""

    mean: float
    low: float
    high: float


def estimate(values: Array) -> Estimate:
    """Values (r n) of r random numbers and n test images -> mean with its interval.

    var = s_r^2 / r + s_n^2 / n, the variances of the row and of the column means, with the degrees of freedom of Welch and
    Satterthwaite (Biometrics 1946). A little too wide, as the columns' own variance holds some of the rows'. With one
    random number only the images count.
    """
    from scipy.stats import t  # type: ignore[import-untyped]

    r, n = values.shape
    mean = float(values.mean())
    parts = [(float(values.mean(axis).var(ddof=1)) / count, count - 1) for axis, count in ((1, r), (0, n)) if count > 1]
    variance = sum(part for part, _ in parts)
    if variance == 0:
        return Estimate(mean, mean, mean)
    freedom = variance**2 / sum(part**2 / df for part, df in parts)
    reach = float(t.ppf((1 + CONFIDENCE) / 2, freedom)) * variance**0.5
    return Estimate(mean, mean - reach, mean + reach)


def verdict(gain: Estimate) -> str:
    """helps, hurts, or no clear difference: where the whole interval lies."""
    if gain.low > 0:
        return "helps"
    return "hurts" if gain.high < 0 else "no clear difference"


def correct(predictions: list[Array], labels: Array) -> Array:
    """(r n) of 100 where the most probable class is right, else 0: accuracy in percent."""
    return np.stack([100.0 * (p.argmax(1) == labels) for p in predictions])


def balanced_weights(labels: Array) -> Array:
    """(n) weights of mean 1 under which every class counts the same."""
    classes, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
    weights: Array = len(labels) / (len(classes) * counts[places])
    return weights
