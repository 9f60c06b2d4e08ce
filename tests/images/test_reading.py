"""Reading: every kind of real file to sRGB pixels, every broken one to a short reason; and framing."""

import os
import random
import struct
import time
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile
from skimage import data

from gifcli.errors import InputError
from gifcli.images.reading import bucket, fit, read

COFFEE = Image.fromarray(data.coffee()).resize((96, 64), Image.Resampling.LANCZOS)


def written(image: Image.Image, path: Path, **options) -> Path:
    image.save(path, **options)
    return path


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def difference(pixels, image: Image.Image) -> float:
    """Mean absolute difference in levels."""
    return float(np.abs(pixels.astype(int) - np.asarray(image.convert("RGB"), dtype=int)).mean())


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png_header(width: int, height: int) -> bytes:
    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(b"\0" * 64))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.png", {}),
        ("a.bmp", {}),
        ("a.tif", {"compression": "tiff_lzw"}),
        ("a.ppm", {}),
        ("a.jp2", {}),
        ("a.qoi", {}),
        ("a.webp", {"lossless": True}),
        ("a.png", {"format": "WEBP", "lossless": True}),
    ],
)
def test_lossless_files_are_read_exactly(tmp_path, name, options):
    picture = read(written(COFFEE, tmp_path / name, **options))
    assert picture.pixels.dtype == np.uint8
    assert (picture.pixels == np.asarray(COFFEE)).all()
    assert (picture.width, picture.height, picture.notes) == (96, 64, [])


@pytest.mark.parametrize(("name", "tolerance"), [("a.jpg", 4), ("a.webp", 4), ("a.avif", 4)])
def test_lossy_files_are_read_nearly(tmp_path, name, tolerance):
    assert difference(read(written(COFFEE, tmp_path / name, quality=95)).pixels, COFFEE) < tolerance


@pytest.mark.parametrize("near", [None, (12, 8)])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.webp"])
def test_exif_orientation_is_applied(tmp_path, name, orientation, near):
    """The stored pixels are the upright picture put through the inverse of what EXIF says a viewer must do."""
    upright = np.asarray(COFFEE.resize((96, 64)))
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 95} if name.endswith("jpg") else {"lossless": True} if name.endswith("webp") else {}
    path = written(Image.fromarray(np.ascontiguousarray(stored)), tmp_path / name, exif=exif, **options)
    picture = read(path, near=near and (lambda *_: near))
    assert (picture.width, picture.height) == (96, 64)
    h, w, _ = picture.pixels.shape
    assert difference(picture.pixels, COFFEE.resize((w, h), Image.Resampling.BOX)) < 4
    assert (w, h) == ((12, 8) if near and name == "a.jpg" else (96, 64))


def test_orientation_out_of_range_is_ignored(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 9
    assert read(written(COFFEE, tmp_path / "a.jpg", exif=exif)).pixels.shape == (64, 96, 3)


@pytest.mark.parametrize(
    ("near", "expected"), [((24, 16), (24, 16)), ((25, 16), (48, 32)), ((48, 33), (96, 64)), ((1, 1), (12, 8))]
)
def test_near_never_goes_below(tmp_path, near, expected):
    picture = read(written(COFFEE, tmp_path / "a.jpg"), near=lambda *_: near)
    assert picture.pixels.shape[1::-1] == expected
    assert (picture.width, picture.height) == (96, 64)


@pytest.mark.parametrize(("name", "kind"), [("a.gif", "GIF"), ("a.webp", "WEBP"), ("a.png", "PNG"), ("a.tif", "TIFF")])
def test_first_frame_of_several(tmp_path, name, kind):
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("red", "blue", "green")]
    frames[0].save(tmp_path / name, kind, save_all=True, append_images=frames[1:])
    picture = read(tmp_path / name)
    assert np.abs(picture.pixels.astype(int) - (255, 0, 0)).max() <= 3
    assert picture.notes == ["several frames or pages: only the first is used"]


