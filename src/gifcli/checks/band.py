"""band: rejects what is too like its seed, or too unlike it, pixel by pixel."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gifcli.checks import Columns, SampleBatch, Table
from gifcli.checks.seed_measures import luma
from gifcli.compute.batches import SeedBatch
from gifcli.rules.rules import Rules

MOST_PSNR = 100.0
"""Decibels at which images count as equal."""
RADIUS, SIGMA = 5, 1.5
K1, K2 = 0.01, 0.03


class BandCheck:
    """Rejects a sample whose PSNR (decibels) or SSIM with its seed lies outside the bands that were asked for.

    No quantile of the seeds says how like its seed a child should be: a limit that is None does not limit.
    """

    def __init__(
        self,
        rules: Rules,
        min_psnr: float | None = None,
        max_psnr: float | None = None,
        min_ssim: float | None = None,
        max_ssim: float | None = None,
    ) -> None:
        self.bands = {"psnr": (min_psnr, max_psnr), "ssim": (min_ssim, max_ssim)}

    def measure(self, samples: SampleBatch, seeds: SeedBatch) -> Columns:
        """Columns psnr and ssim, of the luma at the scale of `seed_measures`."""
        x, y = (
            _padded(luma(images)) for images in (samples.pixels.nan_to_num(), _as_large(seeds.pixels, samples.pixels))
        )
        return {"psnr": psnr(x, y).cpu().numpy(), "ssim": ssim(x, y).cpu().numpy()}

    def thresholds(self, table: Table) -> dict[str, float]:
        """Those that were asked for."""
        named = {"min": 0, "max": 1}
        limits = {f"{side}_{name}": band[i] for name, band in self.bands.items() for side, i in named.items()}
        return {name: limit for name, limit in limits.items() if limit is not None}

    def judge(self, table: Table) -> list[str | None]:
        """The reasons, such as "band: ssim 0.120 < 0.300"."""
        reasons: list[str | None] = [None] * len(table.samples["psnr"])
        for name, (low, high) in self.bands.items():
            for row, value in enumerate(table.samples[name].tolist()):
                if low is not None and value < low:
                    reasons[row] = reasons[row] or f"band: {name} {value:.3f} < {low:.3f}"
                elif high is not None and value > high:
                    reasons[row] = reasons[row] or f"band: {name} {value:.3f} > {high:.3f}"
        return reasons


def psnr(x: Tensor, y: Tensor) -> Tensor:
    """PSNR = 10 log10(1 / MSE): (b 1 h w) in [0, 1], twice -> (b) decibels, MOST_PSNR at most."""
    mse = (x - y).square().mean((1, 2, 3))
    return (-10 * mse.clamp(min=1e-12).log10()).clamp(max=MOST_PSNR)


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """(b 1 h w) in [0, 1], twice, at least 11 pixels a side -> (b): Wang et al. 2004, equation 13, mean over the inner pixels.

    SSIM = (2 mx my + c1)(2 sxy + c2) / ((mx^2 + my^2 + c1)(sx^2 + sy^2 + c2)), windows of an 11 x 11 Gaussian.
    """
    c1, c2 = K1**2, K2**2
    mx, my = _blur(x), _blur(y)
    sx, sy, sxy = _blur(x * x) - mx * mx, _blur(y * y) - my * my, _blur(x * y) - mx * my
    map_ = (2 * mx * my + c1) * (2 * sxy + c2) / ((mx**2 + my**2 + c1) * (sx + sy + c2))
    return map_.mean((1, 2, 3))


def _blur(x: Tensor) -> Tensor:
    """Gaussian means of the inner pixels."""
    at = torch.from_numpy(np.arange(-RADIUS, RADIUS + 1)).to(x)
    g = torch.exp(-0.5 * (at / SIGMA) ** 2)
    g = g / g.sum()
    return F.conv2d(F.conv2d(x, g[None, None, None]), g[None, None, :, None])


def _padded(x: Tensor) -> Tensor:
    """Edges repeated until one window fits: for images of a few pixels."""
    missing = [max(0, 2 * RADIUS + 1 - side) for side in x.shape[-2:]]
    return F.pad(x, (0, missing[1], 0, missing[0]), mode="replicate") if any(missing) else x


def _as_large(images: Tensor, like: Tensor) -> Tensor:
    """Images at the size of others, where a prior has changed it."""
    if images.shape[-2:] == like.shape[-2:]:
        return images
    return F.interpolate(images, like.shape[-2:], mode="bilinear", align_corners=False, antialias=True)
