"""Train the autoencoder: diffusers' AutoencoderDC, f8, on random crops of packed images.

    python training/autoencoder.py --minutes 35                              two CPU cores
    python training/autoencoder.py --minutes 8 --batch 512 --device cuda     a GPU

Goes on from --out when it exists (the minutes already spent count). The loss is pixel error, mostly squared, since
PSNR is the aim; the decoder sees latents with a little noise, so that it forgives a denoiser's errors.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderDC
from loop import Average, Clock, Muon, fast, parameters, save
from packed import Packed, open_packed, resize, to_pixels
from principal import warm_start
from torch import Tensor

HELD_OUT = 48  # last images of each sharp source, a tenth at most: for the log's PSNR


def build(widths: tuple[int, ...], layers: tuple[tuple[int, ...], tuple[int, ...]], channels: int) -> AutoencoderDC:
    """ResBlocks everywhere; no layers at full resolution, which is one pixel-(un)shuffle convolution each way."""
    n = len(widths)
    return AutoencoderDC(
        latent_channels=channels,
        encoder_block_out_channels=widths,
        decoder_block_out_channels=widths,
        encoder_layers_per_block=layers[0],
        decoder_layers_per_block=layers[1],
        encoder_qkv_multiscales=((),) * n,
        decoder_qkv_multiscales=((),) * n,
    )


def kept_back(source: Packed) -> int:
    """How many of a sharp source's last images no crop is drawn from."""
    return min(HELD_OUT, len(source) // 10)


class Crops:
    """Endless batches of crops: a share from the sharp sources, reduced by a random factor, the rest small images whole."""

    def __init__(self, sources: list[Packed], size: int, sharp_share: float, rng: int) -> None:
        self.size, self.sharp_share = size, sharp_share
        self.rng = np.random.default_rng(rng)
        self.sharp = [s for s in sources if s.short_side > 64] or sources
        self.small = [s for s in sources if s.short_side <= 64] or sources

    def batch(self, n: int) -> Tensor:
        """(n 3 size size) in [-1, 1]."""
        sharp = round(n * self.sharp_share)
        source_size = int(self.size * self.rng.choice([1, 1.25, 1.5, 2]))
        parts = [
            self._crops(self.sharp, sharp, source_size, kept_back),
            self._crops(self.small, n - sharp, min(64, self.size), lambda _: 0),
        ]
        return torch.cat([resize(p, self.size) for p in parts])

    def _crops(self, sources: list[Packed], n: int, size: int, held: Callable[[Packed], int]) -> Tensor:
        u = self.rng.random((n, 3))
        picks = self.rng.integers(len(sources), size=n)
        items = [(sources[s], int(self.rng.integers(len(sources[s]) - held(sources[s])))) for s in picks]
        return to_pixels([source.crop(i, size, u[k]) for k, (source, i) in enumerate(items)])


def held_out(sources: list[Packed], size: int = 128) -> Tensor:
    """Centre crops of the sharp sources' last images: (b 3 size size) in [-1, 1]."""
    middle = np.array([0.5, 0.5, 1.0])
    sharp = [s for s in sources if s.short_side > 64] or sources
    return to_pixels([s.crop(len(s) - 1 - i, size, middle) for s in sharp for i in range(max(1, kept_back(s)))])


def loss_of(x: Tensor, y: Tensor) -> Tensor:
    """Squared and absolute pixel error, and the absolute error of horizontal and vertical differences."""
    e = y - x
    gradient = e.diff(dim=-1).abs().mean() + e.diff(dim=-2).abs().mean()
    return 4 * e.square().mean() + 0.5 * e.abs().mean() + 0.25 * gradient


@torch.no_grad()
def psnr(model: AutoencoderDC, x: Tensor) -> float:
    """Mean PSNR in dB of reconstructions, pixels in 0..255."""
    y = torch.cat([model.decode(model.encode(b).latent).sample for b in x.split(16)]).clamp(-1, 1)
    return float((-10 * ((y - x) / 2).square().mean((1, 2, 3)).log10()).mean())


def train(args: argparse.Namespace) -> None:
    device = torch.device(args.device)
    fast(device)
    torch.manual_seed(0)
    state = torch.load(args.out, map_location="cpu", weights_only=False) if args.out.exists() else None
    shape = (
        state["shape"]
        if state
        else {
            "widths": tuple(args.widths),
            "layers": (tuple(args.encoder), tuple(args.decoder)),
            "channels": args.channels,
        }
    )
    sources = open_packed(args.packed)
    model = build(**shape)
    if not state:
        warm_start(model, Crops(sources, 64, args.sharp, rng=0).batch(1024))
    model = model.to(device, memory_format=torch.channels_last)
    average, optimizer = Average(model), Muon(model, args.lr)
    step, spent = 0, 0.0
    if state:
        model.load_state_dict(state["model"])
        average.model.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        step, spent = state["step"], state["spent"]
    crops, check = Crops(sources, args.size, args.sharp, rng=step), held_out(sources).to(device)
    clock, total = Clock(args.minutes, spent), 0.0
    run = torch.compile(model) if device.type == "cuda" else model
    print(
        f"{parameters([model.encoder]):.2f} + {parameters([model.decoder]):.2f} M parameters, from step {step}",
        flush=True,
    )

    def checkpoint() -> None:
        content = {
            "model": model.state_dict(),
            "average": average.model.state_dict(),
            "optimizer": optimizer.state_dict(),
        }
        save(args.out, content | {"shape": shape, "step": step, "spent": clock.spent})

    while not clock.done and step < args.steps:
        x = crops.batch(args.batch).to(device, memory_format=torch.channels_last)
        for group in optimizer.param_groups:
            group["lr"] = args.lr * clock.factor()
        with torch.autocast(device.type, torch.bfloat16, enabled=args.bf16):
            y = reconstruct(run, x, args.noise)
        loss = loss_of(x, y.float())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        step += 1
        average.update(model, step)
        total += loss.item() if step % 5 == 0 else 0.0
        if step % args.every == 0:
            figures = (
                f"loss {5 * total / args.every:.4f} psnr {psnr(average.model, check):.2f} / {psnr(model, check):.2f}"
            )
            print(f"step {step} {clock.spent:.0f}s lr {optimizer.param_groups[0]['lr']:.1e} {figures}", flush=True)
            total = 0.0
            checkpoint()
    checkpoint()


def reconstruct(model: AutoencoderDC, x: Tensor, noise: float) -> Tensor:
    """Encode, add noise of `noise` latent standard deviations, decode."""
    z = model.encode(x).latent
    z = z + noise * z.detach().float().std((0, 2, 3), keepdim=True) * torch.randn_like(z, dtype=torch.float32)
    return model.decode(z).sample


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packed", type=Path, default=Path(".work/embedded/packed"))
    parser.add_argument("--out", type=Path, default=Path(".work/embedded/autoencoder.pt"))
    parser.add_argument("--minutes", type=float, default=35)
    parser.add_argument("--steps", type=int, default=10**9)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--sharp", type=float, default=0.7, help="share of crops from the sharp sources")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--noise", type=float, default=0.06)
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--widths", type=int, nargs="+", default=[48, 48, 96, 192])
    parser.add_argument("--encoder", type=int, nargs="+", default=[0, 1, 1, 1])
    parser.add_argument("--decoder", type=int, nargs="+", default=[0, 1, 2, 1])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--bf16", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--every", type=int, default=200)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
