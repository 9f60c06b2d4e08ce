"""Latent diffusion told by text: Stable Diffusion 1 and 2, SD-Turbo, SDXL, SDXL-Turbo, LCM (GIF-SD, arXiv 2211.13976).

f is the autoencoder's latent of the seed. An image starts from the perturbed latent at noise level `strength`. Guidance
decodes the latent, through the tiny autoencoder if there is one, and encodes the pixels.
"""

import torch
from torch import Tensor

from gifcli.compute.batches import SeedBatch
from gifcli.encoders import Encoder
from gifcli.errors import ModelMissingError
from gifcli.images.reading import bucket
from gifcli.models import lora_files, tiny_checkpoint
from gifcli.models.checkpoint import Checkpoint
from gifcli.noise import NoiseSource
from gifcli.priors import Condition, PriorSettings, Steer
from gifcli.priors.diffusers.autoencoder import Autoencoder
from gifcli.priors.diffusers.denoise import Denoiser, Told, guidance_embedding
from gifcli.priors.diffusers.load import Components, fuse_lora, load_components, load_part
from gifcli.priors.diffusers.text import Texts

MAX_ASPECT = 2.0


class DiffusersPrior:
    """A checkpoint whose denoiser is told a prompt."""

    granularities = frozenset({"channel", "element"})

    def __init__(self, checkpoint: Checkpoint, settings: PriorSettings, device: str, dtype: str) -> None:
        self.name, self.revision, self.settings = settings.name, checkpoint.revision, settings
        self.checkpoint, self.device = checkpoint, torch.device(device)
        parts = load_models(checkpoint, settings, self.device, getattr(torch, dtype))
        self.autoencoder, self.unet = make_autoencoder(parts, settings, self.device), parts.unet
        self.texts = Texts(parts.tokenizers, parts.text_encoders, self.device, zeros=_empty_is_zero(checkpoint))
        # a denoiser that was distilled to guide itself is told how strongly, and takes no second evaluation
        self.self_guided = getattr(parts.unet.config, "time_cond_proj_dim", None)
        guided = settings.guidance_scale > 1 and not self.self_guided
        scale = settings.guidance_scale if guided else 1.0
        self.denoiser = Denoiser(
            parts.unet, parts.scheduler, settings.scheduler, settings.steps, settings.strength, scale
        )

    def working_size(self, width: int, height: int) -> tuple[int, int]:
        """Short side: `size`, else what the checkpoint was trained at; both sides multiples of what it can halve."""
        return working_size(self.checkpoint, self.settings.size, width, height)

    def encode(self, seeds: SeedBatch) -> Tensor:
        """-> the autoencoder's latent (b 4 h/8 w/8)."""
        return self.autoencoder.encode(seeds.pixels.to(self.device))

    def condition(self, prompts: list[str], seeds: SeedBatch) -> Condition:
        """The prompts' embeddings."""
        return Condition(self.texts.embed(prompts), prompts)

    def features(self, f: Tensor, seeds: SeedBatch, encoder: Encoder) -> Tensor:
        """-> (b d) unit norm, of the decoded pixels; differentiable in f."""
        return encoder.images(self.autoencoder.decode_cheaply(f.to(self.device)))

    @torch.no_grad()
    def sample(
        self, f: Tensor, seeds: SeedBatch, condition: Condition, noise: NoiseSource, steer: Steer | None = None
    ) -> Tensor:
        """-> images (b 3 h w) in [-1, 1]."""
        start = f.to(self.device).float()
        size = (int(seeds.pixels.shape[-2]), int(seeds.pixels.shape[-1]))
        nothing = None if self.denoiser.scale == 1 else self.told(self.texts.nothing(len(f)), size)
        told = self.told(condition.tensors, size), nothing
        latent = self.denoiser(start, tuple(start.shape[1:]), told, noise, steer)
        decode = self.autoencoder.decode_cheaply if self.settings.decoder == "tiny" else self.autoencoder.decode
        return decode(latent).clamp(-1, 1)

    def told(self, text: Told, size: tuple[int, int]) -> Told:
        """The denoiser's arguments: for SDXL also the pooled text, and size, crop and target size (arXiv 2307.01952)."""
        told = {"encoder_hidden_states": text["states"].to(self.device)}
        rows = len(told["encoder_hidden_states"])
        if "pooled" in text:
            ids = torch.tensor([*size, 0, 0, *size], dtype=torch.float32, device=self.device)
            told |= {"text_embeds": text["pooled"].to(self.device), "time_ids": ids.expand(rows, -1)}
        if self.self_guided:
            scale = guidance_embedding(self.settings.guidance_scale, rows, self.self_guided)
            told["timestep_cond"] = scale.to(self.device)
        return told


def load_models(
    checkpoint: Checkpoint, settings: PriorSettings, device: torch.device, dtype: torch.dtype
) -> Components:
    """The components of a checkpoint on their device, with the LoRA fused in.

    Raises:
        ModelMissingError: a file is missing or broken, or the LoRA does not fit.
    """
    parts = load_components(checkpoint, dtype)
    if settings.lora is not None:
        fuse_lora(parts, checkpoint, lora_files(settings.lora), settings.lora_scale)
    models = [parts.unet, parts.vae, *parts.text_encoders, parts.image_encoder]
    for model in models:
        if model is not None:
            model.to(device)
    if device.type == "cuda":
        parts.unet.to(memory_format=torch.channels_last)
        parts.vae.to(memory_format=torch.channels_last)
    return parts


def make_autoencoder(parts: Components, settings: PriorSettings, device: torch.device) -> Autoencoder:
    """The checkpoint's autoencoder, with the tiny one that the settings name.

    Raises:
        ModelMissingError: that is missing or broken, or images are to be decoded with one and there is none.
    """
    from diffusers import AutoencoderTiny

    found = tiny_checkpoint(settings.tiny)
    if found is None and settings.decoder == "tiny":
        raise ModelMissingError(
            "prior.decoder: tiny needs a tiny autoencoder, and none is there; gif models pull taesd (for SDXL: taesdxl), "
            "or set prior.decoder to vae"
        )
    if found is None:
        return Autoencoder(parts.vae, None)
    tiny = load_part(AutoencoderTiny, found, "", next(parts.vae.parameters()).dtype).to(device)
    return Autoencoder(parts.vae, tiny)


def working_size(checkpoint: Checkpoint, size: int | None, width: int, height: int) -> tuple[int, int]:
    """The (width, height) in pixels nearest an image's aspect that a checkpoint can work at."""
    return bucket(width, height, size or checkpoint.side, checkpoint.multiple, MAX_ASPECT)


def _empty_is_zero(checkpoint: Checkpoint) -> bool:
    import json

    if checkpoint.kind != "sdxl":
        return False
    index = json.loads((checkpoint.folder / "model_index.json").read_text(encoding="utf-8"))
    return bool(index.get("force_zeros_for_empty_prompt", True))
