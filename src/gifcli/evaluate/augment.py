"""Augmentation on the fly, batched, on the images' own device: mirror, small shifts, TrivialAugment."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

GEOMETRIC = ("identity", "shear x", "shear y", "translate x", "translate y", "rotate")
PHOTOMETRIC = ("brightness", "color", "contrast", "sharpness", "posterize", "solarize", "autocontrast", "equalize")
OPERATIONS = (*GEOMETRIC, *PHOTOMETRIC)
GREY = (0.2989, 0.587, 0.114)


def weak(images: Tensor, draw: torch.Generator, *, mirror: bool) -> Tensor:
    """Images (b 3 s s) in [0, 1], shifted by up to s/16 pixels (edges repeated); half of them mirrored where that is allowed."""
    b, _, s, _ = images.shape
    margin = max(1, s // 16)
    padded = F.pad(images, [margin] * 4, mode="replicate")
    dy, dx = (torch.randint(0, 2 * margin + 1, (b,), generator=draw) for _ in range(2))
    rows = (torch.arange(s) + dy[:, None]).to(images.device)
    columns = (torch.arange(s) + dx[:, None]).to(images.device)
    flip = (torch.rand(b, generator=draw) < 0.5).to(images.device) & mirror
    columns = torch.where(flip[:, None], columns.flip(1), columns)
    each = torch.arange(b, device=images.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[each, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def trivial(images: Tensor, draw: torch.Generator) -> Tensor:
    """TrivialAugment Wide (Mueller and Hutter, arXiv 2103.10158): images (b 3 s s) in [0, 1], each under one operation,
    drawn uniformly, at one of 31 strengths; black where nothing is known.
    """
    b = len(images)
    chosen = torch.randint(0, len(OPERATIONS), (b,), generator=draw)
    strength = torch.randint(0, 31, (b,), generator=draw) / 30
    sign = torch.randint(0, 2, (b,), generator=draw) * 2.0 - 1
    moved = torch.nonzero((chosen > 0) & (chosen < len(GEOMETRIC)))[:, 0]
    result = images.clone()
    if len(moved):
        places = moved.to(images.device)
        result[places] = warp(images[places], chosen[moved], (strength * sign)[moved])
    for number, name in enumerate(PHOTOMETRIC, len(GEOMETRIC)):
        rows = torch.nonzero(chosen == number)[:, 0]
        if len(rows):
            places = rows.to(images.device)
            result[places] = recolour(name, images[places], strength[rows], sign[rows])
    return result


def warp(images: Tensor, operations: Tensor, amounts: Tensor) -> Tensor:
    """Geometric operation of each image (b 3 s s), by its place in GEOMETRIC; amounts (b) in [-1, 1]."""
    s = images.shape[-1]
    shear_x, shear_y, shift_x, shift_y, turn = (torch.where(operations == i, amounts, 0.0) for i in range(1, 6))
    angle = turn * math.radians(135)
    move = 2 * 32 / s  # up to 32 pixels, in units of half a side
    theta = torch.stack(
        [
            torch.stack([angle.cos(), -angle.sin() + 0.99 * shear_x, move * shift_x], 1),
            torch.stack([angle.sin() + 0.99 * shear_y, angle.cos(), move * shift_y], 1),
        ],
        1,
    ).to(images)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="nearest", align_corners=False)


def recolour(name: str, images: Tensor, strength: Tensor, sign: Tensor) -> Tensor:  # noqa: PLR0911 - one an operation
    """Photometric operation of all images (b 3 s s) in [0, 1]; strength (b) in [0, 1], sign (b) -1 or 1."""
    factor = (1 + 0.99 * strength * sign).to(images)[:, None, None, None]
    match name:
        case "brightness":
            return (images * factor).clamp(0, 1)
        case "color":
            return _blend(images, _grey(images), factor)
        case "contrast":
            return _blend(images, _grey(images).mean((1, 2, 3), keepdim=True), factor)
        case "sharpness":
            return _blend(images, _smooth(images), factor)
        case "posterize":
            levels = 2.0 ** (8 - (strength * 6).round()).to(images)[:, None, None, None]
            return ((images * 255).round() * levels / 256).floor() * (256 / levels) / 255
        case "solarize":
            limit = (1 - strength).to(images)[:, None, None, None]
            return torch.where(images >= limit, 1 - images, images)
        case "autocontrast":
            low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
            return torch.where(high > low, (images - low) / (high - low).clamp(min=1e-6), images)
        case _:
            return _equalize(images)


def _blend(images: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    return (factor * images + (1 - factor) * other).clamp(0, 1)


def _grey(images: Tensor) -> Tensor:
    return (images * images.new_tensor(GREY)[:, None, None]).sum(1, keepdim=True)


def _smooth(images: Tensor) -> Tensor:
    """Each inner pixel averaged with its neighbours, 5 parts to 1; the border as it is (as Pillow does)."""
    kernel = images.new_ones(3, 3)
    kernel[1, 1] = 5
    kernel = (kernel / kernel.sum()).expand(3, 1, 3, 3)
    result = images.clone()
    result[..., 1:-1, 1:-1] = F.conv2d(images, kernel, groups=3)
    return result


def _equalize(images: Tensor) -> Tensor:
    """Every channel's levels spread evenly: by the mid-rank of each of 256 levels."""
    b, c, s, t = images.shape
    levels = (images * 255).round().long().reshape(b * c, -1).clamp(0, 255)
    counts = torch.zeros(b * c, 256, device=images.device).scatter_add_(
        1, levels, torch.ones_like(levels, dtype=torch.float)
    )
    below = counts.cumsum(1) - counts
    first = counts.gather(1, levels.amin(1, keepdim=True))
    last = counts.gather(1, levels.amax(1, keepdim=True))
    spread = (below + 0.5 * counts - 0.5 * first) / (levels.shape[1] - 0.5 * (first + last)).clamp(min=1)
    return spread.gather(1, levels).clamp(0, 1).view(b, c, s, t).to(images)
