"""Prototype: the imagined image lies near its class, and near the group of its class that it is nearest to."""

import torch
from torch import Tensor

from gifcli.compute.batches import SeedBatch
from gifcli.guides import Prototypes


def s_proto(v: Tensor, y: Tensor, prototypes: Prototypes) -> Tensor:
    """S_proto = (v . p_y + max_g v . p_yg) / 2: the energies of DistDiff (arXiv 2403.06741), with the sign of a score.

    Between unit vectors |v - p|^2 = 2 - 2 v . p, so its distances to the class's and the group's prototype have the same
    gradients. v (b k d) unit norm, y (b) labels -> (b k) in [-1, 1]; label -1, or a class without seeds, gives 0.
    """
    own = prototypes.means[y.clamp(min=0)]
    near_class = (v * own[:, None]).sum(-1)
    groups = torch.where(prototypes.owners[None] == y[:, None], 0.0, -torch.inf)
    near_group = (v @ prototypes.groups.T + groups[:, None]).amax(-1)
    known = (y >= 0) & (own.abs().sum(-1) > 0)
    return torch.where(known[:, None], (near_class + near_group) / 2, torch.zeros_like(near_class))


class Prototype:
    """S_proto under the rules' prototypes."""

    def __init__(self, prototypes: Prototypes) -> None:
        self.prototypes = prototypes

    def __call__(self, features: Tensor, seeds: SeedBatch) -> Tensor:
        """(b k d) unit features -> (b k) in [-1, 1]."""
        return s_proto(features, seeds.labels, self.prototypes)