def test_phone_pictures_with_a_second_image_are_no_animation(tmp_path):
    COFFEE.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[COFFEE.resize((12, 8))])
    assert Image.open(tmp_path / "a.jpg").format == "MPO"
    picture = read(tmp_path / "a.jpg", near=lambda *_: (12, 8))
    assert (picture.pixels.shape, picture.width, picture.notes) == ((8, 12, 3), 96, [])


def test_names_of_any_kind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    COFFEE.save("-rf \U0001f431\n.png", "PNG")
    assert difference(read(Path("-rf \U0001f431\n.png")).pixels, COFFEE) == 0


def reason(path: Path, **options) -> str:
    with pytest.raises(InputError) as caught:
        read(path, **options)
    assert len(str(caught.value)) < 160
    assert "\n" not in str(caught.value)
    return str(caught.value)


FRAME_LARGER_THAN_ITS_SCREEN = b"GIF89a\1\0\1\0\0\0\0,\0\0\0\0" + b"\x60\xea" * 2 + b"\0\2\2L\1\0;"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (FRAME_LARGER_THAN_ITS_SCREEN, "too large"),
        (b"", "empty"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "an HTML page"),
        (b"\n <html>", "an HTML page"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"\0\0\0\x18ftypheic" + b"\0" * 99, "HEIC"),
        (random.Random(1).randbytes(5000), "no known format"),
        (b"\0" * 5000, "no known format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no known format"),
        (encoded(COFFEE, "JPEG")[:1500], "truncated"),
        (encoded(COFFEE, "PNG")[:1500], "truncated"),
        (encoded(COFFEE, "JPEG")[:30], "damaged|truncated"),
        (encoded(COFFEE, "PNG")[:20], "damaged|truncated"),
        (png_header(20_000, 10_000), "too large: more than 179 megapixels"),
        (png_header(2**31 - 1, 2**31 - 1), "too large"),
        (png_header(100_000, 8), "sides of 1 to 65535"),
        (png_header(0, 8), "damaged|sides"),
    ],
)
def test_unusable_files_get_a_short_reason(tmp_path, content, expected):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    assert any(part in reason(path) for part in expected.split("|"))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "AVIF", "JPEG2000", "QOI"])
@pytest.mark.parametrize("part", [0.5, 0.9])
def test_half_a_picture_is_none(tmp_path, kind, part):
    whole = encoded(COFFEE, kind)
    path = tmp_path / "a.jpg"
    path.write_bytes(whole[: int(len(whole) * part)])
    assert reason(path).startswith(("truncated", "damaged"))


def test_files_that_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    assert reason(tmp_path / "pipe.jpg") == "not a regular file"
    assert reason(tmp_path) == "not a regular file"
    assert reason(tmp_path / "none.jpg") == "no such file or directory"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP"])
def test_bombs_are_refused_before_decoding(tmp_path, kind, monkeypatch):
    def never(*_):
        raise AssertionError("decoded")

    path = tmp_path / "a.img"
    path.write_bytes(encoded(COFFEE, kind))
    monkeypatch.setattr(ImageFile.ImageFile, "load", never)
    assert "too large: 96 x 64" in reason(path, max_pixels=6000)


def test_a_warning_of_pillow_is_neither_shown_nor_obeyed(tmp_path):
    """A 100-megapixel header draws a DecompressionBombWarning: below the limit, so only the missing data counts."""
    (tmp_path / "a.png").write_bytes(png_header(10_000, 10_000))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = list(warnings.filters)
        assert "truncated" in reason(tmp_path / "a.png")
        assert warnings.filters == before


