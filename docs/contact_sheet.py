"""Contact sheets: each seed at the left, its samples beside it, rejected ones framed with the reason."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Pixels = NDArray[Any]
Row = tuple[Pixels, Sequence[tuple[Pixels, str | None]]]

COLUMNS = 8
"""Samples shown beside a seed; more are counted, not drawn."""

MARGIN, GAP, SEED_GAP, HEAD = 16, 6, 20, 30
PAPER, MAT, INK, FAINT, RED = "#fbfaf8", "#efedea", "#57534e", "#a8a29e", "#c2352b"


def contact_sheet(rows: Iterable[Row], tile: int = 128, limit: int = 20) -> Image.Image:
    """Draws up to `limit` rows of (seed, its samples with the reason to reject each, or None).

    Images are (h w 3) uint8, fitted into squares of `tile` pixels with their aspect kept. Holds the tiles, not the images.
    """
    drawn = [_row_tiles(row, tile) for row in itertools.islice(rows, limit)]
    columns = max((len(tiles) - 1 for tiles, _ in drawn), default=0)
    more = 34 if any(hidden for _, hidden in drawn) else 0
    beside = SEED_GAP + columns * (tile + GAP) - GAP if columns else 0
    width = 2 * MARGIN + tile + beside + more
    height = MARGIN + HEAD + max(1, len(drawn)) * (tile + GAP) - GAP + MARGIN
    sheet = Image.new("RGB", (width, height), PAPER)
    _heading(sheet, tile, columns)
    for i, (tiles, hidden) in enumerate(drawn):
        y = MARGIN + HEAD + i * (tile + GAP)
        for column, square in enumerate(tiles):
            sheet.paste(square, (_left(column, tile), y))
        if hidden:
            at = (_left(len(tiles) - 1, tile) + tile + 8, y + tile // 2)
            ImageDraw.Draw(sheet).text(at, f"+{hidden}", fill=FAINT, font=ImageFont.load_default(13), anchor="lm")
    return sheet


def _left(column: int, tile: int) -> int:
    """X of a column; column 0 is the seed."""
    return MARGIN if column == 0 else MARGIN + tile + SEED_GAP + (column - 1) * (tile + GAP)


def _heading(sheet: Image.Image, tile: int, columns: int) -> None:
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(13)
    draw.text((MARGIN, MARGIN + HEAD - 12), "original", fill=INK, font=font, anchor="ls")
    if columns:
        draw.text((_left(1, tile), MARGIN + HEAD - 12), "generated", fill=INK, font=font, anchor="ls")
        x = MARGIN + tile + SEED_GAP // 2
        draw.line((x, MARGIN + HEAD, x, sheet.height - MARGIN - 1), fill="#d9d5d0")


def _row_tiles(row: Row, tile: int) -> tuple[list[Image.Image], int]:
    """One row as squares, the seed first, and how many samples are not shown."""
    seed, samples = row
    tiles = [_fit(seed, tile)]
    for pixels, reason in itertools.islice(samples, COLUMNS):
        square = _fit(pixels, tile)
        tiles.append(square if reason is None else _rejected(square, reason))
    return tiles, max(0, len(samples) - COLUMNS)


def _fit(pixels: Pixels, tile: int) -> Image.Image:
    """(h w 3) uint8 -> a square, the image in its middle, nothing cut off."""
    image = Image.fromarray(pixels)
    scale = tile / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    resized = image.resize(size, Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC)
    square = Image.new("RGB", (tile, tile), MAT)
    square.paste(resized, ((tile - size[0]) // 2, (tile - size[1]) // 2))
    return square


def _rejected(square: Image.Image, reason: str) -> Image.Image:
    """Paled, framed in red, with the first words of the reason at the foot."""
    tile = square.width
    pale = Image.blend(square, Image.new("RGB", square.size, PAPER), 0.45)
    draw = ImageDraw.Draw(pale)
    size = max(9, min(12, tile // 10))
    font = ImageFont.load_default(size)
    foot = size + 7
    draw.rectangle((0, tile - foot, tile - 1, tile - 1), fill=RED)
    draw.rectangle((0, 0, tile - 1, tile - 1), outline=RED, width=3)
    draw.text((6, tile - foot / 2), _shorten(reason, tile - 12, font), fill="white", font=font, anchor="lm")
    return pale


def _shorten(text: str, room: int, font: Any) -> str:
    """As many first words as `room` pixels hold."""
    words = text.split()
    for n in range(len(words), 0, -1):
        short = " ".join(words[:n]) if n == len(words) else " ".join(words[:n]).rstrip(",:;") + " …"
        if font.getlength(short) <= room:
            return short
    word = words[0] if words else ""
    while word and font.getlength(word + "…") > room:
        word = word[:-1]
    return word + "…"
