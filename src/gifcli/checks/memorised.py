"""memorised: how near a sample lies to an image that its prior was trained on; rejects copies of those."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gifcli.checks import Columns, SampleBatch, Table
from gifcli.checks.thresholds import TWINS
from gifcli.compute.batches import SeedBatch
from gifcli.rules.rules import Rules

Array = NDArray[Any]

LEAST = 0.95
"""Similarity to a training image up to which nothing is called a copy of it."""


class Memory(Protocol):
    """What is known of a prior's training images."""

    def features(self, images: Tensor) -> Tensor:
        """(b 3 h w) in [-1, 1] -> (b d) unit norm, as the training images were encoded."""
        ...

    def nearest(self, features: Array) -> tuple[Array, Array]:
        """(b d) unit norm -> similarity to the nearest training image (b), and which one that is (b)."""
        ...


class MemorisedCheck:
    """Rejects a sample nearer to a training image of the prior than `max_similarity`.

    While that is None it is the `quantile` of the seeds' own similarities to their nearest training image, which the prior
    has never seen: between LEAST and the similarity of a copy. Without a `memory` it can judge, not measure.
    """

    def __init__(
        self, rules: Rules, quantile: float = 0.99, max_similarity: float | None = None, memory: Memory | None = None
    ) -> None:
        self.quantile, self.max_similarity, self.memory = quantile, max_similarity, memory
        self._seeds: dict[str, float] = {}

    def measure(self, samples: SampleBatch, seeds: SeedBatch) -> Columns:
        """Columns nn_prior and nn_prior_seed, the parent's: similarity to the nearest training image, in [-1, 1]."""
        new = [i for i, key in enumerate(seeds.keys) if key not in self._seeds and key not in seeds.keys[:i]]
        if new:
            found = self._nearest(seeds.pixels[new])
            self._seeds |= dict(zip([seeds.keys[i] for i in new], found.tolist(), strict=True))
        parents = np.array([self._seeds[key] for key in seeds.keys], np.float32)
        return {"nn_prior": self._nearest(samples.pixels.nan_to_num()), "nn_prior_seed": parents}

    def thresholds(self, table: Table) -> dict[str, float]:
        """max_similarity."""
        if self.max_similarity is not None:
            return {"max_similarity": self.max_similarity}
        _, first = np.unique(table.samples["seed"], return_index=True)  # each seed once, however many samples it has
        parents = table.samples["nn_prior_seed"][first]
        seen = float(np.quantile(parents, self.quantile)) if len(parents) else LEAST
        return {"max_similarity": min(TWINS, max(LEAST, seen))}

    def judge(self, table: Table) -> list[str | None]:
        """The reasons, such as "memorised: similarity 0.971 > 0.950 to a training image of the prior"."""
        if "nn_prior" not in table.samples:
            return [None] * len(table.samples["seed"])
        limit = self.thresholds(table)["max_similarity"]
        return [
            f"memorised: similarity {value:.3f} > {limit:.3f} to a training image of the prior"
            if value > limit
            else None
            for value in table.samples["nn_prior"]
        ]

    def _nearest(self, images: Tensor) -> Array:
        assert self.memory is not None
        return self.memory.nearest(self.memory.features(images).float().cpu().numpy())[0]
