"""Why a file is no image that can be used, in a few words."""

from pathlib import Path

from PIL import Image, UnidentifiedImageError

from gifcli.sources.folders import starts_like_image

HEIC = (b"ftypheic", b"ftypheix", b"ftyphevc", b"ftypmif1", b"ftypmsf1")


def reason(path: Path, error: Exception) -> str:
    """A few words on why Pillow gave up, from the error and the first bytes."""
    if isinstance(error, OSError) and error.errno is not None:
        return (error.strerror or str(error)).lower()
    if isinstance(error, Image.DecompressionBombError):
        return f"too large: more than {2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6:.0f} megapixels"
    if isinstance(error, MemoryError):
        return "too large for this machine's memory"
    if "truncated" in str(error).lower():
        return "truncated: the file ends before the picture does"
    kind = _kind(path)
    if isinstance(error, UnidentifiedImageError):
        return kind or "no image: its bytes are of no known format"
    return f"damaged: {error or type(error).__name__}"


def _kind(path: Path) -> str:
    """What a file that is no readable image seems to be, or ""."""
    try:
        with Path(path).open("rb") as file:
            start = file.read(512)
    except OSError:
        return ""
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    signs = [
        (text.startswith((b"<!doctype html", b"<html", b"<head")), "an HTML page, not an image"),
        (text.startswith((b"<svg", b"<?xml")), "an SVG or XML text; convert it to PNG"),
        (start[4:12] in HEIC, "HEIC is not supported; convert it to JPEG or PNG"),
        (starts_like_image(start), "damaged: the header of the image is broken or cut off"),
    ]
    return next((meaning for found, meaning in signs if found), "")
