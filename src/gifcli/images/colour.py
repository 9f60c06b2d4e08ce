"""Any Pillow image -> 8-bit sRGB on white: bit depth, palette, transparency, colour profile."""

from io import BytesIO

import numpy as np
from PIL import Image, ImageCms

DEEP = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")
TIFF_BITS = 258
SPACES = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK", "LAB": "Lab"}


def to_srgb(image: Image.Image) -> tuple[Image.Image, list[str]]:
    """The loaded image as mode RGB in sRGB, and notes on what was lost or ignored."""
    levels, notes = _eight_bits(image)
    colours, alpha = _split(levels)
    converted, ignored = _convert(colours, image.info.get("icc_profile"))
    if alpha is None:
        return converted, notes + ignored
    white = Image.new("RGB", converted.size, "white")
    white.paste(converted, mask=alpha)
    return white, notes + ignored


def _eight_bits(image: Image.Image) -> tuple[Image.Image, list[str]]:
    """Deep greys to mode L by their nominal range (65535 is white), without clipping; other modes as they are."""
    if image.mode not in DEEP:
        return image, []
    values = np.asarray(image).astype(np.float32)
    finite = np.isfinite(values)
    low, high = (float(values[finite].min()), float(values[finite].max())) if finite.any() else (0.0, 0.0)
    tops = (1, 255, 65_535) if image.mode == "F" else (_deep_top(image),)
    top = next((top for top in tops if high <= top), None) if low >= 0 else None
    notes = [] if finite.all() else ["values that are not numbers were taken as black"]
    if top is None:
        notes.append(f"grey values from {low:.6g} to {high:.6g} were stretched to black and white")
        span = (low, high)
    else:
        span = (0.0, float(top))
    values = np.where(finite, values, span[0])
    scaled = (values - span[0]) * (255 / ((span[1] - span[0]) or 1.0))
    return Image.fromarray(scaled.round().clip(0, 255).astype(np.uint8)), notes


def _deep_top(image: Image.Image) -> int:
    """The integer that means white: 12-bit TIFFs say so, all else is 16-bit."""
    bits = getattr(image, "tag_v2", {}).get(TIFF_BITS, (16,))
    return 4095 if bits[0] == 12 else 65_535


def _split(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Colours in mode RGB, L, CMYK or LAB, and the alpha channel where there is one."""
    if image.has_transparency_data:
        grey = image.mode in ("L", "LA", "La", "1")
        rgba = image.convert("RGBA")
        return rgba.convert("RGB").convert("L") if grey else rgba.convert("RGB"), rgba.getchannel("A")
    if image.mode == "1":
        return image.convert("L"), None
    return (image if image.mode in SPACES else image.convert("RGB")), None


def _convert(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, list[str]]:
    """Colours to sRGB by the embedded profile; without a usable one they are taken for sRGB already."""
    notes: list[str] = []
    if profile and image.mode != "LAB":
        try:
            embedded = ImageCms.ImageCmsProfile(BytesIO(profile))
            if ImageCms.getProfileDescription(embedded).startswith("sRGB"):
                return _plain(image), notes
            return _transform(image, embedded), notes
        except Exception as error:  # noqa: BLE001 - a hostile profile makes littlecms raise nearly anything
            notes = [f"the colour profile is broken and was ignored ({error or type(error).__name__})"]
    if image.mode == "LAB":
        return _transform(image, ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))), notes
    return _plain(image), notes


def _plain(image: Image.Image) -> Image.Image:
    """Mode RGB without a profile; no copy (of up to half a gigabyte) where it is that already."""
    return image if image.mode == "RGB" else image.convert("RGB")


def _transform(image: Image.Image, profile: ImageCms.ImageCmsProfile) -> Image.Image:
    srgb = ImageCms.createProfile("sRGB")
    # littlecms tabulates grey curves too coarsely in the shadows: up to 10 levels off
    flags = ImageCms.Flags.NOOPTIMIZE if image.mode == "L" else ImageCms.Flags.NONE
    converted = ImageCms.profileToProfile(image, profile, srgb, outputMode="RGB", flags=flags)
    assert converted is not None
    return converted
