"""Common corruptions on the fly: eight of the kinds of ImageNet-C (Hendrycks and Dietterich, arXiv 1903.12261), own code.

Strengths are those of severity 3 there; what is measured in pixels scales with the side, relative to 224.
"""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

from gifcli.records import Array

Corruption = Callable[[Array, np.random.Generator], Array]


def gaussian_noise(x: Array, random: np.random.Generator) -> Array:
    return x + random.normal(0, 0.18, x.shape)


def shot_noise(x: Array, random: np.random.Generator) -> Array:
    return random.poisson(x * 12) / 12


def impulse_noise(x: Array, random: np.random.Generator) -> Array:
    draw = random.random(x.shape)
    return np.where(draw < 0.045, 0.0, np.where(draw > 0.955, 1.0, x))


def defocus_blur(x: Array, _random: np.random.Generator) -> Array:
    radius = 4 * min(x.shape[:2]) / 224
    return _float(_image(x).filter(ImageFilter.GaussianBlur(radius)))


def brightness(x: Array, _random: np.random.Generator) -> Array:
    return x + 0.3


def contrast(x: Array, _random: np.random.Generator) -> Array:
    mean = x.mean((0, 1), keepdims=True)
    result: Array = (x - mean) * 0.2 + mean
    return result


def pixelate(x: Array, _random: np.random.Generator) -> Array:
    h, w = x.shape[:2]
    small = _image(x).resize((max(1, int(w * 0.4)), max(1, int(h * 0.4))), Image.Resampling.BOX)
    return _float(small.resize((w, h), Image.Resampling.NEAREST))


def jpeg(x: Array, _random: np.random.Generator) -> Array:
    buffer = io.BytesIO()
    _image(x).save(buffer, "JPEG", quality=15)
    with Image.open(buffer) as image:
        return _float(image.convert("RGB"))


CORRUPTIONS: dict[str, Corruption] = {
    "gaussian noise": gaussian_noise,
    "shot noise": shot_noise,
    "impulse noise": impulse_noise,
    "defocus blur": defocus_blur,
    "brightness": brightness,
    "contrast": contrast,
    "pixelate": pixelate,
    "jpeg": jpeg,
}


def corrupt(name: str, pixels: Array, rng: int) -> Array:
    """An image (h w 3) uint8 under one corruption; the same for the same image number `rng`."""
    random = np.random.default_rng([rng, list(CORRUPTIONS).index(name)])
    x = CORRUPTIONS[name](pixels.astype(np.float32) / 255, random)
    return (np.clip(x, 0, 1) * 255).round().astype(np.uint8)


def _image(x: Array) -> Image.Image:
    return Image.fromarray((np.clip(x, 0, 1) * 255).round().astype(np.uint8))


def _float(image: Image.Image) -> Array:
    return np.asarray(image, np.float32) / 255
