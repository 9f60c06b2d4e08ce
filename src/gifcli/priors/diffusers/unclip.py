"""Stable unCLIP: an image is imagined from a perturbed image embedding (GIF-DALLE, arXiv 2211.13976, section 4.3).

f is the seed's CLIP embedding, whitened as the checkpoint's normalizer does it, so that its elements have a deviation of
about 1. The score is taken on the embedding itself: guidance needs no pixels. At strength 1 the image starts from noise
and only the embedding (and the prompt) say what it shows; below 1 it starts from the seed's latent.
"""

import torch
from diffusers.models.embeddings import get_timestep_embedding
from torch import Tensor
from torch.nn import functional as F

from gifcli.compute.batches import SeedBatch
from gifcli.encoders import Encoder
from gifcli.encoders.unclip import UnclipEncoder
from gifcli.errors import UsageError
from gifcli.models import encoder_card
from gifcli.models.checkpoint import Checkpoint
from gifcli.noise import NoiseSource
from gifcli.priors import Condition, PriorSettings, Steer
from gifcli.priors.diffusers.denoise import Denoiser, Told
from gifcli.priors.diffusers.prior import load_models, make_autoencoder, working_size
from gifcli.priors.diffusers.text import Texts


class UnclipPrior:
    """A checkpoint whose denoiser is told an image embedding and a prompt."""

    granularities = frozenset({"vector"})

    def __init__(self, checkpoint: Checkpoint, settings: PriorSettings, device: str, dtype: str) -> None:
        self.name, self.revision, self.settings = settings.name, checkpoint.revision, settings
        self.checkpoint, self.device = checkpoint, torch.device(device)
        parts = load_models(checkpoint, settings, self.device, getattr(torch, dtype))
        self.autoencoder = make_autoencoder(parts, settings, self.device)
        self.encoder = UnclipEncoder(checkpoint, settings.name, device, getattr(torch, dtype))
        self.texts = Texts(parts.tokenizers, parts.text_encoders, self.device, zeros=False)
        self.mean, self.std = (
            part.detach().float().to(self.device) for part in (parts.image_normalizer.mean, parts.image_normalizer.std)
        )
        self.noising = parts.image_noising_scheduler
        self.denoiser = Denoiser(
            parts.unet,
            parts.scheduler,
            settings.scheduler,
            settings.steps,
            settings.strength,
            max(1.0, settings.guidance_scale),
        )

    def working_size(self, width: int, height: int) -> tuple[int, int]:
        """Short side: `size`, else what the checkpoint was trained at; both sides multiples of what it can halve."""
        return working_size(self.checkpoint, self.settings.size, width, height)

    def encode(self, seeds: SeedBatch) -> Tensor:
        """-> the whitened image embedding (b d)."""
        with torch.no_grad():
            whitened: Tensor = (self.encoder.embeddings(seeds.pixels) - self.mean) / self.std
        return whitened

    def condition(self, prompts: list[str], seeds: SeedBatch) -> Condition:
        """The prompts' embeddings; and below strength 1 the seeds' latents."""
        tensors = self.texts.embed(prompts)
        if self.settings.strength < 1:
            tensors["latent"] = self.autoencoder.encode(seeds.pixels.to(self.device))
        return Condition(tensors, prompts)

    def features(self, f: Tensor, seeds: SeedBatch, encoder: Encoder) -> Tensor:
        """-> (b d) unit norm: the embedding itself, so the encoder must be the checkpoint's own."""
        if encoder.name != self.name and encoder_card(encoder.name).files != self.checkpoint.encoder_files:
            raise UsageError(
                f"encoder: an unCLIP prior scores its own image embedding; expected --encoder auto, found {encoder.name}"
            )
        return F.normalize(f.to(self.device) * self.std + self.mean, dim=-1)

    @torch.no_grad()
    def sample(
        self, f: Tensor, seeds: SeedBatch, condition: Condition, noise: NoiseSource, steer: Steer | None = None
    ) -> Tensor:
        """-> images (b 3 h w) in [-1, 1]."""
        if steer is not None:
            raise UsageError("guidance.where: expected before; an unCLIP prior is guided by its embedding")
        height, width = seeds.pixels.shape[-2:]
        factor = self.autoencoder.factor
        shape = (self.autoencoder.channels, height // factor, width // factor)
        told: Told = {
            "encoder_hidden_states": condition.tensors["states"].to(self.device),
            "class_labels": self._embedding(f.to(self.device).float(), noise),
        }
        nothing: Told = {
            "encoder_hidden_states": self.texts.nothing(len(f))["states"],
            "class_labels": torch.zeros_like(told["class_labels"]),
        }
        latent = self.denoiser(
            condition.tensors.get("latent"), shape, (told, None if self.denoiser.scale == 1 else nothing), noise, None
        )
        decode = self.autoencoder.decode_cheaply if self.settings.decoder == "tiny" else self.autoencoder.decode
        return decode(latent).clamp(-1, 1)

    def _embedding(self, f: Tensor, noise: NoiseSource) -> Tensor:
        """What the denoiser is told of the embedding: it, with as much noise as `noise_level` says, and that level."""
        level = torch.full((len(f),), self.settings.noise_level, device=self.device)
        drawn = noise.normal("embedding", f.shape[1:]).to(self.device)
        noisy = self.noising.add_noise(f, timesteps=level, noise=drawn) * self.std + self.mean
        said = get_timestep_embedding(level, f.shape[1], flip_sin_to_cos=True, downscale_freq_shift=0)
        return torch.cat([noisy, said.to(noisy)], 1)
