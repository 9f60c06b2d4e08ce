"""Compute the encoder's feature map of each crop, as few numbers a cell: what the denoiser is told lies where.

    PYTHONPATH=src python training/maps.py

Fits crops/projection.safetensors (mean, axes: principal axes of the cells of LOOKS crops) once, then writes
crops/NAME.maps-SIZE.npy (n channels 4 4) float16 for each crops/NAME.rows-SIZE.npy. Each cell is divided by the length of the
crop's pooled feature, so that the mean of the cells is the unit feature. Files already there are skipped.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from condition import SIZE
from features import batch
from packed import Packed, open_packed
from safetensors.torch import load_file, save_file
from torch import Tensor

from gifcli.encoders.embedded import EmbeddedEncoder
from gifcli.priors.projection import Projection

LOOKS = 1500  # crops a source for the principal axes
CHANNELS = 64


def chunks(rows: np.ndarray, size: int) -> list[np.ndarray]:
    """Rows in batches of about `size`."""
    return np.array_split(rows, max(1, len(rows) // size))


@torch.no_grad()
def fit(sources: list[Packed], crops: Path, encoder: EmbeddedEncoder) -> Projection:
    """Principal axes of feature-map cells over all sources, each scaled to unit spread over the cells seen."""
    cells = []
    for source in sources:
        rows = np.load(crops / f"{source.name}.crops.npy")
        rows = rows[np.random.default_rng(0).permutation(len(rows))[:LOOKS]]
        cells += [
            encoder.maps(batch(source, part, SIZE), SIZE).movedim(1, -1).flatten(0, 2) for part in chunks(rows, 64)
        ]
    x = torch.cat(cells)
    mean = x.mean(0)
    _, axes = torch.linalg.eigh((x - mean).T @ (x - mean) / len(x))
    leading = axes[:, -CHANNELS:].flip(1)
    spread = ((x - mean) @ leading).std(0)
    shares = spread.square().sum() / (x - mean).square().sum(1).mean()
    print(f"{len(x)} cells: {CHANNELS} axes hold {shares:.0%} of the variance", flush=True)
    # by the root of the spread: leading axes stay the largest, none drowns
    return Projection(mean, leading / spread.sqrt() / spread.sqrt().mean())


def maps(source: Packed, rows: np.ndarray, encoder: EmbeddedEncoder, projection: Projection, size: int) -> Tensor:
    """(n channels 4 4) float16 of crops (n 4)."""
    return torch.cat(
        [projection(encoder.maps(batch(source, part, SIZE), SIZE)).half().cpu() for part in chunks(rows, size)]
    )


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packed", type=Path, default=Path(".work/embedded/packed"))
    parser.add_argument("--crops", type=Path, default=Path(".work/embedded/crops"))
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    encoder = EmbeddedEncoder(args.device, torch.bfloat16)
    sources = [s for s in open_packed(args.packed) if list(args.crops.glob(f"{s.name}.rows-*.npy"))]
    path = args.crops / "projection.safetensors"
    if not path.exists():
        fitted = fit(sources, args.crops, encoder)
        save_file({"mean": fitted.mean.contiguous(), "axes": fitted.axes.contiguous()}, path)
    projection = Projection(**load_file(path))
    for source in sources:
        for chosen in sorted(args.crops.glob(f"{source.name}.rows-*.npy")):
            out = chosen.with_name(chosen.name.replace(".rows-", ".maps-"))
            if out.exists():
                continue
            rows = np.load(args.crops / f"{source.name}.crops.npy")[np.load(chosen)]
            np.save(out, maps(source, rows, encoder, projection, args.batch).numpy())
            print(f"{out.name}: {len(rows)}", flush=True)


if __name__ == "__main__":
    main()
