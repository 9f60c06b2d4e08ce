"""Consistency: the imagined image keeps the class of its seed."""

from torch import Tensor

from gifcli.compute.batches import SeedBatch
from gifcli.guides import Classifier


def s_con(s: Tensor, y: Tensor) -> Tensor:
    """S_con = s'[y], GIF (arXiv 2211.13976) section 4.2, with the true label y where the paper takes the guide's guess.

    s (b k C) probabilities of the imagined images, y (b) labels -> (b k) in [0, 1]; label -1 gives 0.
    """
    own = s.gather(-1, y.clamp(min=0)[:, None, None].expand(*s.shape[:2], 1)).squeeze(-1)
    return own * (y >= 0)[:, None]


class Consistency:
    """S_con under a classifier."""

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier

    def __call__(self, features: Tensor, seeds: SeedBatch) -> Tensor:
        """(b k d) unit features -> (b k) in [0, 1]."""
        return s_con(self.classifier(features.flatten(0, 1)).view(*features.shape[:2], -1), seeds.labels)
