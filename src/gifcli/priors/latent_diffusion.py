"""The image-conditioned latent diffusion prior: diffusers components, conditioned on the encoder's feature of the seed.

granularity channel or element: f is the autoencoder's latent of the seed (GIF-SD); guidance decodes it and encodes the
pixels. granularity vector: f is the seed's feature (GIF-DALLE); the score is taken on the feature itself. Either way the
image starts from the seed's latent at noise level `strength`; at 1 nothing but the feature is left of the seed.
"""

import copy
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gifcli.batches import SeedBatch
from gifcli.encoders import Encoder, make_encoder
from gifcli.errors import ModelMissingError, UsageError
from gifcli.images import bucket
from gifcli.models import component_files, revision
from gifcli.noise import NoiseSource
from gifcli.priors import Condition, PriorSettings, Steer

NATIVE = (64, 96, 128)
MULTIPLE = 32
"""Of both sides in pixels: the denoiser halves the latent twice, and cannot crop."""
MAX_ASPECT = 2.0
CONDITION_NOISE = 0.25
"""Length by which a sample's feature is moved at random before it conditions, as in training: siblings differ by it."""


class LatentDiffusionPrior:
    """Autoencoder, denoiser and scheduler in diffusers' layout, with `condition.json` beside them."""

    granularities = frozenset({"channel", "element", "vector"})

    def __init__(self, folder: Path, settings: PriorSettings, device: str, dtype: str) -> None:
        self.name, self.revision = settings.name, revision(component_files(folder))
        self.settings, self.granularity = settings, settings.granularity
        self.device, self.dtype = torch.device(device), getattr(torch, dtype)
        self.known = json.loads((folder / "condition.json").read_text(encoding="utf-8"))
        self.feature_scale = float(self.known["feature_scale"])
        self.vae, self.unet, self.scheduler = _load(folder, self.device)
        self.encoder = make_encoder(self.known["encoder"], device, dtype)

    def working_size(self, width: int, height: int) -> tuple[int, int]:
        """Short side: `size`, else the native one (64, 96, 128) nearest the image's; both sides multiples of 32."""
        short = min(width, height)
        side = self.settings.size or min(NATIVE, key=lambda native: (abs(native - short), native))
        return bucket(width, height, side, MULTIPLE, MAX_ASPECT)

    def encode(self, seeds: SeedBatch) -> Tensor:
        """-> the latent (b 16 h/8 w/8), or for granularity vector the feature (b 1280) times sqrt(1280)."""
        if self.granularity == "vector":
            return self._features_of(seeds) * self.feature_scale
        return self._latents(seeds)

    def condition(self, prompts: list[str], seeds: SeedBatch) -> Condition:
        """The seed's feature at the size that the denoiser was trained with; and for `vector` the seed's latent."""
        tensors = {"feature": self._features_of(seeds)}
        if self.granularity == "vector" and self.settings.strength < 1:
            tensors["latent"] = self._latents(seeds)
        return Condition(tensors, prompts)

    def features(self, f: Tensor, seeds: SeedBatch, encoder: Encoder) -> Tensor:
        """-> (b d) unit norm: f itself for `vector`, else of the decoded pixels."""
        if self.granularity == "vector":
            return F.normalize(f, dim=-1)
        return encoder.images(self._decode(f))

    @torch.no_grad()
    def sample(
        self, f: Tensor, seeds: SeedBatch, condition: Condition, noise: NoiseSource, steer: Steer | None = None
    ) -> Tensor:
        """-> images (b 3 h w) in [-1, 1], after round(steps * strength) Euler steps, at least one."""
        if steer is not None:
            raise UsageError("guidance.where: expected before; the embedded prior cannot be steered while it denoises")
        height, width = seeds.pixels.shape[-2:]
        strength = self.settings.strength
        start, feature = self._start(f, condition, noise, (height, width))
        labels = self._labels(feature, height, width)
        evaluations = max(1, round(self.settings.steps * strength))
        scheduler = copy.deepcopy(self.scheduler)  # it counts its steps, and several threads may sample at a time
        scheduler.set_timesteps(sigmas=np.linspace(strength, strength / evaluations, evaluations))
        x = start
        for t in scheduler.timesteps:
            x = scheduler.step(self._velocity(x, t, labels), t, x).prev_sample
        return self._decode(x).clamp(-1, 1)

    def _start(
        self, f: Tensor, condition: Condition, noise: NoiseSource, size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """x_t at t = strength, as x_t = (1 - t) x + t noise, and the unit features to condition on."""
        t = self.settings.strength
        shape = (self.vae.config.latent_channels, size[0] // 8, size[1] // 8)
        drawn = noise.normal("latent", shape).to(self.device)
        if self.granularity == "vector":
            latent = condition.tensors.get("latent", torch.zeros_like(drawn))
            return (1 - t) * latent + t * drawn, F.normalize(f.to(self.device), dim=-1)
        moved = noise.normal("condition", (self.encoder.dim,)).to(self.device)
        feature = condition.tensors["feature"] + CONDITION_NOISE * F.normalize(moved, dim=-1)
        return (1 - t) * f.to(self.device) + t * drawn, F.normalize(feature, dim=-1)

    def _labels(self, feature: Tensor, height: int, width: int) -> Tensor:
        """The denoiser's condition (2b d+2), with the feature and without: SDXL-like micro-conditioning says "sharp"."""
        side = float(min(height, width))
        micro = torch.tensor([0.0, math.log2(side / 64)], device=self.device) * self.known["micro_scale"]
        rows = torch.cat([feature * self.feature_scale, micro.expand(len(feature), 2)], 1)
        without = rows.clone()
        without[:, : feature.shape[1]] = 0
        return torch.cat([rows, without])

    def _velocity(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        """Classifier-free guidance (Ho and Salimans, arXiv 2207.12598): v_0 + scale (v_c - v_0)."""
        scale = self.settings.guidance_scale
        if scale == 1:
            return self._autocast(lambda: self.unet(x, t, None, class_labels=labels[: len(x)]).sample)
        both = self._autocast(lambda: self.unet(x.repeat(2, 1, 1, 1), t, None, class_labels=labels).sample)
        given, free = both.chunk(2)
        return free + scale * (given - free)

    def _features_of(self, seeds: SeedBatch) -> Tensor:
        with torch.no_grad():
            return self.encoder.images(seeds.pixels, self.known["encoder_input_size"])

    @torch.no_grad()
    def _latents(self, seeds: SeedBatch) -> Tensor:
        scale = float(self.vae.config.scaling_factor)
        return self._autocast(lambda: self.vae.encode(seeds.pixels.to(self.device)).latent) * scale

    def _decode(self, f: Tensor) -> Tensor:
        return self._autocast(lambda: self.vae.decode(f.to(self.device) / self.vae.config.scaling_factor).sample)

    def _autocast(self, call: Callable[[], Tensor]) -> Tensor:
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            return call().float()


def _load(folder: Path, device: torch.device) -> tuple[Any, Any, Any]:
    """Autoencoder, denoiser and scheduler, frozen.

    Raises:
        ModelMissingError: a file is missing or broken.
    """
    from diffusers import AutoencoderDC, FlowMatchEulerDiscreteScheduler, UNet2DConditionModel

    try:
        vae = AutoencoderDC.from_pretrained(folder / "vae", torch_dtype=torch.float32, use_safetensors=True)
        unet = UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=torch.float32, use_safetensors=True)
        scheduler = FlowMatchEulerDiscreteScheduler.from_pretrained(folder / "scheduler")
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelMissingError(
            f"prior {folder}: expected vae, unet and scheduler in diffusers' layout; {reason}; reinstall gifcli"
        ) from error
    models = [part.to(device).eval().requires_grad_(False) for part in (vae, unet)]
    return *models, scheduler
