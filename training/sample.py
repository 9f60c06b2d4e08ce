"""Look at what an export makes: one PNG, a row for each picture.

    PYTHONPATH=src python training/sample.py --weights .work/embedded/export --out .work/embedded/look.png PICTURES

PICTURES are image files, folders, Parquet files (--count drawn evenly from each) or `skimage`. Columns: the picture, its
reconstruction, then --samples a strength. Shows; measures nothing (see measure.py).
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from pack import decode, sources
from packed import to_pixels
from PIL import Image
from torch import Tensor

from gifcli.compute.batches import SeedBatch
from gifcli.noise import NoiseSource, Slot
from gifcli.priors import PriorSettings
from gifcli.priors.latent_diffusion import LatentDiffusionPrior

SKIMAGE = ("chelsea", "coffee", "astronaut", "rocket")


class Sampler:
    """The prior itself over an export, without perturbation: what the weights make of pictures."""

    def __init__(self, weights: Path, granularity: str, steps: int, scale: float, dtype: str = "bfloat16") -> None:
        self.weights, self.dtype = weights, dtype
        self.settings = PriorSettings("embedded", steps, 1.0, scale, None, mirror=True, granularity=granularity)
        self.prior = LatentDiffusionPrior(weights, self.settings, "cpu", dtype)
        self.encoder = self.prior.encoder

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> Tensor:
        """(b 3 h w) in [-1, 1] -> the same, through the autoencoder."""
        return self.prior.decode(self.prior.latents_of(x)).clamp(-1, 1)

    @torch.no_grad()
    def sample(self, x: Tensor, strength: float, k: int) -> Tensor:
        """Sibling k (b 3 h w) in [-1, 1] of each picture (b 3 h w); views are drawn from N(0, 0.8)."""
        self.prior.settings = replace(self.settings, strength=strength)
        keys = [str(i) for i in range(len(x))]
        seeds = SeedBatch(keys, torch.zeros(len(x), dtype=torch.long), keys, x, torch.zeros(len(x), 1))
        noise = NoiseSource(0, [Slot(key, k, 0) for key in keys])
        f = self.prior.encode(seeds)
        if self.settings.granularity == "view":
            f = f + 0.8 * noise.normal("b", f.shape[1:])
        return self.prior.sample(f, seeds, self.prior.condition(keys, seeds), noise)


def square(image: np.ndarray, size: int) -> np.ndarray:
    """The centre square of a picture (h w 3), resized to (size size 3)."""
    side = min(image.shape[:2])
    y, x = ((n - side) // 2 for n in image.shape[:2])
    crop = Image.fromarray(np.ascontiguousarray(image[y : y + side, x : x + side]))
    return np.asarray(crop.resize((size, size), Image.Resampling.LANCZOS))


def pictures(names: list[str], count: int, size: int) -> Tensor:
    """Squares (b 3 size size) in [-1, 1] of files, Parquet files (`count` of each) and scikit-image's photos."""
    found: list[np.ndarray] = []
    for name in names:
        if name == "skimage":
            import skimage

            found += [getattr(skimage.data, photo)() for photo in SKIMAGE]
        elif name.endswith(".parquet"):
            encoded = list(sources(Path(name)))
            found += [decode(encoded[int(i)], 4 * size) for i in np.linspace(0, len(encoded) - 1, count + 2)[1:-1]]
        else:
            encoded = list(sources(Path(name))) if Path(name).is_dir() else [Path(name).read_bytes()]
            found += [decode(each, 4 * size) for each in encoded]
    return to_pixels([square(image, size) for image in found])


def grid(columns: list[Tensor]) -> Image.Image:
    """Columns of pictures (b 3 h w) in [-1, 1] side by side, a row for each of the b."""
    rows = torch.cat([torch.cat(list(column), 1) for column in columns], 2)
    return Image.fromarray(((rows + 1) * 127.5).round().byte().permute(1, 2, 0).numpy())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", nargs="+")
    parser.add_argument("--weights", type=Path, default=Path("src/gifcli/models/embedded"))
    parser.add_argument("--out", type=Path, default=Path(".work/embedded/look.png"))
    parser.add_argument("--count", type=int, default=5)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--strengths", type=float, nargs="+", default=[0.3, 0.6, 0.8, 1.0])
    parser.add_argument("--granularity", default="channel", help="channel, view or vector")
    parser.add_argument("--samples", type=int, default=2)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--scale", type=float, default=1.5)
    args = parser.parse_args()
    sampler = Sampler(args.weights, args.granularity, args.steps, args.scale)
    x = pictures(args.pictures, args.count, args.size)
    columns = [x, sampler.reconstruct(x)]
    columns += [sampler.sample(x, s, k) for s in args.strengths for k in range(args.samples)]
    grid(columns).save(args.out)


if __name__ == "__main__":
    main()
