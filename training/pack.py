"""Pack Parquet files or image folders into flat uint8 arrays that every other training script reads.

    python training/pack.py --out .work/embedded/packed DATA/train-*.parquet
    python training/pack.py --out .work/embedded/packed photos/

Each source becomes NAME.pixels.npy (all pixels, one after another, h*w*3 bytes each) and NAME.index.npy
(n 3: offset, height, width). Images with a short side over --short-side are reduced to it.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}


def sources(path: Path) -> Iterator[bytes]:
    """The encoded bytes of each image of a Parquet file (column `image`) or of a folder."""
    if path.is_dir():
        yield from (p.read_bytes() for p in sorted(path.rglob("*")) if p.suffix.lower() in SUFFIXES)
        return
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(path).iter_batches(256, columns=["image"]):
        for image in batch.column("image").to_pylist():
            yield image["bytes"] if isinstance(image, dict) else image


def decode(encoded: bytes, short_side: int) -> np.ndarray:
    """One image as (h w 3) uint8, EXIF orientation applied, reduced so that its short side fits."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(encoded))).convert("RGB")
    scale = short_side / min(image.size)
    if scale < 1:
        image = image.resize([max(1, round(s * scale)) for s in image.size], Image.Resampling.LANCZOS)
    return np.asarray(image)


def pack(path: Path, out: Path, short_side: int) -> None:
    """Write NAME.pixels.npy and NAME.index.npy for one source; the index last, as the done mark."""
    with ThreadPoolExecutor(2) as pool:
        images = list(pool.map(lambda e: decode(e, short_side), sources(path)))
    sizes = np.array([image.shape[:2] for image in images], np.int64).reshape(-1, 2)
    offsets = np.concatenate([[0], np.cumsum(sizes.prod(1) * 3)])
    np.save(out / f"{path.stem}.pixels.npy", np.concatenate([image.ravel() for image in images]))
    np.save(out / f"{path.stem}.index.npy", np.column_stack([offsets[:-1], sizes]))
    print(f"{path.stem}: {len(images)} images, short sides {sizes.min(1).min()}-{sizes.min(1).max()}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path(".work/embedded/packed"))
    parser.add_argument("--short-side", type=int, default=192)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for path in args.sources:
        if not (args.out / f"{path.stem}.index.npy").exists():
            pack(path, args.out, args.short_side)


if __name__ == "__main__":
    main()
