"""Tone and colour: gamma, then one affine map of RGB a pixel; and a shoulder instead of clipping."""

import math

import torch
from torch import Tensor

from gifcli.priors.classical.parameters import Parameters

LUMA = (0.299, 0.587, 0.114)
KNEE = 0.25
"""The shoulder begins this far from black and white."""


def recolour(x01: Tensor, p: Parameters) -> Tensor:
    """(b 3 h w) in [0, 1] -> (b 3 h w), still to be brought into [0, 1] by `shoulder`."""
    x = x01.clamp(1e-3, 1) ** torch.exp(0.15 * p.gamma)[:, :, None, None]
    x = torch.einsum("bij,bjhw->bihw", matrix(p, colourfulness(x01)), x) * light(p, x.shape[-2], x.shape[-1])
    mean = x.mean((1, 2, 3), keepdim=True)
    return mean + (x - mean) * torch.exp(0.2 * p.contrast)[:, :, None, None]


def colourfulness(x01: Tensor) -> Tensor:
    """(b 3 h w) -> (b) in [0, 1]: 0 for a grey image, 1 from a mean distance between channels of 0.05 on."""
    spread = x01.amax(1) - x01.amin(1)
    return (spread.mean((1, 2)) / 0.05).clamp(max=1)


def matrix(p: Parameters, colour: Tensor) -> Tensor:
    """(b 3 3): white balance and exposure, then saturation, then hue (a turn about the grey axis, Rodrigues).

    `colour` (b) scales the balance, so that grey seeds stay grey.
    """
    warm, green = 0.04 * colour * p.balance[:, 0], 0.04 * colour * p.balance[:, 1]
    gains = torch.exp(torch.stack([warm - green / 2, green, -warm - green / 2], -1) + 0.15 * p.exposure)
    eye = torch.eye(3, device=gains.device, dtype=gains.dtype)
    grey = eye.new_tensor(LUMA).expand(3, 3)
    saturation = grey + (eye - grey) * torch.exp(0.2 * p.saturation)[:, :, None]
    axis = eye.new_tensor([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    hue = 0.06 * p.hue[:, :, None]
    turn = eye + hue.sin() * axis + (1 - hue.cos()) * (axis @ axis)
    return turn @ saturation @ torch.diag_embed(gains)


def light(p: Parameters, height: int, width: int) -> Tensor:
    """Gain (b 1 h w) that grows across the image, 1 at its centre."""
    x = torch.linspace(-1, 1, width, device=p.light.device)
    y = torch.linspace(-1, 1, height, device=p.light.device)
    across = p.light[:, 0, None, None] * x + p.light[:, 1, None, None] * y[:, None]
    return torch.exp(0.15 * across)[:, None]


def shoulder(x: Tensor) -> Tensor:
    """Brings each image of (b c h w) into [0, 1]: unchanged where it fits, else bent near the end, never clipped flat.

    With u the way past the knee in knees, u (1 + u / W^2) / (1 + u) is the extended Reinhard curve (Reinhard et al.
    2002, eq. 4), whose white W is the image's own extreme; below is what it takes from u, at the bright and dark end.
    """
    return x - _bend(x) + _bend(1 - x)


def _bend(x: Tensor) -> Tensor:
    u = (x - (1 - KNEE)).clamp(min=0) / KNEE
    white = u.amax((1, 2, 3), keepdim=True).clamp(min=1)
    return KNEE * (1 - 1 / white**2) * u**2 / (1 + u)
