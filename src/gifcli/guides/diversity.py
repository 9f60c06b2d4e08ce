"""Diversity: the siblings of a seed lie apart."""

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from gifcli.compute.batches import SeedBatch


def s_div(v: Tensor) -> Tensor:
    """S_div = 1 - cos(v_k, mean of the other siblings' v): (b k d) -> (b k) in [0, 2]; a lone sibling has 0.

    GIF (arXiv 2211.13976) section 4.2 takes a KL divergence of softmax(v); at unit norm that is about 1e-4 and has no force.
    """
    if v.shape[1] == 1:
        return torch.zeros_like(v[..., 0])
    others = (v.sum(1, keepdim=True) - v) / (v.shape[1] - 1)
    return 1 - cosine_similarity(v, others, dim=-1)


class Diversity:
    """S_div over all K siblings."""

    def __call__(self, features: Tensor, seeds: SeedBatch) -> Tensor:
        """(b k d) unit features -> (b k) in [0, 2]."""
        return s_div(features)
