"""The embedded prior: image-conditioned latent diffusion from diffusers components, which asks what lies where.

It is told the encoder's feature of an image, and in some cells of a 4x4 grid what lies there; the rest is imagined. Its f:

view              parameters of the classical prior; the image starts from that view of the seed, which is also what it is told
channel, element  the autoencoder's latent of the seed (GIF-SD); guidance decodes it and encodes the pixels
vector            the seed's feature (GIF-DALLE); the score is taken on the feature itself

The image starts at noise level `strength`; at 1 nothing is left of the seed but what the prior is told.
"""

import copy
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gifcli.compute.batches import SeedBatch
from gifcli.encoders import Encoder, make_encoder
from gifcli.errors import UsageError
from gifcli.images.reading import bucket
from gifcli.models import component_files, lora_files, revision
from gifcli.noise import NoiseSource
from gifcli.priors import Condition, PriorSettings, Steer
from gifcli.priors.classical import ClassicalPrior
from gifcli.priors.components import load_components, load_projection
from gifcli.priors.projection import layout
from gifcli.priors.tuned import load_tuned

NATIVE = (64, 96, 128)
MULTIPLE = 32
"""Of both sides in pixels: the denoiser halves the latent twice, and cannot crop."""
MAX_ASPECT = 2.0
DETAIL = 0.3
"""Root mean square change around a pixel, of values in [-1, 1], at which a third of the lost detail is put back."""
CONDITION_NOISE = 0.25
"""Length by which a sample's feature is moved at random before it conditions, as in training: siblings differ by it."""
KNOWN = 0.75
"""Share of the 4x4 cells in which a sample is told what lies there, at strength 1; more below it."""


class MapEncoder(Encoder, Protocol):
    """An encoder that also tells where in the image it saw what."""

    def maps(self, images: Tensor, size: int | None = None) -> Tensor:
        """(b 3 h w) in [-1, 1] -> (b d n n) whose cells average to the unit feature."""
        ...


