"""What saving an image once more does to its features: how alike two copies are, in the encoder's eyes."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

QUALITY = 75
"""JPEG quality at which most programs save."""


def saved_again(pixels: NDArray[Any]) -> NDArray[Any]:
    """(n h w 3) uint8 -> the same images, each saved as a JPEG and read back."""
    return np.stack([_saved_again(image) for image in pixels])


def _saved_again(image: NDArray[Any]) -> NDArray[Any]:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=QUALITY)
    with Image.open(buffer) as again:
        return np.asarray(again)
