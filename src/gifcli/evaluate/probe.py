"""A linear probe: multinomial logistic regression on the encoder's features, by a fixed number of optimiser steps."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gifcli.evaluate.arms import Arm
from gifcli.evaluate.draw import draw
from gifcli.evaluate.pool import Pool
from gifcli.records import Array

SCALE = 20.0
"""Unit-norm features are brought to this length, so that steps of usual size suffice."""
VIEWS = {"none": 1, "weak": 2, "classical": None}
"""How many views of an original an augmentation draws from; None = all."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A learner on features. Augmentation reaches the originals only: of a generated image there is one feature."""

    name: str = "probe"
    steps: int = 200
    batch: int = 128
    lr: float = 3e-3
    weight_decay: float = 0.05

    def fit(self, pool: Pool, arm: Arm, rng: int, classes: int) -> tuple[Tensor, Tensor]:
        """Weights (d C) and bias (C) after the last step."""
        weight = torch.zeros(pool.x.shape[1], classes, requires_grad=True)
        bias = torch.zeros(classes, requires_grad=True)
        optimiser = torch.optim.AdamW([weight, bias], self.lr, weight_decay=self.weight_decay, fused=True)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, self.steps)
        random = np.random.default_rng([rng, 3])
        for rows in draw(pool, arm.share, self.batch, self.steps, rng):
            x = _views(pool, rows, arm, random)
            loss = F.cross_entropy(torch.addmm(bias, x, weight, alpha=SCALE), torch.from_numpy(pool.labels[rows]))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        return weight.detach(), bias.detach()

    def train(self, pool: Pool, arm: Arm, rng: int, classes: int, tests: Mapping[str, Array]) -> dict[str, Array]:
        """Probabilities (n C) of each test set after the last step."""
        weight, bias = self.fit(pool, arm, rng, classes)
        return {name: probabilities(x, weight, bias) for name, x in tests.items()}


def probabilities(x: Array, weight: Tensor, bias: Tensor) -> Array:
    """P (n C) of features (n d)."""
    p: Array = torch.addmm(bias, torch.from_numpy(x), weight, alpha=SCALE).softmax(1).numpy()
    return p


def _views(pool: Pool, rows: Array, arm: Arm, random: np.random.Generator) -> Tensor:
    """(b d): of each original drawn, one of the views that the augmentation allows. `rows` has the generated ones first."""
    x = torch.from_numpy(pool.x)
    if pool.views is None:
        return x[torch.from_numpy(rows)]
    m, v, d = pool.views.shape
    own = rows[rows < pool.originals]
    views = random.integers(0, min(VIEWS[arm.augmentation] or v, v), len(own))
    originals = torch.from_numpy(pool.views).view(m * v, d).index_select(0, torch.from_numpy(own * v + views))
    return torch.cat([x.index_select(0, torch.from_numpy(rows[: len(rows) - len(own)])), originals])