class LatentDiffusionPrior:
    """Autoencoder, denoiser and scheduler in diffusers' layout, with `condition.json` beside them."""

    granularities = frozenset({"view", "channel", "element", "vector"})

    def __init__(self, folder: Path, settings: PriorSettings, device: str, dtype: str) -> None:
        self.name, self.revision = settings.name, revision(component_files(folder))
        self.settings, self.granularity = settings, settings.granularity
        self.device, self.dtype = torch.device(device), getattr(torch, dtype)
        self.known = json.loads((folder / "condition.json").read_text(encoding="utf-8"))
        self.feature_scale = float(self.known["feature_scale"])
        self.vae, self.unet, self.scheduler = load_components(folder, self.device)
        if settings.lora is not None:
            load_tuned(self.unet, lora_files(settings.lora)[0], settings.lora_scale, self.revision)
        self.projection = load_projection(folder, self.device)
        self.encoder = cast("MapEncoder", make_encoder(self.known["encoder"], device, dtype))
        self.views = ClassicalPrior(replace(settings, strength=1.0), device)

    def working_size(self, width: int, height: int) -> tuple[int, int]:
        """Short side: `size`, else the native one (64, 96, 128) nearest the image's; both sides multiples of 32."""
        short = min(width, height)
        side = self.settings.size or min(NATIVE, key=lambda native: (abs(native - short), native))
        return bucket(width, height, side, MULTIPLE, MAX_ASPECT)

    def encode(self, seeds: SeedBatch) -> Tensor:
        """-> view parameters (b 56), the latent (b 16 h/8 w/8), or for vector the feature (b 1280) times sqrt(1280)."""
        match self.granularity:
            case "view":
                return self.views.encode(seeds)
            case "vector":
                return self.maps_of(seeds.pixels).mean((2, 3)) * self.feature_scale
            case _:
                return self.latents_of(seeds.pixels)

    def condition(self, prompts: list[str], seeds: SeedBatch) -> Condition:
        """The seed's feature map; for `vector` the seed's latent too. Of a view there is nothing to tell beforehand."""
        if self.granularity == "view":
            return Condition({}, prompts)
        tensors = {"maps": self.maps_of(seeds.pixels)}
        if self.granularity == "vector" and self.settings.strength < 1:
            tensors["latent"] = self.latents_of(seeds.pixels)
        return Condition(tensors, prompts)

    def features(self, f: Tensor, seeds: SeedBatch, encoder: Encoder) -> Tensor:
        """-> (b d) unit norm: of the view, f itself for `vector`, else of the decoded pixels."""
        match self.granularity:
            case "view":
                return self.views.features(f, seeds, encoder)
            case "vector":
                return F.normalize(f, dim=-1)
            case _:
                return encoder.images(self.decode(f))

    @torch.no_grad()
    def sample(
        self, f: Tensor, seeds: SeedBatch, condition: Condition, noise: NoiseSource, steer: Steer | None = None
    ) -> Tensor:
        """-> images (b 3 h w) in [-1, 1], after round(steps * strength) Euler steps, at least one."""
        if steer is not None:
            raise UsageError("guidance.where: expected before; the embedded prior cannot be steered while it denoises")
        seen = seeds.pixels.to(self.device)
        if self.granularity == "view":
            seen = self.views.sample(f, seeds, condition, noise)
            f, condition = self.latents_of(seen), Condition({"maps": self.maps_of(seen)}, condition.prompts)
        strength = self.settings.strength
        x, labels, cells = self._start(f, condition, noise, seeds.pixels.shape[-2:])
        evaluations = max(1, round(self.settings.steps * strength))
        scheduler = copy.deepcopy(self.scheduler)  # it counts its steps, and several threads may sample at a time
        scheduler.set_timesteps(sigmas=np.linspace(strength, strength / evaluations, evaluations))
        for t in scheduler.timesteps:
            x = scheduler.step(self._velocity(x, t, labels, cells), t, x).prev_sample
        return self.with_detail(self.decode(x), seen).clamp(-1, 1)

    def with_detail(self, made: Tensor, seen: Tensor) -> Tensor:
        """Puts back what the autoencoder lost of the image that was started from, as far as the new one shows the same.

        made, seen (b 3 h w) -> (b 3 h w) = made + (1 - t) exp(-change^2 / DETAIL^2) (seen - decode(encode(seen))).
        """
        share = 1 - self.settings.strength
        if not share:
            return made
        coded = self.decode(self.latents_of(seen))
        change = F.avg_pool2d((made - coded).square().mean(1, keepdim=True), 9, 1, 4, count_include_pad=False)
        return made + share * torch.exp(-change / DETAIL**2) * (seen - coded)

    def _start(
        self, f: Tensor, condition: Condition, noise: NoiseSource, size: torch.Size
    ) -> tuple[Tensor, Tensor, Tensor]:
        """x_t at t = strength, as x_t = (1 - t) x + t noise; the vector and the layout to condition on."""
        t, (height, width) = self.settings.strength, size
        drawn = noise.normal("latent", (self.vae.config.latent_channels, height // 8, width // 8)).to(self.device)
        maps = condition.tensors["maps"]
        feature = maps.mean((2, 3))
        if self.granularity == "vector":
            latent = condition.tensors.get("latent", torch.zeros_like(drawn))
            moved = F.normalize(f.to(self.device), dim=-1)
        else:
            latent = f.to(self.device)
            direction = F.normalize(noise.normal("condition", (self.encoder.dim,)), dim=-1).to(self.device)
            moved = F.normalize(feature + CONDITION_NOISE * direction, dim=-1)
        share = 1 - (1 - KNOWN) * t
        known = (noise.uniform("cells", (1, *maps.shape[2:])) < share).float().to(self.device)
        told = self.projection(maps) + self.projection.shift(moved - feature)
        cells = layout(told, known, height // 8, width // 8)
        return (1 - t) * latent + t * drawn, self.labels_of(moved, height, width), cells

    def labels_of(self, feature: Tensor, height: int, width: int) -> Tensor:
        """The denoiser's condition (2b d+2), with the feature and without: SDXL-like micro-conditioning says "sharp"."""
        side = float(min(height, width))
        micro = torch.tensor([0.0, math.log2(side / 64)], device=self.device) * self.known["micro_scale"]
        rows = torch.cat([feature * self.feature_scale, micro.expand(len(feature), 2)], 1)
        without = rows.clone()
        without[:, : feature.shape[1]] = 0
        return torch.cat([rows, without])

    def _velocity(self, x: Tensor, t: Tensor, labels: Tensor, cells: Tensor) -> Tensor:
        """Classifier-free guidance (Ho and Salimans, arXiv 2207.12598): v_0 + scale (v_c - v_0)."""
        scale = self.settings.guidance_scale
        told = torch.cat([x, cells], 1)
        if scale == 1:
            return self._autocast(lambda: self.unet(told, t, None, class_labels=labels[: len(x)]).sample)
        untold = torch.cat([x, torch.zeros_like(cells)], 1)
        both = self._autocast(lambda: self.unet(torch.cat([told, untold]), t, None, class_labels=labels).sample)
        given, free = both.chunk(2)
        return free + scale * (given - free)

    @torch.no_grad()
    def maps_of(self, pixels: Tensor) -> Tensor:
        """(b 3 h w) in [-1, 1] -> the encoder's feature maps (b d n n), which tell the denoiser what lies where."""
        return self.encoder.maps(pixels, self.known["encoder_input_size"])

    @torch.no_grad()
    def latents_of(self, pixels: Tensor) -> Tensor:
        """(b 3 h w) in [-1, 1] -> (b c h/8 w/8), standard deviation about 1."""
        scale = float(self.vae.config.scaling_factor)
        return self._autocast(lambda: self.vae.encode(pixels.to(self.device)).latent) * scale

    def decode(self, f: Tensor) -> Tensor:
        """Inverse of `latents_of`, as far as the autoencoder has one; differentiable, not clamped."""
        return self._autocast(lambda: self.vae.decode(f.to(self.device) / self.vae.config.scaling_factor).sample)

    def _autocast(self, call: Callable[[], Tensor]) -> Tensor:
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            return call().float()
