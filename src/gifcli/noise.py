"""All randomness: one generator per (rng, seed, k, attempt, purpose), drawn on the CPU.

A sample's noise depends on what it is, never on batch size, shard, worker count or restarts.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


class Slot(NamedTuple):
    """One image that is owed: sample k of a seed, in one attempt."""

    seed: str
    k: int
    attempt: int


def generator(rng: int, slot: Slot, purpose: str) -> torch.Generator:
    """The one generator of this sample for this purpose."""
    text = f"{rng}\0{slot.seed}\0{slot.k}\0{slot.attempt}\0{purpose}"
    digest = hashlib.sha256(text.encode()).digest()
    return torch.Generator("cpu").manual_seed(int.from_bytes(digest[:8], "big") >> 1)


@dataclass(frozen=True, slots=True)
class NoiseSource:
    """Noise of b slots; each row comes from its own slot's generator."""

    rng: int
    slots: Sequence[Slot]

    def generators(self, purpose: str) -> list[torch.Generator]:
        """Each slot's own generator, for samplers that draw several times."""
        return [generator(self.rng, slot, purpose) for slot in self.slots]

    def normal(self, purpose: str, shape: Sequence[int]) -> Tensor:
        """(b *shape) float32 from N(0, 1), on the CPU."""
        return torch.stack([torch.randn(*shape, generator=generator(self.rng, s, purpose)) for s in self.slots])

    def uniform(self, purpose: str, shape: Sequence[int]) -> Tensor:
        """(b *shape) float32 from U(0, 1), on the CPU."""
        return torch.stack([torch.rand(*shape, generator=generator(self.rng, s, purpose)) for s in self.slots])
