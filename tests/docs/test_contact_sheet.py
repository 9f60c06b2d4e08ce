"""Where the pictures lie on a contact sheet, and what is said of rejected ones."""

from collections.abc import Iterator

import numpy as np
import pytest
from PIL import ImageFont
from skimage import data

from contact_sheet import COLUMNS, GAP, HEAD, MARGIN, SEED_GAP, Row, _shorten, contact_sheet

TILE = 64
CAT = np.ascontiguousarray(data.cat()[:300, :300])
TOP = MARGIN + HEAD


def flat(*colour: int, size: tuple[int, int] = (50, 50)) -> np.ndarray:
    return np.full((*size, 3), colour, np.uint8)


def tile_at(sheet: np.ndarray, row: int, column: int) -> np.ndarray:
    x = MARGIN + (TILE + SEED_GAP + (column - 1) * (TILE + GAP) if column else 0)
    y = TOP + row * (TILE + GAP)
    return sheet[y : y + TILE, x : x + TILE]


def test_seeds_lie_left_of_their_samples() -> None:
    rows: list[Row] = [(flat(200, 0, 0), [(flat(0, 200, 0), None)]), (flat(0, 0, 200), [(flat(9, 9, 9), None)] * 2)]
    sheet = np.asarray(contact_sheet(rows, TILE))
    colours = [[tuple(tile_at(sheet, row, column)[32, 32]) for column in range(2)] for row in range(2)]
    assert colours == [[(200, 0, 0), (0, 200, 0)], [(0, 0, 200), (9, 9, 9)]]
    assert sheet.shape == (TOP + 2 * TILE + GAP + MARGIN, 2 * MARGIN + 3 * TILE + SEED_GAP + GAP, 3)


@pytest.mark.parametrize(("size", "edge", "middle"), [((20, 80), (2, 32), (32, 2)), ((80, 20), (32, 2), (2, 32))])
def test_aspect_is_kept_and_nothing_is_cut(
    size: tuple[int, int], edge: tuple[int, int], middle: tuple[int, int]
) -> None:
    tile = tile_at(np.asarray(contact_sheet([(flat(200, 0, 0, size=size), [])], TILE)), 0, 0)
    assert tuple(tile[middle]) == (200, 0, 0)
    assert min(tile[edge]) > 220


def test_rejected_samples_are_framed_and_others_are_not() -> None:
    sheet = np.asarray(contact_sheet([(CAT, [(CAT, None), (CAT, "label: p(cat) 0.31 below 0.52")])], TILE))
    kept, rejected = tile_at(sheet, 0, 1), tile_at(sheet, 0, 2)
    assert np.array_equal(kept, tile_at(sheet, 0, 0))
    assert tuple(rejected[0, 0]) == tuple(rejected[2, 30]) == (0xC2, 0x35, 0x2B)
    assert rejected[-15:].min(axis=2).max() > 200  # white words on the red foot


@pytest.mark.parametrize(
    ("text", "room", "short"),
    [("broken: flat", 200, "broken: flat"), ("drift: distance 4.2 above 3.1", 60, "drift …"), ("", 50, "…")],
)
def test_reasons_keep_their_first_words(text: str, room: int, short: str) -> None:
    assert _shorten(text, room, ImageFont.load_default(12)) == short


def test_only_what_is_drawn_is_read() -> None:
    taken = 0

    def rows() -> Iterator[Row]:
        nonlocal taken
        while True:
            taken += 1
            yield CAT, [(CAT, None)] * (COLUMNS + 5)

    sheet = contact_sheet(rows(), TILE, limit=3)
    assert taken == 3
    assert sheet.height == TOP + 3 * (TILE + GAP) - GAP + MARGIN
    right = np.asarray(sheet)[:, MARGIN + TILE + SEED_GAP + COLUMNS * (TILE + GAP) :]
    assert right.min() < 200  # "+5"


def test_nothing_to_draw_is_an_empty_sheet_and_drawing_repeats() -> None:
    assert contact_sheet([], TILE).size == (2 * MARGIN + TILE, TOP + TILE + MARGIN)
    once, again = (contact_sheet([(CAT, [(CAT, "x")])]).tobytes() for _ in range(2))
    assert once == again