def test_damaged_files_raise_input_errors_only(tmp_path, capfd):
    """Truncations and flipped bits of every format: pixels or an InputError, quickly, with nothing printed."""
    dice = random.Random(0)
    small = COFFEE.resize((48, 32))
    kinds = ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "AVIF", "JPEG2000", "QOI"]
    path = tmp_path / "a.jpg"
    outcomes = set()
    for kind in kinds:
        good = encoded(small, kind, **({"compression": "tiff_lzw"} if kind == "TIFF" else {}))
        for _ in range(40):
            bad = bytearray(good[: dice.randrange(1, len(good))] if dice.random() < 0.5 else good)
            for _ in range(dice.randrange(8)):
                bad[dice.randrange(min(len(bad), 200) if dice.random() < 0.5 else len(bad))] ^= 1 << dice.randrange(8)
            path.write_bytes(bad)
            started = time.monotonic()
            try:
                outcomes.add(read(path, max_pixels=1_000_000).pixels.shape[2:])
            except InputError as error:
                outcomes.add(type(error))
            assert time.monotonic() - started < 10
    assert outcomes == {(3,), InputError}
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
    assert capfd.readouterr() == ("", "")


def test_threads_read_alike(tmp_path):
    paths = [written(COFFEE.rotate(i), tmp_path / f"{i}.png") for i in range(16)]
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as threads:
        pictures = list(threads.map(read, paths))
    assert all(difference(p.pixels, COFFEE.rotate(i)) == 0 for i, p in enumerate(pictures))
    assert warnings.filters == before


def test_fit_is_the_identity_at_the_same_size():
    pixels = np.asarray(COFFEE)
    assert fit(pixels, 96, 64) is pixels


@pytest.mark.parametrize("size", [(48, 32), (64, 64), (32, 64), (64, 16), (200, 300), (96, 63), (1, 1)])
@pytest.mark.parametrize("shape", [(64, 96), (300, 40), (1, 1), (1, 500), (37, 1)])
def test_fit_covers_without_corners(size, shape):
    fitted = fit(np.full((*shape, 3), (200, 100, 50), np.uint8), *size)
    assert (fitted.shape, fitted.dtype) == ((size[1], size[0], 3), np.uint8)
    assert (fitted == (200, 100, 50)).all()


def test_fit_crops_the_centre_and_squashes_nothing():
    """A centred disc stays a disc of the expected size, and the cropped sides are gone."""
    y, x = np.mgrid[:200, :400]
    disc = np.where((x - 199.5) ** 2 + (y - 99.5) ** 2 < 80**2, 255, 0).astype(np.uint8)
    disc[:, :90] = disc[:, -90:] = 128
    fitted = fit(np.repeat(disc[..., None], 3, 2), 50, 50)[..., 0] / 255
    assert np.allclose((fitted[25].sum(), fitted[:, 25].sum()), 40, atol=0.6)
    assert np.allclose(fitted.sum(), np.pi * 20**2, rtol=0.01)
    assert fitted[:4, :4].max() < 0.03


def test_fit_reduces_with_antialiasing():
    stripes = np.zeros((512, 512, 3), np.uint8)
    stripes[:, ::2] = 255
    assert np.abs(fit(stripes, 37, 37).astype(int) - 127.5).max() <= 2


@pytest.mark.parametrize(
    ("size", "short", "multiple", "expected"),
    [
        ((1000, 1000), 128, 8, (128, 128)),
        ((4000, 3000), 128, 16, (176, 128)),
        ((3000, 4000), 128, 16, (128, 176)),
        ((1920, 1080), 512, 64, (896, 512)),
        ((10_000, 10), 512, 64, (1024, 512)),
        ((1, 500), 128, 8, (128, 256)),
        ((1001, 1000), 128, 64, (128, 128)),
        ((7, 9), 100, 64, (128, 192)),
    ],
)
def test_bucket(size, short, multiple, expected):
    assert bucket(*size, short, multiple) == expected


def test_bucket_keeps_the_bounds():
    dice = random.Random(2)
    for _ in range(500):
        width, height, multiple = dice.randrange(1, 5000), dice.randrange(1, 5000), dice.choice([1, 8, 32, 64])
        top = dice.choice([1.0, 1.5, 2.0, 3.0])
        w, h = bucket(width, height, 128, multiple, top)
        assert min(w, h) == 128
        assert w % multiple == h % multiple == 0
        assert max(w, h) <= 128 * top
        assert w == h or (w > h) == (width > height)
