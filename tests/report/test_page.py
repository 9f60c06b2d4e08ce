"""The page is one file, complete, escaped, and the same each time."""

import base64
import html.parser
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data

from gifcli.report import (
    Attempt,
    ClassReport,
    Cloud,
    Guide,
    Histogram,
    Likeness,
    Measure,
    Model,
    Picture,
    Report,
    ScoreChange,
    Strip,
)
from gifcli.report.page import balance, write_page

CAT = np.ascontiguousarray(data.cat()[:96, :128])
EVALUATION: dict[str, Any] = {
    "learner": "cnn",
    "test": "40 held-out originals",
    "rngs": 3,
    "baseline": "originals",
    "chosen": "half",
    "verdict": "hurts",
    "arms": [
        {"name": "originals", "accuracy": 70.0, "low": 66.0, "high": 74.0, "gain": None},
        {"name": "half", "accuracy": 61.5, "low": 58.0, "high": 65, "gain": -8.5, "gain_low": -12.0, "gain_high": -5.0},
    ],
    "classes": [{"label": "cat", "change": -20.0}, {"label": "dog", "change": 3.0}],
    "equivalent": None,
    "notes": ["Three random numbers are few."],
}


def strips() -> Iterator[Strip]:
    yield Strip(Picture("cat/1.jpg", CAT), [Picture("k0", CAT), Picture("k1", CAT, "drift: distance 4 > 3")], 7)


def report(*labels: str, **more: Any) -> Report:
    classes = [ClassReport(label, label, 4, 18, 2, 25, 18, strips) for label in labels]
    points = [(10.0 * i, 20.0, kind, label) for label in labels for i, kind in enumerate(("seed", "kept", "rejected"))]
    settings: dict[str, Any] = {
        "checks": {"broken": 0, "label": 6, "drift": 1},
        "guide": Guide("prototype", {"prototype": 0.934, "text": 0.871, "chance": 0.25}),
        "scores": [ScoreChange("diversity", 0.021, 0.094, 0.8)],
        "likeness": Likeness(
            8, 36, [Measure("recall", 0.5, 0.4, 0.6, "means", 0.7)], Cloud(points, 640, 300, 0.3), ["A note."]
        ),
        "similarity": [Histogram("generated image, its own seed", 0.4, 1.0, [0.25, 0.75], 0.8, 0.97)],
        "models": [Model("prior", "classical", "Apache-2.0", "1")],
        "facts": [("guidance", "off")],
        "caps": ["Pictures: some."],
    }
    attempts = [Attempt(0, 15, {"label": 4, "drift": 1}), Attempt(1, 3, {"label": 2})]
    return Report("photos-5x", "5x", classes, attempts, **settings | more)


class Page(html.parser.HTMLParser):
    """Collects tags that must be closed, addresses, ids, and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in ("meta", "img"):
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name == "href"]
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def page_of(tmp_path: Path, given: Report) -> Page:
    write_page(tmp_path / "report/index.html", given)
    page = Page((tmp_path / "report/index.html").read_text("utf-8"))
    assert page.stack == []
    return page


def test_the_page_holds_the_figures_and_the_pictures(tmp_path: Path) -> None:
    page = page_of(tmp_path, report("cat", "dog", evaluations=[EVALUATION]))
    words = " ".join(page.text.split())
    for figure in (
        "8 originals in 2 classes became 44 images",
        "72% of 25 made were kept",
        "4 still owed",
        "4 → 22",
        "prototype 93.4%",
        "+0.07380%",
        "76.0% · 6 rejected",
        "0.500[0.400, 0.600]",
        "drift distance 4 > 3",
        "+7",
        "median 0.800, highest 0.970",
        "licence: Apache-2.0",
        "−8.5[−12.0, −5.0]",
        "cnn: hurts",
        "cat −20.0, dog +3.0.",
        "Pictures: some.",
    ):
        assert figure in words, figure
    inline = [address for address in page.addresses if address.startswith("data:image/jpeg;base64,")]
    assert len(inline) == 6
    with Image.open(io.BytesIO(base64.b64decode(inline[0].partition(",")[2]))) as image:
        assert image.size == (128, 96)
        assert np.abs(np.asarray(image).astype(int) - CAT).mean() < 6
    anchors = [address for address in page.addresses if address not in inline]
    assert {address[1:] for address in anchors} <= set(page.ids)
    assert all(address.startswith("#") for address in anchors)
    assert len(page.ids) == len(set(page.ids))


def test_it_needs_no_network_no_scripts_and_no_other_file(tmp_path: Path) -> None:
    write_page(tmp_path / "index.html", report("cat"))
    text = re.sub(r"base64,[A-Za-z0-9+/=]+", "", (tmp_path / "index.html").read_text("utf-8"))
    assert not re.search(r"https?:|<script|@import|url\(|<link", text)
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]


def test_same_report_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_page(tmp_path / name, report("cat", "été"))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_names_cannot_break_the_page(tmp_path: Path) -> None:
    bad = '<script>alert("x")</script>'
    hostile = Strip(Picture('"><b>', CAT), [Picture("k0", CAT, f"{bad}: {bad}")])
    entry = ClassReport(bad, bad, 1, 1, strips=lambda: [hostile])
    page = page_of(tmp_path, report("a & b", "\udcff", warnings=["<b>3 files</b>"], facts=[(bad, bad)]))
    assert "<b>3 files</b>" in page.text
    write_page(tmp_path / "bad.html", Report(bad, "1x", [entry], []))
    worst = Page((tmp_path / "bad.html").read_text("utf-8"))
    assert worst.stack == []
    assert "<script" not in (tmp_path / "bad.html").read_text("utf-8")
    assert bad in worst.text


def test_an_empty_run_still_has_a_page(tmp_path: Path) -> None:
    assert "There are none to show." in page_of(tmp_path, Report("none", "1x", [ClassReport("a", "a", 0, 0)], [])).text


def test_a_page_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    def broken() -> Iterator[Strip]:
        raise OSError("a shard went away")
        yield

    write_page(tmp_path / "index.html", report("cat"))
    before = (tmp_path / "index.html").read_bytes()
    with pytest.raises(OSError, match="went away"):
        write_page(tmp_path / "index.html", Report("x", "1x", [ClassReport("a", "a", 1, 1, strips=broken)], []))
    assert (tmp_path / "index.html").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_pictures_are_read_class_by_class(tmp_path: Path) -> None:
    """Memory does not grow with the classes: what was read is written before more is read."""
    noise = np.random.default_rng(0).integers(0, 255, (144, 144, 3), np.uint8)
    written: list[int] = []

    def read() -> Iterator[Strip]:
        written.append((tmp_path / "index.html.gif-tmp").stat().st_size)
        yield Strip(Picture("noise.jpg", noise), [Picture("k0", noise)])

    write_page(
        tmp_path / "index.html", Report("x", "1x", [ClassReport(str(i), "", 1, 1, strips=read) for i in range(20)], [])
    )
    each = (tmp_path / "index.html").stat().st_size / 20
    assert written[-1] - written[0] > 17 * each > 17 * 20_000


def test_balance_is_the_largest_class_over_the_smallest() -> None:
    classes = [ClassReport("a", "a", 8, 0), ClassReport("b", "b", 2, 6)]
    assert balance(classes) == (4.0, 1.0)
    assert balance(classes[:1]) is None
    assert balance([*classes, ClassReport("c", "c", 0, 0)]) is None
