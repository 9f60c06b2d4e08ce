"""A network trained from scratch on pixels, by a fixed number of optimiser steps."""

from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gifcli.evaluate.arms import Arm
from gifcli.evaluate.augment import trivial, weak
from gifcli.evaluate.draw import draw
from gifcli.evaluate.network import small_network, timm_network
from gifcli.evaluate.pool import Pool
from gifcli.records import Array

TEST_BATCH = 256
SEEDING = Lock()
"""Networks are initialised one at a time: torch draws their weights from one generator for all threads."""


@dataclass(frozen=True, slots=True)
class Network:
    """A learner on pixels: "cnn", or "timm:NAME". `mirror`: whether augmentation may mirror; dtype of its autocast."""

    name: str = "cnn"
    steps: int = 400
    batch: int = 64
    lr: float = 3e-3
    weight_decay: float = 0.05
    mirror: bool = True
    device: str = "cpu"
    dtype: str = "float32"

    def train(self, pool: Pool, arm: Arm, rng: int, classes: int, tests: Mapping[str, Array]) -> dict[str, Array]:
        """Probabilities (n C) of each test set (n s s 3) after the last step."""
        model = self.make(classes, rng)
        self._fit(model, pool, arm, rng)
        model.eval()
        return {name: self._predict(model, x) for name, x in tests.items()}

    def make(self, classes: int, rng: int) -> nn.Module:
        """The network as it is before the first step."""
        with SEEDING:
            torch.manual_seed(rng)  # the one generator that initialisation knows
            named = self.name.removeprefix("timm:")
            model: nn.Module = small_network(classes) if self.name == "cnn" else timm_network(named, classes)
        model.to(memory_format=torch.channels_last)
        return model.to(self.device)

    def _fit(self, model: nn.Module, pool: Pool, arm: Arm, rng: int) -> None:
        images = torch.from_numpy(pool.x).to(self.device).permute(0, 3, 1, 2)
        labels = torch.from_numpy(pool.labels).to(self.device)
        optimiser = torch.optim.AdamW(model.parameters(), self.lr, weight_decay=self.weight_decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, self.lr, total_steps=self.steps, pct_start=0.2)
        noise = torch.Generator().manual_seed(rng)
        for rows in draw(pool, arm.share, self.batch, self.steps, rng):
            place = torch.from_numpy(rows).to(self.device)
            x = images[place].float() / 255
            if arm.augmentation != "none":
                x = weak(x, noise, mirror=self.mirror)
            if arm.augmentation == "classical":
                x = trivial(x, noise)
            loss = F.cross_entropy(self._scores(model, x), labels[place])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()

    def _scores(self, model: nn.Module, x: Tensor) -> Tensor:
        """Images (b 3 s s) in [0, 1] -> float32 scores (b C)."""
        x = ((x - 0.5) / 0.25).contiguous(memory_format=torch.channels_last)
        with torch.autocast(
            torch.device(self.device).type, getattr(torch, self.dtype), enabled=self.dtype != "float32"
        ):
            scores: Tensor = model(x)
        return scores.float()

    @torch.inference_mode()
    def _predict(self, model: nn.Module, images: Array) -> Array:
        parts = []
        for start in range(0, len(images), TEST_BATCH):
            x = torch.from_numpy(images[start : start + TEST_BATCH]).to(self.device).permute(0, 3, 1, 2).float() / 255
            parts.append(self._scores(model, x).softmax(1).cpu().numpy())
        return np.concatenate(parts)
