"""The page is one file, complete, escaped, and the same each time."""

import base64
import html.parser
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data

from gifcli.report import Attempt, ClassReport, Guide, Report, ScoreChange
from gifcli.report import page as page_module
from gifcli.report.contact_sheet import contact_sheet
from gifcli.report.page import class_slugs, write_report

CAT = np.ascontiguousarray(data.cat()[:128, :128])


def sheet() -> Image.Image:
    return contact_sheet([(CAT, [(CAT, None), (CAT, "drift: 4 above 3")])], tile=64)


def report(*labels: str, **more: Any) -> Report:
    classes = [ClassReport(label, label, 4, 18, 2, sheet) for label in labels]
    settings: dict[str, Any] = {
        "guide": Guide("prototype", {"prototype": 0.934, "text": 0.871, "chance": 0.25}),
        "scores": [ScoreChange("diversity", 0.021, 0.094)],
        "facts": [("prior", "classical")],
    }
    attempts = [Attempt(0, 15, {"label": 4, "drift": 1}), Attempt(1, 3, {"label": 2})]
    return Report("photos-5x", "5x", classes, attempts, **settings | more)


class Page(html.parser.HTMLParser):
    """Collects tags that must be closed, addresses, and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img"):
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_holds_the_figures_and_the_pictures(tmp_path: Path) -> None:
    assert write_report(tmp_path / "report", report("cat", "dog")) == ["cat.jpg", "dog.jpg", "index.html"]
    page = Page((tmp_path / "report/index.html").read_text("utf-8"))
    assert page.stack == []
    words = " ".join(page.text.split())
    for figure in ("8 originals", "36 generated", "44 in the dataset", "72% of 25 made", "93.4%", "+0.073", "6 · 86%"):
        assert figure in words
    inline = [address for address in page.addresses if address.startswith("data:image/jpeg;base64,")]
    assert [address for address in page.addresses if address not in inline] == ["cat.jpg", "dog.jpg"]
    for address, name in zip(inline, ["cat.jpg", "dog.jpg"], strict=True):
        assert base64.b64decode(address.partition(",")[2]) == (tmp_path / "report" / name).read_bytes()
    with Image.open(io.BytesIO((tmp_path / "report/cat.jpg").read_bytes())) as image:
        assert image.size == sheet().size


def test_it_needs_no_network_and_no_scripts(tmp_path: Path) -> None:
    write_report(tmp_path, report("cat"))
    text = re.sub(r"base64,[A-Za-z0-9+/=]+", "", (tmp_path / "index.html").read_text("utf-8"))
    assert not re.search(r"https?:|<script|@import|url\(", text)


def test_same_report_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_report(tmp_path / name, report("cat", "été"))
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == sorted(path.name for path in (tmp_path / "two").iterdir())
    assert all((tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in files)


def test_names_cannot_break_the_page(tmp_path: Path) -> None:
    bad = '<script>alert("x")</script>'
    write_report(tmp_path, report(bad, "a & b", warnings=["<b>3 files</b>"]))
    page = Page((tmp_path / "index.html").read_text("utf-8"))
    assert "script" not in page.stack
    assert bad in page.text
    assert "<b>3 files</b>" in page.text


def test_an_empty_run_still_has_a_page(tmp_path: Path) -> None:
    write_report(tmp_path, Report("none", "1x", [ClassReport("a", "a", 0, 0)], []))
    page = Page((tmp_path / "index.html").read_text("utf-8"))
    assert "None were drawn" in page.text
    assert page.stack == []


def test_sheets_beyond_the_budget_are_linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "INLINE", 40_000)
    labels = [f"c{i}" for i in range(12)]
    write_report(tmp_path, report(*labels))
    images = re.findall(r'<img src="([^"]{,60})', (tmp_path / "index.html").read_text("utf-8"))
    kinds = ["inline" if image.startswith("data:") else "link" for image in images]
    assert kinds == sorted(kinds)
    assert set(kinds) == {"inline", "link"}
    assert (tmp_path / "index.html").stat().st_size < 70_000


def test_slugs_are_plain_and_never_shared() -> None:
    labels = ["Cat", "cat", "a b", "a-b", "été", "🐈", "猫", "../etc", "index.html", "x" * 300, "CON"]
    slugs = class_slugs(labels)
    assert len(set(slugs.values())) == len(labels)
    assert all(re.fullmatch(r"[a-z0-9-]{1,80}", slug) for slug in slugs.values())
    assert (slugs["été"], slugs["../etc"]) == ("ete", "etc")
