"""The latent of the classical prior: which element of f is which parameter of which augmentation."""

from dataclasses import dataclass, fields
from typing import Final

from torch import Tensor

GRID: Final = 4
"""The elastic warp has GRID x GRID control points."""

COUNTS: Final = {
    "rotation": 1,
    "shift": 2,
    "zoom": 1,
    "stretch": 1,
    "shear": 1,
    "perspective": 2,
    "elastic": 2 * GRID * GRID,
    "mirror": 1,
    "detail": 1,
    "gamma": 1,
    "exposure": 1,
    "contrast": 1,
    "saturation": 1,
    "hue": 1,
    "balance": 2,
    "light": 2,
    "patch": 4,
    "grain": 1,
}
TOTAL: Final = sum(COUNTS.values())


@dataclass(frozen=True, slots=True)
class Parameters:
    """Rows of b images, each (b n); 0 leaves the image as it is, 1 is one standard deviation.

    rotation     10 degrees                                   detail      > 0 sharper, < 0 blurred
    shift        x, y: 5% of the side, more when zoomed in    gamma       log exponent 0.15
    zoom         > 0: in by e^0.35; < 0: out, 8% at most      exposure    log gain 0.15
    stretch      log aspect ratio 0.1                         contrast    log gain 0.2
    shear        0.08                                         saturation  log gain 0.2
    perspective  x, y: 5% nearer at one edge                  hue         3.5 degrees
    elastic      16 control points, 3.5% of the side           balance     warm-cold, green-magenta: log gain 0.04
    mirror       < 0: mirrored, where the settings allow it   light       gradient along x, y: log gain 0.15 at the edge
    grain        > 0: noise of 2% of the range                patch       x, y, size (> 0.5 shows one), log aspect
    """

    rotation: Tensor
    shift: Tensor
    zoom: Tensor
    stretch: Tensor
    shear: Tensor
    perspective: Tensor
    elastic: Tensor
    mirror: Tensor
    detail: Tensor
    gamma: Tensor
    exposure: Tensor
    contrast: Tensor
    saturation: Tensor
    hue: Tensor
    balance: Tensor
    light: Tensor
    patch: Tensor
    grain: Tensor


def split(f: Tensor) -> Parameters:
    """The vector f (b TOTAL) -> its named parameters, in the order of `COUNTS`."""
    return Parameters(**dict(zip(COUNTS, f.split(list(COUNTS.values()), dim=1), strict=True)))


assert [field.name for field in fields(Parameters)] == list(COUNTS)
