"""Entropy: the imagined image says more than its seed."""

import torch
from torch import Tensor

from gifcli.compute.batches import SeedBatch
from gifcli.guides import Classifier


def entropy(p: Tensor) -> Tensor:
    """H(p) = -sum p log p in nats, over the last axis."""
    p = p.clamp(min=torch.finfo(p.dtype).tiny)  # the gradient of p log p at 0 is infinite
    return -(p * p.log()).sum(-1)


def s_ent(s_new: Tensor, s: Tensor) -> Tensor:
    """S_ent = H(s') - H(s), GIF (arXiv 2211.13976) section 4.2: s' (b k C), s (b C) -> (b k), at most log C."""
    return entropy(s_new) - entropy(s)[:, None]


class Entropy:
    """S_ent under a classifier."""

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier

    def __call__(self, features: Tensor, seeds: SeedBatch) -> Tensor:
        """(b k d) unit features -> (b k) in nats."""
        s_new = self.classifier(features.flatten(0, 1)).view(*features.shape[:2], -1)
        return s_ent(s_new, self.classifier(seeds.features))
