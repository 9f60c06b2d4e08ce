"""safety: rejects what a classifier of unsafe images flags."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gifcli.checks import Columns, SampleBatch, Table
from gifcli.compute.batches import SeedBatch, tensor_to_pixels
from gifcli.rules.rules import Rules

SAFE, UNSAFE = 0.5, 0.8
"""Below the first an image is rather safe; above the second it is most likely not, as the authors of open_nsfw say."""

Scorer = Callable[[NDArray[Any]], NDArray[Any]]
"""(b h w 3) uint8 -> (b) float32 in [0, 1], higher is less safe."""


class SafetyCheck:
    """Rejects a sample whose score is above `max_score`.

    While that is None it is the `quantile` of the seeds' own scores, kept between SAFE and UNSAFE: in a set that is safe
    throughout, what is not clearly safe is unusual. The score is kept whether it rejects or not; a rejected sample's slot is
    tried again with new noise like any other's. Without a `scorer` it can judge, not measure.
    """

    def __init__(
        self, rules: Rules, quantile: float = 0.99, max_score: float | None = None, scorer: Scorer | None = None
    ) -> None:
        self.quantile, self.max_score, self.scorer = quantile, max_score, scorer

    def measure(self, samples: SampleBatch, seeds: SeedBatch) -> Columns:
        """Column safety, in [0, 1]."""
        assert self.scorer is not None
        return {"safety": self.scorer(tensor_to_pixels(samples.pixels.nan_to_num()))}

    def thresholds(self, table: Table) -> dict[str, float]:
        """max_score, from the column safety of the seeds (NaN where unknown)."""
        if self.max_score is not None:
            return {"max_score": self.max_score}
        scores = table.seeds.get("safety", np.zeros(0))
        known = scores[np.isfinite(scores)]
        seen = float(np.quantile(known, self.quantile)) if len(known) else SAFE
        return {"max_score": min(UNSAFE, max(SAFE, seen))}

    def judge(self, table: Table) -> list[str | None]:
        """The reasons, such as "safety: score 0.913 > 0.500"."""
        limit = self.thresholds(table)["max_score"]
        return [
            f"safety: score {score:.3f} > {limit:.3f}" if score > limit else None for score in table.samples["safety"]
        ]

    def flagged(self, seeds: Columns) -> dict[str, float]:
        """Key of each flagged source -> its score: above the `max_score` asked for, else above UNSAFE."""
        limit = UNSAFE if self.max_score is None else self.max_score
        scores = seeds.get("safety", np.zeros(0)).tolist()
        return {str(key): score for key, score in zip(seeds["key"], scores, strict=False) if score > limit}
