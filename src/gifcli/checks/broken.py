"""broken: not a number, flat, or blurred."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gifcli.checks import Columns, SampleBatch, Table
from gifcli.checks.seed_measures import contrast, sharpness
from gifcli.checks.thresholds import threshold
from gifcli.compute.batches import SeedBatch
from gifcli.rules.rules import Rules

FLAT = 0.02
"""Contrast below which an image is flat, unless seeds are as flat themselves."""
BLURRED = 0.03
"""Sharpness as a share of the seed's below which an image may be blurred."""


class BrokenCheck:
    """Rejects what is not finite, black or flat, or blurred.

    Flat: contrast below both FLAT and half of the flattest seed's. Blurred: sharpness below `min_sharpness` as a share
    of its own seed's; while that is None, below both 3% of its own seed's and the `quantile` of the seeds of its class, so
    that a sharp seed may have a soft child, zoomed in on, and a class of soft seeds soft ones.
    """

    def __init__(self, rules: Rules, quantile: float = 0.01, min_sharpness: float | None = None) -> None:
        self.min_sharpness = min_sharpness
        self.least_contrast = min(FLAT, 0.5 * (threshold(None, rules, "contrast", 0) or FLAT))
        self.least_sharpness = _by_class(rules, "sharpness", quantile)

    def measure(self, samples: SampleBatch, seeds: SeedBatch) -> Columns:
        """Columns finite (bool), contrast, sharpness and sharpness_seed, the parent's."""
        pixels = samples.pixels.nan_to_num()
        return {
            "finite": torch.isfinite(samples.pixels).flatten(1).all(1).cpu().numpy(),
            "contrast": contrast(pixels).cpu().numpy(),
            "sharpness": sharpness(pixels).cpu().numpy(),
            "sharpness_seed": sharpness(seeds.pixels).cpu().numpy(),
        }

    def thresholds(self, table: Table) -> dict[str, float]:
        """min_contrast, and min_sharpness as a share of the seed's."""
        share = BLURRED if self.min_sharpness is None else self.min_sharpness
        return {"min_contrast": self.least_contrast, "min_sharpness": share}

    def judge(self, table: Table) -> list[str | None]:
        """The reasons, such as "broken: flat (contrast 0.002 < 0.020)"."""
        s = table.samples
        share = s["sharpness"] / np.maximum(s["sharpness_seed"], 1e-12)
        blurred = share < (BLURRED if self.min_sharpness is None else self.min_sharpness)
        if self.min_sharpness is None:
            blurred &= s["sharpness"] < self.least_sharpness[s["label"]]
        return [
            "broken: not a number"
            if not finite
            else f"broken: flat (contrast {flat:.3f} < {self.least_contrast:.3f})"
            if flat < self.least_contrast
            else f"broken: blurred ({part:.1%} of its seed's sharpness)"
            if soft
            else None
            for finite, flat, part, soft in zip(s["finite"], s["contrast"], share, blurred, strict=True)
        ]


def _by_class(rules: Rules, measure: str, quantile: float) -> NDArray[Any]:
    """(C + 1): the quantile of each class's seeds, of all seeds where a class has none; the last for label -1."""
    everyone = threshold(None, rules, measure, quantile) or 0.0
    own = [threshold(None, rules, f"{measure}/{label}", quantile) for label in range(len(rules.classes))]
    return np.array([*(everyone if value is None else value for value in own), everyone])
