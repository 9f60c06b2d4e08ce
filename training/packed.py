"""Read what pack.py wrote: random crops of many sources as batches of one size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


class Packed:
    """One packed source; `self[i]` is image i as (h w 3) uint8, read through a memory map."""

    def __init__(self, index: Path) -> None:
        self.name = index.name.removesuffix(".index.npy")
        self.index = np.load(index)
        self.pixels = np.load(index.with_name(f"{self.name}.pixels.npy"), mmap_mode="r")
        self.short_side = int(np.median(self.index[:, 1:].min(1)))

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, i: int) -> np.ndarray:
        offset, h, w = (int(v) for v in self.index[i])
        return self.pixels[offset : offset + h * w * 3].reshape(h, w, 3)

    def crop(self, i: int, size: int, u: np.ndarray) -> np.ndarray:
        """A (size size 3) crop of image i at the fractions u = (y, x, flip); images that are too small repeat their edge."""
        image = self[i]
        h, w = image.shape[:2]
        y, x = (int(u[k] * (max(0, side - size) + 1)) for k, side in enumerate((h, w)))
        image = image[y : y + size, x : x + size]
        if image.shape[:2] != (size, size):
            image = np.pad(image, [(0, size - image.shape[0]), (0, size - image.shape[1]), (0, 0)], mode="edge")
        return image[:, ::-1] if u[2] < 0.5 else image


def open_packed(folder: Path) -> list[Packed]:
    """Every packed source of a folder, in name order."""
    if not (found := sorted(folder.glob("*.index.npy"))):
        raise SystemExit(f"error: {folder} holds no packed images; run: python training/pack.py --out {folder} SOURCES")
    return [Packed(path) for path in found]


def to_pixels(images: list[np.ndarray]) -> Tensor:
    """uint8 images of one size -> (b 3 h w) in [-1, 1]."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def resize(images: Tensor, size: int) -> Tensor:
    """(b 3 h w) -> (b 3 size size), bilinear with antialiasing."""
    if images.shape[-2:] == (size, size):
        return images
    return F.interpolate(images, (size, size), mode="bilinear", align_corners=False, antialias=True)
