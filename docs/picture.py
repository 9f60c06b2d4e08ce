"""Draws the README's picture from a finished run: one original of each class and what was kept of its samples.

python docs/picture.py RUN docs/expanded.jpg
"""

import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from contact_sheet import contact_sheet

ROWS, SAMPLES = 8, 5


def main(run: Path, target: Path) -> None:
    """Writes a contact sheet, one row a class, of samples in the order of k: none is picked by hand."""
    rows = pq.read_table(run / "manifest.parquet").to_pylist()
    children: dict[str, list[str]] = {}
    for row in sorted(
        (row for row in rows if row["verdict"] == "kept" and row["is_synthetic"]), key=lambda row: row["k"]
    ):
        children.setdefault(row["parent_key"], []).append(row["file"])
    first = {row["label"]: row for row in reversed(rows) if not row["is_synthetic"] and row["key"] in children}
    shown = [first[label] for label in sorted(first)][:ROWS]
    drawn = [(_pixels(run, s["file"]), [(_pixels(run, f), None) for f in children[s["key"]][:SAMPLES]]) for s in shown]
    contact_sheet(drawn, tile=96).save(target, quality=85, optimize=True)


def _pixels(run: Path, file: str) -> np.ndarray:
    return np.asarray(Image.open(run / file).convert("RGB"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
