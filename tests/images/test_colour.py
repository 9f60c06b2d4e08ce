"""Bit depths, palettes, transparency and colour profiles, in real files, to sRGB on white."""

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms
from skimage import data

from gifcli.images.reading import read

COFFEE = Image.fromarray(data.coffee()).resize((96, 64), Image.Resampling.LANCZOS)
RAMP = np.linspace(0, 255, 256).round().astype(np.uint8).reshape(4, 64)
ADOBE_TO_XYZ = np.array([[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]])
SRGB_TO_XYZ = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
GAMMA = 563 / 256


def profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """A monitor profile of ICC version 2.1 (ICC.1:2001-04, sections 6.1 and 6.2)."""
    place = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += struct.pack(">4sII", name, place + len(body), len(content))
        body += content + b"\0" * (-len(content) % 4)
    head = struct.pack(">I4xI4s4s4s12x4s28x", place + len(body), 0x02100000, b"mntr", space, b"XYZ ", b"acsp")
    head += struct.pack(">3I48x", 0xF6D6, 0x10000, 0xD32D)
    return head + table + body


def xyz(values) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in values))


def text(content: bytes) -> bytes:
    return b"desc\0\0\0\0" + struct.pack(">I", len(content) + 1) + content + b"\0" * 80


CURVE = b"curv\0\0\0\0" + struct.pack(">IH", 1, 563)
SHARED = {b"desc": text(b"wide gamut"), b"cprt": b"text\0\0\0\0none\0", b"wtpt": xyz((0.9642, 1, 0.8249))}
WIDE = profile(
    b"RGB ",
    SHARED
    | {c + b"XYZ": xyz(ADOBE_TO_XYZ[:, i]) for i, c in enumerate((b"r", b"g", b"b"))}
    | {c + b"TRC": CURVE for c in (b"r", b"g", b"b")},
)
GREY = profile(b"GRAY", SHARED | {b"kTRC": b"curv\0\0\0\0" + struct.pack(">IH", 1, 256)})


