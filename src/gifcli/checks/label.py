"""label: rejects what lost its class."""

from collections.abc import Callable
from typing import Any

import torch
from numpy.typing import NDArray

from gifcli.checks import Columns, SampleBatch, Table
from gifcli.checks.thresholds import threshold
from gifcli.compute.batches import SeedBatch
from gifcli.rules.rules import Rules

Classifier = Callable[[torch.Tensor], torch.Tensor]
"""Unit features (n d) -> class probabilities (n C)."""

CLASSES_A_RANK = 10
MAX_RANK = 5
CLEAR = 0.5
"""A label more probable than all others together is clear, however sure the classifier is of the seeds."""


class LabelCheck:
    """Rejects a sample whose p(label), under the guide's classifier, is below `min_prob`.

    While `min_prob` is None it is the `quantile` of the seeds' own leave-one-out p(label), or the p(label) of the
    sample's own seed where that is lower (a child needn't be clearer than its parent), and 0.5 at most. A label among the `top_k` most
    probable saves the sample; while `top_k` is None, that is one place for every 10 classes, 5 at most, and none with a
    `min_prob` that was asked for. A label that is none of the rules' classes is not judged. `classify` makes the guide's
    classifier for a device; without it the check can judge, not measure.
    """

    def __init__(
        self,
        rules: Rules,
        quantile: float = 0.05,
        min_prob: float | None = None,
        top_k: int | None = None,
        classify: Callable[[str], Classifier] | None = None,
    ) -> None:
        self.rules = rules
        self.strict = min_prob is not None
        self.min_prob = threshold(min_prob, rules, "label_prob", quantile)
        self.top_k = (
            (0 if self.strict else min(MAX_RANK, len(rules.classes) // CLASSES_A_RANK)) if top_k is None else top_k
        )
        self.classify = classify
        self._classifiers: dict[str, Classifier] = {}

    def measure(self, samples: SampleBatch, seeds: SeedBatch) -> Columns:
        """Columns label_prob, label_rank (0 = the most probable) and label_prob_seed, the parent's; NaN where unknown."""
        p, rank = self._own(samples.features, seeds.labels)
        return {"label_prob": p, "label_rank": rank, "label_prob_seed": self._own(seeds.features, seeds.labels)[0]}

    def thresholds(self, table: Table) -> dict[str, float]:
        """min_prob, before a seed that is less clear itself lowers it for its children; top_k, 0 = no rank saves."""
        if self.min_prob is None:
            return {}
        return {"min_prob": self.min_prob if self.strict else min(self.min_prob, CLEAR), "top_k": self.top_k}

    def judge(self, table: Table) -> list[str | None]:
        """The reasons, such as "label: p 0.021 < 0.150"."""
        s = table.samples
        if self.min_prob is None:
            return [None] * len(s["label_prob"])
        return [
            f"label: p {p:.3f} < {limit:.3f}" if p < limit and rank >= self.top_k else None
            for p, rank, parent in zip(s["label_prob"], s["label_rank"], s["label_prob_seed"], strict=True)
            for limit in [self.min_prob if self.strict else min(self.min_prob, parent, CLEAR)]
        ]

    @torch.no_grad()
    def _own(self, features: torch.Tensor, labels: torch.Tensor) -> tuple[NDArray[Any], NDArray[Any]]:
        """p(label) and how many classes are more probable, (n) each."""
        device = str(features.device)
        if device not in self._classifiers:
            assert self.classify is not None
            self._classifiers[device] = self.classify(device)
        p = self._classifiers[device](features)
        known = labels >= 0
        own = p.gather(1, labels.clamp(min=0)[:, None])
        rank = (p > own).sum(1)
        return torch.where(known, own[:, 0], torch.nan).cpu().numpy(), torch.where(known, rank, 0).cpu().numpy()
