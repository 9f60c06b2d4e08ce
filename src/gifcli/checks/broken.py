"""broken: not a number, flat, or blurred."""

import numpy as np
import torch

from gifcli.batches import SeedBatch
from gifcli.checks import Columns, SampleBatch, Table
from gifcli.checks.seed_measures import contrast, sharpness
from gifcli.checks.thresholds import threshold
from gifcli.rules import Rules

FLAT = 0.02
"""Contrast below which an image is flat, unless seeds are as flat themselves."""
BLURRED = 0.03
"""Sharpness as a share of the seed's below which an image may be blurred."""


class BrokenCheck:
    """Rejects what is not finite, black or flat, or blurred.

    Flat: contrast below both FLAT and half of the flattest seed's. Blurred: sharpness below `min_sharpness` as a share
    of its own seed's; while that is None, below both 3% of its own seed's and the 1% quantile of all seeds', so that a
    sharp seed may have a soft child, zoomed in on, and a soft seed a soft one.
    """

    def __init__(self, rules: Rules, min_sharpness: float | None = None) -> None:
        self.min_sharpness = min_sharpness
        self.least_contrast = min(FLAT, 0.5 * (threshold(None, rules, "contrast", 0) or FLAT))
        self.least_sharpness = threshold(None, rules, "sharpness", 0.01)

    def measure(self, samples: SampleBatch, seeds: SeedBatch) -> Columns:
        """Columns finite (bool), contrast, sharpness and sharpness_seed, the parent's."""
        pixels = samples.pixels.nan_to_num()
        return {
            "finite": torch.isfinite(samples.pixels).flatten(1).all(1).cpu().numpy(),
            "contrast": contrast(pixels).cpu().numpy(),
            "sharpness": sharpness(pixels).cpu().numpy(),
            "sharpness_seed": sharpness(seeds.pixels).cpu().numpy(),
        }

    def judge(self, table: Table) -> list[str | None]:
        """The reasons, such as "broken: flat (contrast 0.002 < 0.020)"."""
        s = table.samples
        share = s["sharpness"] / np.maximum(s["sharpness_seed"], 1e-12)
        blurred = share < (BLURRED if self.min_sharpness is None else self.min_sharpness)
        if self.min_sharpness is None:
            blurred &= s["sharpness"] < (self.least_sharpness or 0)
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