def encode(linear):
    """Linear light in [0, 1] to sRGB levels (IEC 61966-2-1)."""
    linear = np.clip(linear, 0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def save(path: Path, image: Image.Image, **options) -> Path:
    image.save(path, **options)
    return path


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp"])
def test_wide_gamut_becomes_srgb(tmp_path, name):
    options = {"lossless": True} if name == "a.webp" else {}
    path = save(tmp_path / name, COFFEE, icc_profile=WIDE, **options)
    linear = (np.asarray(COFFEE) / 255) ** GAMMA
    expected = encode(linear @ (np.linalg.inv(SRGB_TO_XYZ) @ ADOBE_TO_XYZ).T)
    picture = read(path)
    assert picture.notes == []
    assert np.abs(picture.pixels - expected).max() < 3
    assert np.abs(expected - np.asarray(COFFEE)).max() > 20


def test_grey_profile(tmp_path):
    path = save(tmp_path / "a.png", Image.fromarray(RAMP), icc_profile=GREY)
    assert np.abs(read(path).pixels[..., 0] - encode(RAMP / 255)).max() < 2


def test_profile_and_transparency_together(tmp_path):
    image = COFFEE.copy()
    image.putalpha(Image.new("L", image.size, 255))
    opaque = read(save(tmp_path / "a.png", image, icc_profile=WIDE)).pixels
    assert (opaque == read(save(tmp_path / "b.png", COFFEE, icc_profile=WIDE)).pixels).all()


def test_srgb_profile_changes_nothing(tmp_path):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = read(save(tmp_path / "a.png", COFFEE, icc_profile=srgb))
    assert (picture.pixels == np.asarray(COFFEE)).all()


@pytest.mark.parametrize("broken", [b"no profile", WIDE[:200], GREY])
def test_broken_or_foreign_profile_is_ignored_with_a_note(tmp_path, broken):
    picture = read(save(tmp_path / "a.png", COFFEE, icc_profile=broken))
    assert (picture.pixels == np.asarray(COFFEE)).all()
    assert len(picture.notes) == 1
    assert "the colour profile is broken and was ignored" in picture.notes[0]


@pytest.mark.parametrize("name", ["a.jpg", "a.tif"])
def test_cmyk(tmp_path, name):
    """JPEG stores it inverted, as Adobe does; inverted twice or never, coffee would be far off."""
    path = save(tmp_path / name, COFFEE.convert("CMYK"))
    assert np.abs(read(path).pixels.astype(int) - np.asarray(COFFEE)).mean() < 6


def test_lab(tmp_path):
    spaces = [ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")]
    path = save(tmp_path / "a.tif", ImageCms.profileToProfile(COFFEE, *spaces, outputMode="LAB"))
    assert np.abs(read(path).pixels.astype(int) - np.asarray(COFFEE)).mean() < 1.5


@pytest.mark.parametrize(("mode", "name"), [("RGBA", "a.png"), ("LA", "a.png"), ("RGBA", "a.webp"), ("RGBA", "a.tif")])
def test_transparency_is_laid_on_white(tmp_path, mode, name):
    image = Image.new("RGB", (32, 16), (80, 80, 80)).convert(mode)
    alpha = Image.new("L", (32, 16), 0)
    alpha.paste(255, (16, 0, 32, 16))
    alpha.paste(51, (8, 0, 16, 16))
    image.putalpha(alpha)
    row = read(save(tmp_path / name, image, **({"lossless": True} if name == "a.webp" else {}))).pixels[0]
    assert row[[0, 10, 20]].tolist() == [[255] * 3, [220] * 3, [80] * 3]


def test_palette_with_transparency(tmp_path):
    image = Image.new("P", (3, 1))
    image.putpalette([10, 20, 30, 200, 0, 0, 0, 0, 200])
    image.putdata([0, 1, 2])
    one = read(save(tmp_path / "a.png", image, transparency=1)).pixels[0]
    assert one.tolist() == [[10, 20, 30], [255, 255, 255], [0, 0, 200]]
    several = read(save(tmp_path / "b.png", image, transparency=bytes([255, 0, 51]))).pixels[0]
    assert several.tolist() == [[10, 20, 30], [255, 255, 255], [204, 204, 244]]
    plain = read(save(tmp_path / "c.gif", image)).pixels[0]
    assert plain.tolist() == [[10, 20, 30], [200, 0, 0], [0, 0, 200]]


def test_transparent_colour_of_a_true_colour_png(tmp_path):
    image = Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8))
    assert read(save(tmp_path / "a.png", image, transparency=(1, 2, 3))).pixels[0].tolist() == [[255] * 3, [4, 5, 6]]


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pgm", "a.jp2"])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path, name):
    picture = read(save(tmp_path / name, Image.fromarray(RAMP.astype(np.uint16) * 257)))
    assert (picture.pixels == RAMP[..., None]).all()
    assert picture.notes == []


def test_sixteen_bit_big_endian(tmp_path):
    image = Image.frombytes("I;16B", (64, 4), (RAMP.astype(">u2") * 257).tobytes())
    assert (read(save(tmp_path / "a.tif", image)).pixels[..., 1] == RAMP).all()


def test_one_bit(tmp_path):
    image = Image.fromarray(RAMP > 127)
    for name in ("a.png", "a.tif", "a.bmp", "a.pbm"):
        assert (read(save(tmp_path / name, image)).pixels[..., 2] == np.where(RAMP > 127, 255, 0)).all()


@pytest.mark.parametrize(
    ("values", "expected", "noted"),
    [
        (RAMP / 255, RAMP, False),
        (RAMP.astype(float), RAMP, False),
        (RAMP * 257.0, RAMP, False),
        (RAMP * 4e5 - 7e6, RAMP, True),
        (RAMP / 255 - 0.5, RAMP, True),
        (np.where(RAMP == 9, np.nan, RAMP / 255), np.where(RAMP == 9, 0, RAMP), True),
        (np.full_like(RAMP, -3.0, float), np.zeros_like(RAMP), True),
        (np.full_like(RAMP, np.inf, float), np.zeros_like(RAMP), True),
    ],
)
def test_float_tiff(tmp_path, values, expected, noted):
    picture = read(save(tmp_path / "a.tif", Image.fromarray(values.astype(np.float32))))
    assert np.abs(picture.pixels[..., 0].astype(int) - expected).max() <= 1
    assert bool(picture.notes) == noted
