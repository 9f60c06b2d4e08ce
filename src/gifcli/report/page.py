"""The report as one HTML file that needs nothing else: pictures and drawings are inside it, there are no scripts."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2

from gifcli import __version__
from gifcli.report import ClassReport, Report
from gifcli.report.plot import lay_out, steps
from gifcli.report.thumbnail import data_uri

MAPPED = 12
"""Classes that have a map of their own, and a name on the large one."""


def write_page(path: Path, report: Report) -> None:
    """Writes the page, whole or not at all; the same bytes for the same report. The pictures of one class are held at a time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".gif-tmp")
    try:
        with temporary.open("w", encoding="utf-8", errors="replace", newline="\n") as page:
            page.writelines(_render(report))
            page.flush()
            os.fsync(page.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _render(report: Report) -> Iterator[str]:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("gifcli", "report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"data_uri": data_uri, "number": "{:,}".format, "signed": _signed, "plain": _plain}
    environment.globals |= {"steps": steps}
    cloud = report.likeness.cloud if report.likeness else None
    names = {entry.label: entry.name for entry in report.classes}
    return environment.get_template("page.html.j2").generate(
        report=report,
        version=__version__,
        drawn=lay_out(cloud, names, MAPPED) if cloud else None,
        balance=balance(report.classes),
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
    }


def balance(classes: list[ClassReport]) -> tuple[float, float] | None:
    """How many times the smallest class the largest one has, before and after; None where a class has no image."""
    before = [entry.original for entry in classes]
    after = [entry.original + entry.generated for entry in classes]
    if len(classes) < 2 or not min(before):
        return None
    return max(before) / min(before), max(after) / min(after)


def _plain(value: float) -> str:
    """Three digits, a real minus."""
    return f"{value:.3f}".replace("-", "−")


def _signed(value: float, digits: int = 1) -> str:
    """With its sign, a real minus, and never -0."""
    text = f"{value:+.{digits}f}"
    return text.replace("-", "−") if float(text) else text[1:]
