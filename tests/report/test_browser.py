"""In a real Chromium the page fits a phone, asks for nothing, and prints."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from chromium import CHROMIUM, Browser, chromium
from gifcli.report.page import write_page
from report.test_page import EVALUATION, report

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine; Debian has it: apt install chromium"
)

LONG = "a class with a very long readable name that goes on and on"
WIDE = "[document.documentElement.scrollWidth, window.innerWidth]"
OUTSIDE = """[...document.querySelectorAll('main *')].filter(e => !e.closest('svg'))
  .filter(e => e.getBoundingClientRect().right > window.innerWidth + 0.5).map(e => e.className + ': ' + e.textContent.slice(0, 40))"""
PICTURES = """Promise.all([...document.images].map(i => { i.loading = 'eager'; return i.decode() }))
  .then(() => [...document.images].every(i => i.naturalWidth > 20 && i.getBoundingClientRect().width > 40))"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def pages(reference: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A finished run's page, one with everything that a page can hold, in long words, and one of many classes."""
    made = tmp_path_factory.mktemp("browser") / "all.html"
    many = made.with_name("many.html")
    write_page(many, report(*(f"{LONG} {i}" for i in range(60))))
    labels = [LONG, "unbroken" * 12, *(f"class {i}" for i in range(12))]
    write_page(
        made, report(*labels, evaluations=[EVALUATION], warnings=["unbroken" * 30], facts=[("x" * 90, "y" * 200)])
    )
    return [reference / "report/index.html", made, many]


@pytest.mark.parametrize(("width", "mobile"), [(390, True), (320, True), (768, False), (1280, False)])
def test_nothing_is_wider_than_the_window(browser: Browser, pages: list[Path], width: int, mobile: bool) -> None:
    for page in pages:
        browser.open(page, width, mobile=mobile)
        assert browser.evaluate(WIDE) == [width, width]
        assert browser.evaluate(OUTSIDE) == []


def test_it_asks_for_nothing_and_complains_of_nothing(browser: Browser, pages: list[Path]) -> None:
    for page in pages:
        browser.open(page, 1280)
        assert browser.evaluate(PICTURES) is True
        assert [url for url in browser.requests if not url.startswith("data:")] == [page.resolve().as_uri()]
    assert browser.problems == []


def test_points_of_the_map_are_drawn_on_every_map(browser: Browser, pages: list[Path]) -> None:
    browser.open(pages[0], 1280)
    sizes = browser.evaluate("[...document.querySelectorAll('.map use')].map(e => e.getBoundingClientRect().width)")
    assert len(sizes) == 3
    assert min(sizes) > 20


def test_dark_and_light_can_be_read(browser: Browser, pages: list[Path]) -> None:
    shades = []
    for dark in (False, True):
        browser.open(pages[0], 1280, dark=dark)
        found = browser.evaluate(
            "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
        )
        ink, paper = (sum(int(part) for part in colour[4:-1].split(",")) for colour in found)
        assert abs(ink - paper) > 500
        shades.append(paper)
    assert shades[0] > shades[1]


def test_it_prints_on_pages(browser: Browser, pages: list[Path]) -> None:
    browser.open(pages[0], 1280)
    pdf = browser.pdf()
    assert pdf.startswith(b"%PDF")
    assert 1 <= pdf.count(b"/Type /Page\n") <= 12
