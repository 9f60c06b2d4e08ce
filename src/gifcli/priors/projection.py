"""Feature maps as few numbers a cell: what the embedded denoiser is told lies where."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Projection:
    """Principal axes of the encoder's feature-map cells: `mean` (d), `axes` (d channels)."""

    mean: Tensor
    axes: Tensor

    def __call__(self, maps: Tensor) -> Tensor:
        """Maps (b d h w), whose cells average to a unit feature -> (b channels h w)."""
        return torch.einsum("bdhw,dc->bchw", maps - self.mean[:, None, None], self.axes)

    def shift(self, moved: Tensor) -> Tensor:
        """What a displacement (b d) of the pooled feature adds to every cell: (b channels 1 1)."""
        return (moved @ self.axes)[:, :, None, None]


def layout(maps: Tensor, known: Tensor, height: int, width: int) -> Tensor:
    """(b channels+1 height width): maps (b channels h w) where `known` (b 1 h w) is 1, zeros elsewhere, and `known` itself."""
    return F.interpolate(torch.cat([maps * known, known], 1), (height, width), mode="nearest")
