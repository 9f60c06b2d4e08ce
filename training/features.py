"""Choose the denoiser's crops and compute the encoder's feature of each, once.

    PYTHONPATH=src python training/features.py

For each packed source NAME: crops/NAME.crops.npy (n 4: image, top, left, side) and crops/NAME.features.npy (n 1280)
float16, unit norm, at --size pixels, as gifcli's encoder computes the condition of a seed. Small images are taken
whole; sharp ones give several crops. Sources already done are skipped.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from packed import Packed, open_packed, resize, to_pixels

from gifcli.encoders.embedded import EmbeddedEncoder

LOOKS = 40_000  # a sharp source gives about this many crops, at most MOST an image
MOST = 12


def plan(source: Packed) -> np.ndarray:
    """(n 4) int64: image, top, left, side of each square crop; sides 60-100% of the short side for sharp sources."""
    rng = np.random.default_rng(len(source))
    looks = 1 if source.short_side <= 64 else max(1, min(MOST, LOOKS // len(source)))
    rows = []
    for i, (_, h, w) in enumerate(source.index):
        for _ in range(looks):
            side = int(min(h, w) * (rng.uniform(0.6, 1.0) if looks > 1 else 1.0))
            rows.append((i, rng.integers(h - side + 1), rng.integers(w - side + 1), side))
    return np.array(rows, np.int64)


def cut(source: Packed, row: np.ndarray) -> np.ndarray:
    """One crop of the plan as (side side 3) uint8."""
    i, top, left, side = (int(v) for v in row)
    return source[i][top : top + side, left : left + side]


def batch(source: Packed, rows: np.ndarray, size: int) -> torch.Tensor:
    """Crops (b 3 size size) in [-1, 1]."""
    return torch.cat([resize(to_pixels([cut(source, row)]), size) for row in rows])


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packed", type=Path, default=Path(".work/embedded/packed"))
    parser.add_argument("--out", type=Path, default=Path(".work/embedded/crops"))
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    encoder = EmbeddedEncoder(args.device, torch.bfloat16)
    for source in open_packed(args.packed):
        if (done := args.out / f"{source.name}.features.npy").exists():
            continue
        rows = plan(source)
        parts = np.array_split(rows, max(1, len(rows) // args.batch))
        found = [encoder.images(batch(source, part, args.size), args.size).half().cpu() for part in parts]
        np.save(args.out / f"{source.name}.crops.npy", rows)
        np.save(done, torch.cat(found).numpy())
        print(f"{source.name}: {len(rows)} crops", flush=True)


if __name__ == "__main__":
    main()
