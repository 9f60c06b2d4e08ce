"""Look at what an export makes: one PNG, a row for each picture.

    PYTHONPATH=src python training/sample.py --weights .work/embedded/export --out .work/embedded/look.png PICTURES

PICTURES are image files, Parquet files (--count drawn evenly from each) or `skimage`. Columns: the picture, its
reconstruction, then --samples a strength. Shows; measures nothing (see measure.py).
"""

from __future__ import annotations

import argparse
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from condition import SIZE, condition
from diffusers import AutoencoderDC, UNet2DConditionModel
from pack import decode, sources
from packed import to_pixels
from PIL import Image
from torch import Tensor

from gifcli.encoders.embedded import EmbeddedEncoder

SKIMAGE = ("chelsea", "coffee", "astronaut", "rocket")


class Sampler:
    """An export and the encoder it is conditioned on, in bf16 or float32 on one device."""

    def __init__(self, weights: Path, device: str = "cpu", dtype: torch.dtype = torch.bfloat16) -> None:
        known = json.loads((weights / "condition.json").read_text())
        if known["encoder_input_size"] != SIZE:
            raise SystemExit(
                f"error: {weights} was trained on features of {known['encoder_input_size']} px, expected {SIZE}"
            )
        self.vae = AutoencoderDC.from_pretrained(weights / "vae", torch_dtype=torch.float32).eval().to(device)
        self.unet = UNet2DConditionModel.from_pretrained(weights / "unet", torch_dtype=torch.float32).eval().to(device)
        self.encoder = EmbeddedEncoder(device)
        self.device, self.dtype = torch.device(device), dtype

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> Tensor:
        """(b 3 h w) in [-1, 1] -> the same, through the autoencoder."""
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            return self.vae.decode(self.vae.encode(x).latent).sample.float().clamp(-1, 1)

    @torch.no_grad()
    def sample(self, x: Tensor, strength: float, steps: int, scale: float, noise: Tensor) -> Tensor:
        """Pictures (b 3 h w) in [-1, 1] from seeds like them; noise (b c h/8 w/8); `steps` Euler steps from t = strength."""
        size = torch.full((len(x),), float(min(x.shape[-2:])))
        features = self.encoder.images(x, SIZE)
        labels = condition(torch.cat([features, torch.zeros_like(features)]), size.repeat(2), size.repeat(2))
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            z = (1 - strength) * self.vae.encode(x).latent.float() + strength * noise
            times = torch.linspace(strength, 0, steps + 1)
            for t, after in pairwise(times):
                z = z + (after - t) * self._velocity(z, t, labels, scale)
            return self.vae.decode(z).sample.float().clamp(-1, 1)

    def _velocity(self, z: Tensor, t: Tensor, labels: Tensor, scale: float) -> Tensor:
        """Classifier-free guidance: with and without the feature in one batch; without alone costs half."""
        if scale == 1:
            return self.unet(z, t * 1000, None, class_labels=labels[: len(z)]).sample.float()
        with_, without = self.unet(z.repeat(2, 1, 1, 1), t * 1000, None, class_labels=labels).sample.float().chunk(2)
        return without + scale * (with_ - without)


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
            found.append(decode(Path(name).read_bytes(), 4 * size))
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
    parser.add_argument("--samples", type=int, default=2)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--scale", type=float, default=2.0)
    args = parser.parse_args()
    sampler = Sampler(args.weights)
    x = pictures(args.pictures, args.count, args.size)
    columns = [x, sampler.reconstruct(x)]
    for k in range(args.samples * len(args.strengths)):
        noise = torch.randn(len(x), 16, args.size // 8, args.size // 8, generator=torch.Generator().manual_seed(k))
        columns.append(sampler.sample(x, args.strengths[k // args.samples], args.steps, args.scale, noise))
    grid(columns).save(args.out)


if __name__ == "__main__":
    main()
