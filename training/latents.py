"""Encode the planned crops with the finished autoencoder, once for each training size.

    python training/latents.py --size 64
    python training/latents.py --size 128 --most 30000

Writes crops/NAME.latents-SIZE.npy (n c SIZE/8 SIZE/8) float16, crops/NAME.rows-SIZE.npy (n: which crops) and
crops/NAME.weights-SIZE.npy (n: how often to draw each; near-grey drawings count a fifth). Each crop is flipped or not, by chance.
Sources already done, or without features yet, are skipped.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderDC
from features import batch
from packed import Packed, open_packed

GREY = 0.02  # mean standard deviation over the three colours below which a crop counts as grey


def flipped(n: int, size: int) -> np.ndarray:
    """Which of a source's n crops are mirrored at this size: (n) bool."""
    return np.random.default_rng(size).random(n) < 0.5


@torch.no_grad()
def encode(
    vae: AutoencoderDC, source: Packed, crops: np.ndarray, size: int, device: torch.device
) -> tuple[np.ndarray, np.ndarray]:
    """Latents (n c h w) float16 and drawing weights (n) of crops (n 4)."""
    latents, weights = [], []
    mirror = torch.from_numpy(flipped(len(crops), size))
    parts = max(1, len(crops) * size // 8192)
    for part, flip in zip(np.array_split(crops, parts), mirror.tensor_split(parts), strict=True):
        x = batch(source, part, size)
        x[flip] = x[flip].flip(-1)
        weights.append(np.where(x.std(1).mean((1, 2)).numpy() < GREY, 0.2, 1.0))
        with torch.autocast(device.type, torch.bfloat16):
            z = vae.encode(x.to(device, memory_format=torch.channels_last)).latent
        latents.append(z.half().cpu().numpy())
    return np.concatenate(latents), np.concatenate(weights)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packed", type=Path, default=Path(".work/embedded/packed"))
    parser.add_argument("--crops", type=Path, default=Path(".work/embedded/crops"))
    parser.add_argument("--vae", type=Path, default=Path(".work/embedded/vae"))
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--most", type=int, default=10**9, help="crops a source, drawn by chance")
    parser.add_argument("--only", default="", help="sources whose name contains this")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    device = torch.device(args.device)
    vae = AutoencoderDC.from_pretrained(args.vae).eval().to(device, memory_format=torch.channels_last)
    for source in open_packed(args.packed):
        path = args.crops / f"{source.name}.latents-{args.size}.npy"
        if args.only not in source.name or path.exists() or not (args.crops / f"{source.name}.features.npy").exists():
            continue
        crops = np.load(args.crops / f"{source.name}.crops.npy")
        rows = np.sort(np.random.default_rng(0).permutation(len(crops))[: args.most])
        latents, weights = encode(vae, source, crops[rows], args.size, device)
        np.save(args.crops / f"{source.name}.rows-{args.size}.npy", rows)
        np.save(args.crops / f"{source.name}.weights-{args.size}.npy", weights)
        np.save(path, latents)
        print(
            f"{source.name}: {len(rows)} latents at {args.size} px, std {latents[:2000].astype(np.float32).std():.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
