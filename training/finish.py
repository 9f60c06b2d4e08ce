"""Turn the autoencoder's checkpoint into the diffusers folder that the denoiser trains on.

    python training/finish.py

The outermost shortcuts are merged into their convolutions, and a spread for each latent channel is folded into the
weights: on average 1 (so `scaling_factor` is 1), larger for the channels that move more pixels. Channels of equal spread would
have the denoiser spend its capacity on the finest, least predictable ones, and noise would take the layout of a picture as soon as
its grain. Reconstructions stay the same.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from autoencoder import Crops, build, held_out, psnr
from diffusers import AutoencoderDC
from packed import open_packed
from torch import Tensor


@torch.no_grad()
def folded(model: AutoencoderDC, x: Tensor) -> AutoencoderDC:
    """The same autoencoder without outer shortcuts, its latents of unit std on x (b 3 h w) in [-1, 1]."""
    channels = model.config["latent_channels"]
    out, inside = model.encoder.conv_out, model.decoder.conv_in
    groups = out.in_channels // channels
    out.weight[:, :, 1, 1] += torch.eye(channels).repeat_interleave(groups, 1) / groups
    inside.weight[:, :, 1, 1] += torch.eye(channels).repeat_interleave(inside.out_channels // channels, 0)
    model.encoder.out_shortcut = model.decoder.in_shortcut = False
    model.register_to_config(encoder_out_shortcut=False, decoder_in_shortcut=False, scaling_factor=1.0)
    z = torch.cat([model.encode(part).latent for part in x.split(64)])
    std = z.std((0, 2, 3))
    print(
        "latent mean / std before:", " ".join(f"{m:.2f}/{s:.2f}" for m, s in zip(z.mean((0, 2, 3)), std, strict=True))
    )
    stretch(model, 1 / std)
    stretch(model, spreads(energies(model, x[:128])))
    return model


@torch.no_grad()
def stretch(model: AutoencoderDC, factors: Tensor) -> None:
    """Multiply each latent channel by its factor (c), inside the weights."""
    out, inside = model.encoder.conv_out, model.decoder.conv_in
    out.weight *= factors[:, None, None, None]
    out.bias *= factors
    inside.weight /= factors[None, :, None, None]


@torch.no_grad()
def energies(model: AutoencoderDC, x: Tensor) -> Tensor:
    """Mean squared pixel change (c) when half a unit of noise is added to one latent channel."""
    z = model.encode(x).latent
    y = model.decode(z).sample
    moved = []
    for c in range(z.shape[1]):
        other = z.clone()
        other[:, c] += 0.5 * torch.randn_like(other[:, c])
        moved.append((model.decode(other).sample - y).square().mean())
    return torch.stack(moved)


def spreads(energy: Tensor) -> Tensor:
    """The spread (c) of each channel: its pixel energy to the power 0.3, mean square 1."""
    spread = energy**0.3
    return spread / spread.square().mean().sqrt()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packed", type=Path, default=Path(".work/embedded/packed"))
    parser.add_argument("--checkpoint", type=Path, default=Path(".work/embedded/autoencoder.pt"))
    parser.add_argument("--out", type=Path, default=Path(".work/embedded/vae"))
    args = parser.parse_args()
    state = torch.load(args.checkpoint, map_location="cpu", weights_only=False)
    model = build(**state["shape"])
    model.load_state_dict(state["average"])
    sources = open_packed(args.packed)
    check = held_out(sources)
    before = psnr(model, check)
    model = folded(model, Crops(sources, 64, 0.5, rng=1).batch(1024))
    model.save_pretrained(args.out)
    print(f"{args.out}: held-out PSNR {before:.2f} dB, folded {psnr(model, check):.2f} dB")


if __name__ == "__main__":
    main()
