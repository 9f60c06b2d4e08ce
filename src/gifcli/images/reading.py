"""The one pixel convention: a file of any kind -> uint8 (h w 3) sRGB, or a short reason why not; and its framing."""

import ctypes
import logging
import os
import stat
import threading
import warnings
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, _imaging

from gifcli.errors import InputError
from gifcli.images.colour import to_srgb
from gifcli.images.damage import reason

Pixels = NDArray[np.uint8]
Size = tuple[int, int]
Near = Callable[[int, int], Size]

MAX_PIXELS = 178_956_970
"""Pillow's own hard limit, which only a change of its process-wide setting would lift. It admits every camera but some
200-megapixel phones, and costs up to 3 GB of memory while decoding."""
MAX_SIDE = 65_535
"""The longest side that a JPEG can have; a longer one is a strip, not a picture."""
LARGE = 30_000_000
"""Pixels from which images are decoded one at a time, so that threads do not multiply the memory of a huge one."""

FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "AVIF", "PPM", "JPEG2000", "QOI")
"""None that starts another program (EPS), and none that takes random bytes for a picture (TGA, PCX)."""
ORIENTATION = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

logging.getLogger("PIL").addHandler(logging.NullHandler())  # else Python prints its errors on stderr


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded image.

    pixels  uint8 (h w 3) sRGB; smaller than the image where `near` allowed that
    width, height  of the whole image in pixels, EXIF orientation applied
    notes   what was lost or ignored on the way, for the user
    """

    pixels: Pixels
    width: int
    height: int
    notes: list[str]


def read(path: Path, *, max_pixels: int = MAX_PIXELS, near: Near | None = None) -> Picture:
    """Decodes one image file; safe to call from several threads.

    `near` (w, h of the image) -> (w, h): a JPEG may be decoded at 1/2, 1/4 or 1/8, with neither side below that.

    Raises:
        InputError: the reason, in a few words, why the file is no image that can be used.

    """
    try:
        with _quiet, _open(path) as file:
            return _decode(file, max_pixels, near)
    except InputError:
        raise
    except Exception as error:  # a hostile file makes Pillow raise nearly anything
        raise InputError(reason(path, error)) from error


def fit(pixels: Pixels, width: int, height: int) -> Pixels:
    """(h w 3) -> (height width 3): the largest centred part of the wanted shape, resized with antialiasing."""
    h, w, _ = pixels.shape
    if (w, h) == (width, height):
        return pixels
    scale = min(w / width, h / height)
    crop_w, crop_h = width * scale, height * scale
    left, top = (w - crop_w) / 2, (h - crop_h) / 2
    box = (max(left, 0.0), max(top, 0.0), min(left + crop_w, w), min(top + crop_h, h))
    resized = Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS, box, reducing_gap=3.0)
    return np.array(resized)


def bucket(width: int, height: int, short: int, multiple: int, max_aspect: float = 2.0) -> Size:
    """The working (w, h) of an image: the short side is `short`, both are multiples of `multiple`, the aspect is as
    near as that allows, and at most `max_aspect`.
    """
    side = max(1, round(short / multiple))
    aspect = min(max(width, height) / min(width, height), max_aspect)
    long = max(side, min(round(side * aspect), int(side * max_aspect))) * multiple
    return (long, side * multiple) if width > height else (side * multiple, long)


def _open(path: Path) -> BinaryIO:
    """Opens a regular file that has bytes; a pipe would block."""
    status = os.stat(path)  # noqa: PTH116 - any path-like
    if not stat.S_ISREG(status.st_mode):
        raise InputError("not a regular file")
    if status.st_size == 0:
        raise InputError("empty: the file has no bytes")
    return Path(path).open("rb")


def _decode(file: BinaryIO, max_pixels: int, near: Near | None) -> Picture:
    with Image.open(file, formats=_formats()) as image:
        _refuse_bomb(image.size, max_pixels)
        width, height = image.size
        if near and image.format in ("JPEG", "MPO"):
            turned = _orientation(image) >= 5
            size = near(height, width)[::-1] if turned else near(width, height)
            image.draft(None, size)
        with _one_large if image.width * image.height > LARGE else nullcontext():
            image.load()
            orientation = _orientation(image)
            upright, notes = to_srgb(image)
            if orientation in TURNS:
                upright = upright.transpose(TURNS[orientation])
            pixels = np.array(upright)
        if orientation >= 5:
            width, height = height, width
        return Picture(pixels, width, height, notes + _about_frames(image))


@cache
def _formats() -> tuple[str, ...]:
    """Those of FORMATS that the installed Pillow reads; on the way, libtiff is told to keep its messages off stderr."""
    Image.init()
    with suppress(AttributeError, OSError):  # where Pillow's libtiff cannot be reached, it prints a line
        ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler(None)
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _refuse_bomb(size: Size, max_pixels: int) -> None:
    """Judges the size that the header claims, before anything of that size is allocated."""
    width, height = size
    if width * height > max_pixels:
        megapixels, limit = width * height / 1e6, max_pixels / 1e6
        raise InputError(f"too large: {width} x {height} = {megapixels:.0f} megapixels; the limit is {limit:.0f}")
    if max(size) > MAX_SIDE or min(size) < 1:
        raise InputError(f"sides of 1 to {MAX_SIDE} pixels expected, found {width} x {height}")


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1..8; 1 where there is none or it cannot be read."""
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - broken EXIF does not make the pixels unusable
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _about_frames(image: Image.Image) -> list[str]:
    """Called last, because to look for a second frame moves away from the first."""
    try:
        several = image.format != "MPO" and getattr(image, "is_animated", False)
    except Exception:  # noqa: BLE001 - the first frame is good; the second is broken
        several = True
    return ["several frames or pages: only the first is used"] if several else []


class _Quiet:
    """Keeps Pillow's warnings off stderr while any thread reads; `warnings.catch_warnings` alone is not thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers = 0
        self._caught = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._readers == 0:
                self._caught = warnings.catch_warnings()
                self._caught.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\b|gifcli\.(images|colour)$")
            self._readers += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._readers -= 1
            if self._readers == 0:
                self._caught.__exit__(kind, error, trace)


_quiet = _Quiet()
_one_large = threading.Lock()
