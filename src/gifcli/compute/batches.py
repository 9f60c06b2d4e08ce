"""Seeds as tensors: what priors, guides and checks receive."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from gifcli.compute.transfer import land, upload
from gifcli.records import Seed


@dataclass(frozen=True, slots=True)
class SeedBatch:
    """b seeds of one working size.

    keys      b identities
    labels    (b) int64, index into the run's class list; -1 where the class is not in it
    names     b class names as a person reads them
    pixels    (b 3 h w) float32 in [-1, 1]
    features  (b d) float32, unit norm, in the encoder's space
    """

    keys: list[str]
    labels: Tensor
    names: list[str]
    pixels: Tensor
    features: Tensor

    def __len__(self) -> int:
        return len(self.keys)

    def repeat(self, k: int) -> "SeedBatch":
        """Each seed k times in a row: (b) -> (b*k)."""
        return self.take(torch.arange(len(self)).repeat_interleave(k).tolist())

    def take(self, indices: list[int]) -> "SeedBatch":
        """Seeds at the given places, in that order; a place may occur more than once."""
        index = torch.tensor(indices, device=self.labels.device)
        return replace(
            self,
            keys=[self.keys[i] for i in indices],
            labels=self.labels[index],
            names=[self.names[i] for i in indices],
            pixels=self.pixels[index],
            features=self.features[index],
        )


def seed_batch(seeds: list[Seed], classes: dict[str, str], device: str) -> SeedBatch:
    """Stacks seeds of one working size; `classes` maps each label, in the run's order, to its readable name."""
    order = {label: i for i, label in enumerate(classes)}
    return SeedBatch(
        keys=[seed.key for seed in seeds],
        labels=torch.tensor([order.get(seed.label, -1) for seed in seeds], device=device),
        names=[classes.get(seed.label, seed.label) for seed in seeds],
        pixels=pixels_to_tensor(np.stack([seed.pixels for seed in seeds]), device),
        features=upload(np.stack([seed.feature for seed in seeds]), device),
    )


def pixels_to_tensor(pixels: np.ndarray, device: str = "cpu") -> Tensor:
    """(b h w 3) uint8 -> (b 3 h w) float32 in [-1, 1]."""
    return upload(pixels, device).permute(0, 3, 1, 2).float() / 127.5 - 1


def tensor_to_pixels(images: Tensor) -> np.ndarray:
    """(b 3 h w) in [-1, 1], clipped -> (b h w 3) uint8."""
    return land(images).pixels()
