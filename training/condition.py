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


def known_cells(n: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Which samples know their feature (n 1), and which cells of its 4x4 map (n 1 4 4) each knows: 0 or 1.

    One in eight knows neither, for classifier-free guidance (Ho and Salimans, arXiv 2207.12598); one in five no cell;
    the others each cell with a probability drawn for the sample, so that any part of the map may be left to imagination.
    """
    draw = torch.rand(4, n, 1, device=device)
    some = (draw[0] >= 0.125).float()
    share = torch.where(draw[1] < 0.2, 0.0, torch.where(draw[2] < 0.3, 1.0, draw[3]))
    cells = torch.rand(n, 16, device=device) < share
    return some, (cells * some).view(n, 1, 4, 4).float()
