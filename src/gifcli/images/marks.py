"""Marks in generated files: each says that it was made, by what, and from which image.

XMP carries Iptc4xmpExt:DigitalSourceType (IPTC NewsCodes, http://cv.iptc.org/newscodes/digitalsourcetype/): what a
trained model made is `trainedAlgorithmicMedia`, what filters made is `algorithmicallyEnhanced`. EXIF carries Software;
PNG carries the same as text. Nothing of the parent's own metadata (GPS, owner, times) is carried over.
"""

import html
import io
import re
from typing import Any

from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from gifcli import __version__

SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
UNTRAINED = frozenset({"classical"})
SOFTWARE = f"gifcli {__version__}"
SUFFIXES = (".jpg", ".png", ".webp")

_XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:gifcli="urn:gifcli:marks:"
 {properties}/>
</rdf:RDF></x:xmpmeta>
<?xpacket end="r"?>"""
_PROPERTY = re.compile(r'\b(Iptc4xmpExt|xmp|gifcli):(\w+)="([^"]*)"')
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_GPS_PLACE = (ExifTags.GPS.GPSLatitude, ExifTags.GPS.GPSLongitude)


def source_type(prior: str) -> str:
    """The IPTC term (a URI) for what a prior of that name makes."""
    return SOURCE_TYPES + ("algorithmicallyEnhanced" if prior in UNTRAINED else "trainedAlgorithmicMedia")


def encode_image(pixels: NDArray[Any], suffix: str, quality: int, marks: dict[str, str]) -> bytes:
    """(h w 3) uint8 sRGB -> a marked image file; the same bytes for the same input.

    `suffix` is ".jpg", ".png" or ".webp"; `quality` in 1..100 (PNG is lossless and ignores it). `marks` are written as
    they are, under lower-case names: "prior" decides the source type, "parent_sha256" and "key" say where it comes from.
    """
    exif = Image.Exif()
    exif[ExifTags.Base.Software] = SOFTWARE
    options: dict[str, Any] = {"exif": exif.tobytes()}
    xmp = _xmp(marks)
    match suffix:
        case ".jpg":
            # 4:4:4 where quality matters: thin coloured edges are what a texture or a flower is made of
            options |= {"format": "JPEG", "quality": quality, "subsampling": 0 if quality >= 90 else 2, "xmp": xmp}
        case ".png":
            options |= {"format": "PNG", "compress_level": 1, "pnginfo": _png_text(marks, xmp)}
        case ".webp":
            options |= {"format": "WEBP", "quality": quality, "method": 4, "xmp": xmp}
        case _:
            raise ValueError(f"image format: expected one of {' '.join(SUFFIXES)}; found {suffix!r}")
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, **options)
    return buffer.getvalue()


def read_marks(data: bytes) -> dict[str, str]:
    """What `encode_image` wrote: the marks, "digital_source_type" (a URI) and "software"; {} for an unmarked image."""
    with Image.open(io.BytesIO(data)) as image:
        xmp = image.info.get("xmp", b"")
        software = image.getexif().get(ExifTags.Base.Software)
    text = xmp.decode("utf-8", "replace") if isinstance(xmp, bytes) else str(xmp)
    found = {}
    for space, name, value in _PROPERTY.findall(text):
        if space == "gifcli":
            found[name] = html.unescape(value)
        elif name == "DigitalSourceType":
            found["digital_source_type"] = html.unescape(value)
    if software and found:
        found["software"] = str(software)
    return found


def has_gps(data: bytes) -> bool:
    """Whether an image file tells where it was taken, in EXIF or XMP; False for what is no image."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            place = image.getexif().get_ifd(ExifTags.IFD.GPSInfo)
            xmp = image.info.get("xmp", b"")
    except (OSError, ValueError, SyntaxError, KeyError, Image.DecompressionBombError):
        return False
    text = xmp if isinstance(xmp, bytes) else str(xmp).encode()
    return any(tag in place for tag in _GPS_PLACE) or b"GPSLatitude" in text


def _xmp(marks: dict[str, str]) -> bytes:
    for name in marks:
        if not _NAME.fullmatch(name):
            raise ValueError(f"mark: expected a name like parent_sha256, found {name!r}")
    properties = {"Iptc4xmpExt:DigitalSourceType": source_type(marks.get("prior", "")), "xmp:CreatorTool": SOFTWARE}
    properties |= {f"gifcli:{name}": marks[name] for name in sorted(marks)}
    written = "\n ".join(f'{name}="{html.escape(_NOT_XML.sub("?", text))}"' for name, text in properties.items())
    return _XMP.format(properties=written).encode()


def _png_text(marks: dict[str, str], xmp: bytes) -> PngInfo:
    info = PngInfo()
    info.add_text("Software", SOFTWARE)
    info.add_text("DigitalSourceType", source_type(marks.get("prior", "")))
    for name in sorted(marks):
        info.add_itxt(name, _NOT_XML.sub("?", marks[name]))
    info.add_itxt("XML:com.adobe.xmp", xmp.decode())
    return info
