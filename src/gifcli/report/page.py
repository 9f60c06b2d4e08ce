"""The report: one self-contained `index.html`, and each class's contact sheet as a JPEG beside it."""

import base64
import hashlib
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import jinja2
from PIL import Image

from gifcli import __version__
from gifcli.formats.names import identity
from gifcli.report import ClassReport, Report

INLINE = 24 * 2**20
"""Bytes of contact sheets inside the page; the sheets after that are linked, so that the page still opens on a phone."""

QUALITY = 88


def write_report(dest: Path, report: Report) -> list[str]:
    """Writes `index.html` and `<slug>.jpg` for each class with a sheet into `dest` -> names written, sorted.

    The same bytes for the same report; one contact sheet is held at a time.
    """
    dest.mkdir(parents=True, exist_ok=True)
    slugs = class_slugs([entry.label for entry in report.classes])
    written = ["index.html", *(f"{slugs[entry.label]}.jpg" for entry in report.classes if entry.sheet)]
    temporary = dest / "index.html.tmp"
    with temporary.open("w", encoding="utf-8", newline="\n") as page:
        page.writelines(_render(report, _sheets(dest, report.classes, slugs)))
    temporary.replace(dest / "index.html")
    return sorted(written)


def class_slugs(labels: Iterable[str]) -> dict[str, str]:
    """Label -> a plain ASCII name for its files; labels that would share one get some digits of their hash."""
    plain = {label: _slug(label) for label in labels}
    shared = Counter(identity(slug) for slug in plain.values())
    return {
        label: slug if slug and shared[identity(slug)] == 1 else f"{slug or 'class'}-{_digits(label)}"
        for label, slug in plain.items()
    }


def _slug(label: str) -> str:
    ascii_only = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii_only.lower()).strip("-")[:60].strip("-")


def _digits(label: str) -> str:
    return hashlib.sha256(label.encode("utf-8", "surrogateescape")).hexdigest()[:8]


def _sheets(dest: Path, classes: list[ClassReport], slugs: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Draws, saves and inlines one sheet after the other."""
    room = INLINE
    for entry in classes:
        slug = slugs[entry.label]
        if entry.sheet is None:
            continue
        sheet = entry.sheet()
        data = _jpeg(sheet)
        temporary = dest / f"{slug}.jpg.tmp"
        temporary.write_bytes(data)
        temporary.replace(dest / f"{slug}.jpg")
        source = f"{slug}.jpg"
        if len(data) * 4 / 3 <= room:
            source = "data:image/jpeg;base64," + base64.b64encode(data).decode()
            room -= len(source)
        yield {"entry": entry, "slug": slug, "source": source, "width": sheet.width, "height": sheet.height}


def _jpeg(sheet: Image.Image) -> bytes:
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=QUALITY, subsampling=0)
    return buffer.getvalue()


def _render(report: Report, sheets: Iterator[dict[str, Any]]) -> Iterator[str]:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("gifcli", "report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("page.html.j2").generate(
        report=report,
        sheets=sheets,
        version=__version__,
        **_totals(report),
    )


def _totals(report: Report) -> dict[str, Any]:
    reasons: Counter[str] = Counter()
    for attempt in report.attempts:
        reasons.update(attempt.rejected)
    return {
        "original": sum(entry.original for entry in report.classes),
        "generated": sum(entry.generated for entry in report.classes),
        "missing": sum(entry.missing for entry in report.classes),
        "largest": max((entry.original + entry.generated + entry.missing for entry in report.classes), default=0),
        "made": sum(attempt.made for attempt in report.attempts),
        "kept": sum(attempt.kept for attempt in report.attempts),
        "reasons": sorted(reasons.items(), key=lambda item: (-item[1], item[0])),
    }
