"""Pixels to latents and back: the checkpoint's autoencoder, and the tiny one that guidance decodes with."""

from typing import Any

import torch
from torch import Tensor


class Autoencoder:
    """A KL autoencoder (AutoencoderKL), and a tiny one (AutoencoderTiny, TAESD) or None; latents have a deviation of 1.

    A guidance step through the tiny one costs a twentieth of one through the other.
    """

    def __init__(self, vae: Any, tiny: Any | None) -> None:
        self.vae, self.tiny = vae, tiny
        self.channels = int(vae.config.latent_channels)
        self.factor = 2 ** (len(vae.config.block_out_channels) - 1)
        self.dtype = next(vae.parameters()).dtype
        mean, std = (getattr(vae.config, name, None) for name in ("latents_mean", "latents_std"))
        self._whitening = None if mean is None or std is None else (_channels(mean), _channels(std))

    @torch.no_grad()
    def encode(self, pixels: Tensor) -> Tensor:
        """(b 3 h w) in [-1, 1] -> the mean of the latent's distribution (b c h/8 w/8) float32; nothing is drawn."""
        latent: Tensor = self.vae.encode(pixels.to(self.dtype)).latent_dist.mode().float()
        if self._whitening is not None:
            mean, std = (part.to(latent) for part in self._whitening)
            latent = (latent - mean) / std
        return latent * float(self.vae.config.scaling_factor)

    def decode(self, latent: Tensor) -> Tensor:
        """(b c h w) -> (b 3 8h 8w), about [-1, 1], float32; differentiable."""
        latent = latent / float(self.vae.config.scaling_factor)
        if self._whitening is not None:
            mean, std = (part.to(latent) for part in self._whitening)
            latent = latent * std + mean
        pixels: Tensor = self.vae.decode(latent.to(self.dtype)).sample
        return pixels.float()

    def decode_cheaply(self, latent: Tensor) -> Tensor:
        """The same through the tiny autoencoder, if there is one; differentiable."""
        if self.tiny is None:
            return self.decode(latent)
        dtype = next(self.tiny.parameters()).dtype
        scaled = latent / float(self.tiny.config.scaling_factor)
        pixels: Tensor = self.tiny.decode(scaled.to(dtype)).sample
        return pixels.float()


def _channels(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).view(1, -1, 1, 1)
