"""The denoiser's condition vector: the encoder's feature, then what the pixels were made from."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

DIM = 1280
SIZE = 128  # pixels at which the encoder sees what it describes, for training and for callers
SCALE = math.sqrt(DIM)  # unit-norm features -> elements of about unit size
MICRO = 4.0  # weight of the two plain floats beside 1,280 feature elements


def condition(features: Tensor, source: Tensor, size: Tensor) -> Tensor:
    """(b 1282): unit-norm features (b 1280), or zeros for "anything"; source short sides (b) and picture sizes (b), pixels.

    source < size says "upsampled, expect blur"; callers who want sharp pictures say source = size.
    """
    micro = torch.stack([(source / size).log2().clamp(-1, 0), (size / 64).log2()], -1)
    return torch.cat([features * SCALE, micro * MICRO], -1)


def perturbed(features: Tensor, most: float) -> Tensor:
    """Unit-norm features (b d) moved by a random length up to `most` in a random direction, and back to the sphere."""
    length = most * torch.rand(len(features), 1, device=features.device)
    return F.normalize(features + length * F.normalize(torch.randn_like(features), dim=-1), dim=-1)


def dropped(features: Tensor, probability: float) -> Tensor:
    """Features with whole rows set to zero by chance, for classifier-free guidance (Ho and Salimans, arXiv 2207.12598)."""
    return features * (torch.rand(len(features), 1, device=features.device) >= probability)
