"""All geometry in one sampling: homography and elastic flow are composed, so pixels are interpolated once."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from gifcli.priors.classical.parameters import GRID, Parameters


def warp(images: Tensor, p: Parameters, *, mirror: bool, mode: str) -> Tensor:
    """(b c h w) -> (b c h w), seen through the parameters' geometry; beyond the edge the image is reflected."""
    grid = sampling_grid(p, images.shape[-2], images.shape[-1], mirror=mirror)
    return F.grid_sample(images, grid, mode=mode, padding_mode="reflection", align_corners=False)


def sampling_grid(p: Parameters, height: int, width: int, *, mirror: bool) -> Tensor:
    """Where each output pixel looks in the source: (b h w 2), x and y in [-1, 1]."""
    matrix = homography(p, width / height)
    if mirror:
        sign = torch.where(p.mirror < 0, -1.0, 1.0)
        matrix = matrix * torch.cat([sign, torch.ones_like(sign), torch.ones_like(sign)], 1)[:, None, :]
    y, x = torch.meshgrid(_centres(height, matrix), _centres(width, matrix), indexing="ij")
    points = torch.stack([x, y, torch.ones_like(x)], -1)
    seen = torch.einsum("bij,hwj->bhwi", matrix, points)
    return seen[..., :2] / seen[..., 2:] + flow(p, height, width)


def homography(p: Parameters, aspect: float) -> Tensor:
    """(b 3 3), output to source in [-1, 1]^2: about the centre rotate, shear, stretch, zoom; then tilt and shift.

    Rotation happens in pixels, not in [-1, 1]^2, so an image of any `aspect` = width / height keeps its right angles.
    """
    angle, shear, stretch = 0.175 * p.rotation[:, 0], 0.08 * p.shear[:, 0], 0.05 * p.stretch[:, 0]
    scale = torch.exp(-F.celu(0.35 * p.zoom[:, 0], 0.08))
    cos, sin = angle.cos(), angle.sin()
    wide, tall = scale * stretch.exp(), scale * (-stretch).exp()
    top = torch.stack([cos * wide, (cos * shear - sin) * tall / aspect], -1)
    bottom = torch.stack([sin * wide * aspect, (sin * shear + cos) * tall], -1)
    room = (1 - scale).clamp(min=0)[:, None]
    shift = 0.1 * p.shift + room * torch.tanh(0.6 * p.shift)
    affine = torch.cat([torch.stack([top, bottom], 1), shift[:, :, None]], 2)
    tilt = torch.cat([0.05 * p.perspective, torch.ones_like(p.zoom)], 1)[:, None, :]
    return torch.cat([affine, tilt], 1)


def flow(p: Parameters, height: int, width: int) -> Tensor:
    """Smooth displacement (b h w 2): a Bezier patch over GRID x GRID control points (Sederberg and Parry 1986, eq. 2)."""
    points = 0.07 * p.elastic.reshape(-1, 2, GRID, GRID)
    rows, columns = _bernstein(_centres(height, points)), _bernstein(_centres(width, points))
    return torch.einsum("bcij,hi,wj->bhwc", points, rows, columns)


def _bernstein(x: Tensor) -> Tensor:
    """Values (n GRID) of the Bernstein polynomials of degree GRID - 1 at n places in [-1, 1]."""
    t, degree = (x[:, None] + 1) / 2, GRID - 1
    i = torch.arange(GRID, device=x.device)
    return torch.tensor([math.comb(degree, j) for j in range(GRID)], device=x.device) * t**i * (1 - t) ** (degree - i)


def _centres(n: int, like: Tensor) -> Tensor:
    """Pixel centres of n pixels over [-1, 1]."""
    return (torch.arange(n, device=like.device, dtype=like.dtype) * 2 + 1) / n - 1
