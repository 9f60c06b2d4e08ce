"""What the checks want to know of an image by itself; extract measures the seeds, so that thresholds are quantiles of them."""

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

SCALE = 128
"""Short side in pixels at which images are measured, so that those of all sizes compare; smaller ones stay as they are."""


def sharpness(images: Tensor) -> Tensor:
    """(b 3 h w) in [-1, 1] -> (b): variance of the Laplacian of the luma in [0, 1], at SCALE (Pech-Pacheco et al. 2000)."""
    grey = luma(images)
    kernel = grey.new_tensor([[0, 1, 0], [1, -4, 1], [0, 1, 0]])[None, None]
    return F.conv2d(grey, kernel).var((1, 2, 3), correction=0)


def contrast(images: Tensor) -> Tensor:
    """(b 3 h w) in [-1, 1] -> (b): standard deviation of the luma in [0, 1], at SCALE."""
    return luma(images).std((1, 2, 3), correction=0)


SEED_MEASURES: Final[dict[str, Callable[[Tensor], Tensor]]] = {"sharpness": sharpness, "contrast": contrast}


def luma(images: Tensor) -> Tensor:
    """(b 3 h w) in [-1, 1] -> (b 1 h' w') in [0, 1], its short side SCALE at most."""
    weights = images.new_tensor([0.299, 0.587, 0.114])
    grey = (torch.einsum("bchw,c->bhw", images, weights)[:, None] + 1) / 2
    scale = SCALE / min(grey.shape[-2:])
    if scale >= 1:
        return grey
    size = round(grey.shape[-2] * scale), round(grey.shape[-1] * scale)
    return F.interpolate(grey, size, mode="bilinear", align_corners=False, antialias=True)
