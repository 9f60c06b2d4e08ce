"""What stays of an image for finding near copies among very many: a sketch of its features and a perceptual hash."""

from functools import lru_cache
from typing import Any

import imagehash
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from gifcli.noise import Slot, generator

SKETCH = 64
ODD_COLUMNS = np.uint64(0x5555555555555555)
"""The bits of a hash that belong to odd horizontal frequencies, whose sign a mirror image changes."""


def sketch(features: Tensor) -> NDArray[np.float16]:
    """(n d) -> (n 64) float16, unit norm: a random projection that keeps cosines (Johnson and Lindenstrauss 1984)."""
    projected = features.cpu().float() @ _projection(features.shape[1])
    kept: NDArray[np.float16] = torch.nn.functional.normalize(projected, dim=1).numpy().astype(np.float16)
    return kept


def sketch_error(cosine: float) -> float:
    """The standard error of the cosine of two sketches about that of their features: (1 - c^2) / sqrt(64)."""
    return float((1 - cosine**2) / SKETCH**0.5)


def perceptual_hash(pixels: NDArray[Any]) -> NDArray[np.uint64]:
    """(n h w 3) uint8 -> (n) uint64: the signs of the 8 x 8 lowest cosine coefficients (imagehash.phash)."""
    bits = [imagehash.phash(Image.fromarray(image)).hash.ravel() for image in pixels]
    packed = np.packbits(np.reshape(bits, (len(pixels), 64)).astype(bool), axis=1)
    return packed.view(">u8")[:, 0].astype(np.uint64)


def mirrored_hash(hashes: NDArray[Any]) -> NDArray[np.uint64]:
    """(n) uint64 -> (n) uint64: the hashes of the mirrored images, but for a few bits near the median."""
    turned: NDArray[np.uint64] = hashes ^ ODD_COLUMNS
    return turned


@lru_cache
def _projection(dim: int) -> Tensor:
    """(dim SKETCH), the same in every process."""
    return torch.randn(dim, SKETCH, generator=generator(0, Slot("", 0, 0), f"sketch {dim}"))
