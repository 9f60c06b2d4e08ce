"""Arms: the ways to train that are compared. All take the same number of optimiser steps."""

from dataclasses import dataclass
from typing import Literal, get_args

Augmentation = Literal["none", "weak", "classical"]
AUGMENTATIONS: tuple[Augmentation, ...] = get_args(Augmentation)
"""none; weak: mirrored and shifted a little; classical: weak and TrivialAugment (arXiv 2103.10158)."""
SHARES = (0.10, 0.33, 0.50, 0.67, 0.83)
"""Shares of generated images in what is drawn for training. 83% is plain concatenation at 5x."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to train. share: of generated images among those drawn, in [0, 1]."""

    share: float
    augmentation: Augmentation

    @property
    def name(self) -> str:
        """As tables show it."""
        if not self.share:
            return "originals" if self.augmentation == "none" else f"originals + {self.augmentation} augmentation"
        kind = "no" if self.augmentation == "none" else self.augmentation
        return f"{100 * self.share:.0f}% generated, {kind} augmentation"


ORIGINALS = [Arm(0.0, augmentation) for augmentation in AUGMENTATIONS]
"""The arms without generated images; the best of them is the baseline."""


def plain_share(originals: int, generated: int) -> float:
    """The share of generated images in the folder as it is; where one of SHARES is about that, that one."""
    plain = generated / (originals + generated)
    return next((share for share in SHARES if abs(share - plain) < 0.02), plain)


def shares_to_try(originals: int, generated: int) -> list[float]:
    """SHARES, and the folder's own; in order."""
    return sorted({*SHARES, plain_share(originals, generated)})
