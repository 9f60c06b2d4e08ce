"""outlier: rejects scores that are unusual among those of the samples just before, mean +- 2 sigma in a sliding window."""

from collections import defaultdict, deque
from functools import partial

import numpy as np

from gifcli.checks import Columns, SampleBatch, Table
from gifcli.compute.batches import SeedBatch
from gifcli.rules.rules import Rules

LEAST = 8
"""Scores in the window from which a mean and a deviation can be told."""


class OutlierCheck:
    """Rejects a sample whose `score`, a measured column, is more than `sigmas` deviations off the mean of its window.

    The window holds the last `window` scores of the sample's class, in table order, of samples that the checks before let
    pass, outliers as well: without them it would grow narrower and narrower. It looks back only, so that a verdict never
    changes because more was made; the first LEAST of a class pass. Two sigma reject about 5% of a normal distribution.
    """

    def __init__(self, rules: Rules, score: str = "drift", window: int = 64, sigmas: float = 2.0) -> None:
        self.score, self.window, self.sigmas = score, window, sigmas

    def measure(self, samples: SampleBatch, seeds: SeedBatch) -> Columns:
        """Nothing: it judges by what others measure."""
        return {}

    def thresholds(self, table: Table) -> dict[str, float]:
        """The settings of those names."""
        return {"sigmas": self.sigmas, "window": self.window}

    def judge(self, table: Table) -> list[str | None]:
        """The reasons, such as "outlier: drift 0.612 is 2.4 sigma off 0.310"."""
        scores, labels = table.samples[self.score].astype(np.float64), table.samples["label"]
        rejected = table.samples.get("rejected", np.zeros(len(scores), bool))
        windows: defaultdict[int, deque[float]] = defaultdict(partial(deque, maxlen=self.window))
        reasons: list[str | None] = []
        for score, label, out in zip(scores.tolist(), labels.tolist(), rejected.tolist(), strict=True):
            seen = windows[label]
            reasons.append(None if out or not np.isfinite(score) else self._reason(score, seen))
            if not out and np.isfinite(score):
                seen.append(score)
        return reasons

    def _reason(self, score: float, seen: deque[float]) -> str | None:
        if len(seen) < LEAST:
            return None
        mean, sigma = float(np.mean(seen)), float(np.std(seen))
        off = abs(score - mean) / max(sigma, 1e-6)
        return f"outlier: {self.score} {score:.3f} is {off:.1f} sigma off {mean:.3f}" if off > self.sigmas else None
