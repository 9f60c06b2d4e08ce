"""Where thresholds come from: the setting, else a quantile of the seeds."""

import numpy as np

from gifcli.rules.rules import Rules

TWINS = 0.98
"""Features above this similarity are a copy's, even in a set that has copies among its seeds."""
FEWEST_BITS = 2
"""Bits of two hashes that saving an image once more may change."""


def threshold(setting: float | None, rules: Rules, measure: str, quantile: float) -> float | None:
    """The setting if there is one, else that quantile (0 to 1) of the seeds' own `measure`; None where neither exists."""
    if setting is not None:
        return setting
    percentiles = rules.quantiles.get(measure)
    if percentiles is None:
        return None
    return float(np.interp(100 * quantile, np.arange(len(percentiles)), percentiles))


def likeness(setting: float | None, rules: Rules, quantile: float, least: float) -> float:
    """The cosine similarity above which two images have the same features.

    That is the setting, else what `quantile` of the seeds stay below with the seed nearest to them, for seeds are no copies
    of each other: `least` in a set of unlike images, more where all look alike, as textures do, and TWINS at most.
    """
    if setting is not None:
        return setting
    seen = threshold(None, rules, "nearest", quantile)
    return least if seen is None else min(TWINS, max(least, seen))


def bits_apart(setting: int | None, rules: Rules, quantile: float, most: int) -> int:
    """The number of bits within which two perceptual hashes are of the same picture.

    That is the setting, else one less than what all but 1 - `quantile` of the seeds are apart from the nearest seed, between
    FEWEST_BITS and `most`: scans that are laid out alike differ in fewer bits than photographs.
    """
    if setting is not None:
        return setting
    seen = threshold(None, rules, "nearest_bits", 1 - quantile)
    return most if seen is None else min(most, max(FEWEST_BITS, int(seen) - 1))
