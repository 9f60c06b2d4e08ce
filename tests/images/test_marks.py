"""Marks survive in every format, for other readers too, and nothing private comes along."""

import io

import numpy as np
import pytest
from PIL import ExifTags, Image
from skimage import data

from gifcli import __version__
from gifcli.images.marks import encode_image, has_gps, read_marks

CAT = np.ascontiguousarray(data.cat()[:200, :240])
MARKS = {"prior": "sd-turbo", "parent_sha256": "ab" * 32, "key": "0123456789abcdef-k0-a1"}
TRAINED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
ALTERED = "http://cv.iptc.org/newscodes/digitalsourcetype/algorithmicallyEnhanced"


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_marks_come_back_from_every_format(suffix: str) -> None:
    file = encode_image(CAT, suffix, 95, MARKS)
    expected = MARKS | {"digital_source_type": TRAINED, "software": f"gifcli {__version__}"}
    assert read_marks(file) == expected
    with Image.open(io.BytesIO(file)) as image:
        error = np.abs(np.asarray(image.convert("RGB"), dtype=int) - CAT)
    assert error.mean() < (0.001 if suffix == ".png" else 3)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_same_input_same_bytes_and_no_time_in_them(suffix: str) -> None:
    file = encode_image(CAT, suffix, 95, MARKS)
    assert file == encode_image(CAT.copy(), suffix, 95, dict(reversed(MARKS.items())))
    with Image.open(io.BytesIO(file)) as image:
        assert set(image.getexif()) == {ExifTags.Base.Software}
    assert b"tIME" not in file


def test_filters_are_not_called_a_trained_model() -> None:
    assert read_marks(encode_image(CAT, ".jpg", 95, {"prior": "classical"}))["digital_source_type"] == ALTERED


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize("text", ["a\"b<c>&amp; 'x'", "ünï 🐈 猫", "", "a --> ?> ]]>"])
def test_any_text_survives(suffix: str, text: str) -> None:
    assert read_marks(encode_image(CAT, suffix, 90, MARKS | {"prompt": text}))["prompt"] == text


def test_what_xml_forbids_does_not_break_the_xmp() -> None:
    marks = read_marks(encode_image(CAT, ".jpg", 90, MARKS | {"prompt": "a\x00b\udcffc"}))
    assert marks["prompt"] == "a?b?c"
    assert marks["key"] == MARKS["key"]


def test_bad_names_and_formats_are_refused() -> None:
    with pytest.raises(ValueError, match=r"parent_sha256.*found 'a b'"):
        encode_image(CAT, ".jpg", 90, {"a b": ""})
    with pytest.raises(ValueError, match=r"found '.gif'"):
        encode_image(CAT, ".gif", 90, {})


def test_png_says_it_as_text_too() -> None:
    with Image.open(io.BytesIO(encode_image(CAT, ".png", 95, MARKS))) as image:
        text = image.text
    assert text["Software"] == f"gifcli {__version__}"
    assert text["DigitalSourceType"] == TRAINED
    assert text["key"] == MARKS["key"]


@pytest.mark.parametrize(("quality", "sampling"), [(95, (1, 1)), (90, (1, 1)), (80, (2, 2))])
def test_jpeg_keeps_full_colour_at_high_quality(quality: int, sampling: tuple[int, int]) -> None:
    with Image.open(io.BytesIO(encode_image(CAT, ".jpg", quality, {}))) as image:
        assert image.layer[0][1:3] == sampling


def test_an_unmarked_image_has_no_marks() -> None:
    buffer = io.BytesIO()
    Image.fromarray(CAT).save(buffer, "JPEG")
    assert read_marks(buffer.getvalue()) == {}


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_gps_is_seen_in_every_format(form: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Camera"
    plain = _saved(form, exif)
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSVersionID] = b"\2\3\0\0"
    version_only = _saved(form, exif)
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (48.0, 8.0, 15.0)
    assert [has_gps(plain), has_gps(version_only), has_gps(_saved(form, exif))] == [False, False, True]


def test_gps_in_xmp_is_seen_and_garbage_has_none() -> None:
    buffer = io.BytesIO()
    Image.fromarray(CAT).save(buffer, "JPEG", xmp=b'<x exif:GPSLatitude="48,8.2N"/>')
    assert has_gps(buffer.getvalue())
    assert not any(has_gps(garbage) for garbage in (b"", b"<html>", buffer.getvalue()[:40], b"\x89PNG\r\n\x1a\n123"))


def _saved(form: str, exif: Image.Exif) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(CAT).save(buffer, form, exif=exif.tobytes())
    return buffer.getvalue()
