"""Small things: sharpness, grain, and a patch that hides a part."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from gifcli.noise import NoiseSource
from gifcli.priors.classical.parameters import Parameters

BLUR = 0.009
"""Side of the squares that the blur averages over, as a share of the short side: two pixels at 224."""
GRAIN = 256
"""The short side in pixels at which grain is drawn, at most."""
EDGE = 0.02
"""Softness of a patch's edge, as a share of half the side; it keeps place and size differentiable."""


def refocus(x: Tensor, p: Parameters) -> Tensor:
    """(b 3 h w) sharpened where detail > 0, blurred where it is < 0 (unsharp masking)."""
    amount = torch.where(p.detail > 0, 0.5 * p.detail, 0.4 * p.detail)[:, :, None, None]
    return x + amount * (x - blur(x, max(2.0, BLUR * min(x.shape[-2:]))))


def blur(x: Tensor, side: float) -> Tensor:
    """(b c h w) averaged over squares of `side` pixels and interpolated back: sigma = side / 2, at a Gaussian's tenth."""
    small = F.interpolate(x, (math.ceil(x.shape[-2] / side), math.ceil(x.shape[-1] / side)), mode="area")
    return enlarge(small, (x.shape[-2], x.shape[-1]))


def enlarge(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear, (b c h w) -> (b c *size). Enlarging needs no antialiasing, but torch's kernel that has it gives the same
    bits for any number of threads; the one without does not.
    """
    return F.interpolate(x, size, mode="bilinear", align_corners=False, antialias=True)


def hide(x01: Tensor, p: Parameters) -> Tensor:
    """Covers a rectangle with the image's mean colour where the patch's size exceeds 0.5 (random erasing, Zhong et al.)."""
    half = 0.22 * (p.patch[:, 2] - 0.5).clamp(min=0)
    centre, stretch = 0.9 * torch.tanh(0.6 * p.patch[:, :2]), torch.exp(0.2 * p.patch[:, 3])
    across = _window(x01.shape[-1], centre[:, 0], half * stretch)
    down = _window(x01.shape[-2], centre[:, 1], half / stretch)
    cover = (down[:, :, None] * across[:, None, :])[:, None]
    return x01 + cover * (x01.mean((2, 3), keepdim=True) - x01)


def _window(n: int, centre: Tensor, half: Tensor) -> Tensor:
    """(b n): near 1 within `half` of `centre`, 0 elsewhere and everywhere if half is 0; coordinates in [-1, 1]."""
    at = torch.linspace(-1, 1, n, device=centre.device) - centre[:, None]
    return torch.sigmoid((at + half[:, None]) / EDGE) - torch.sigmoid((at - half[:, None]) / EDGE)


def add_grain(x01: Tensor, p: Parameters, noise: NoiseSource) -> Tensor:
    """Adds noise to the brightness, least at black and white, so that nothing is clipped."""
    h, w = x01.shape[-2:]
    share = min(1.0, GRAIN / min(h, w))
    drawn = noise.normal("grain", (1, round(h * share), round(w * share))).to(x01.device)
    grain = enlarge(drawn, (h, w))
    amount = 0.02 * p.grain.clamp(min=0)[:, :, None, None]
    return x01 + amount * grain * (4 * x01 * (1 - x01)).clamp(min=0)
