"""Components of a diffusers checkpoint, each by its own class, from safetensors only; a LoRA is fused in."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gifcli.errors import ModelMissingError
from gifcli.models.broken import told_if_broken
from gifcli.models.checkpoint import Checkpoint
from gifcli.models.quiet import quiet


@dataclass(slots=True)
class Components:
    """What a prior is made of; models are frozen, on their device. What a kind of checkpoint lacks is None."""

    unet: Any
    vae: Any
    scheduler: Any
    text_encoders: list[Any]
    tokenizers: list[Any]
    image_encoder: Any = None
    image_normalizer: Any = None
    image_noising_scheduler: Any = None
    feature_extractor: Any = None


def load_components(checkpoint: Checkpoint, dtype: torch.dtype) -> Components:
    """The components of a checkpoint, on the CPU.

    `dtype` is that of the denoiser and the encoders; the autoencoder is float32 where half precision overflows in it.

    Raises:
        ModelMissingError: a file is missing or broken.
    """
    import diffusers
    import transformers
    from diffusers.pipelines.stable_diffusion.stable_unclip_image_normalizer import StableUnCLIPImageNormalizer

    def part(kind: Any, name: str, precision: torch.dtype | None = dtype) -> Any:
        return load_part(kind, checkpoint, name, precision)

    second = checkpoint.kind == "sdxl"
    unclip = checkpoint.kind == "unclip"
    vae_dtype = torch.float32 if dtype == torch.float16 and _overflows(checkpoint) else dtype
    text_encoders = [part(transformers.CLIPTextModel, "text_encoder")]
    tokenizers = [part(transformers.CLIPTokenizer, "tokenizer", None)]
    if second:
        text_encoders.append(part(transformers.CLIPTextModelWithProjection, "text_encoder_2"))
        tokenizers.append(part(transformers.CLIPTokenizer, "tokenizer_2", None))
    return Components(
        unet=part(diffusers.UNet2DConditionModel, "unet"),
        vae=part(diffusers.AutoencoderKL, "vae", vae_dtype),
        scheduler=part(_scheduler_class(checkpoint), "scheduler", None),
        text_encoders=text_encoders,
        tokenizers=tokenizers,
        image_encoder=part(transformers.CLIPVisionModelWithProjection, "image_encoder") if unclip else None,
        image_normalizer=part(StableUnCLIPImageNormalizer, "image_normalizer", torch.float32) if unclip else None,
        image_noising_scheduler=part(diffusers.DDPMScheduler, "image_noising_scheduler", None) if unclip else None,
        feature_extractor=part(transformers.CLIPImageProcessor, "feature_extractor", None) if unclip else None,
    )


def _overflows(checkpoint: Checkpoint) -> bool:
    """Whether the autoencoder's own configuration says that half precision is too narrow for it, as SDXL's does."""
    config = json.loads((checkpoint.folder / "vae" / "config.json").read_text(encoding="utf-8"))
    return bool(config.get("force_upcast", True))


def load_part(kind: Any, checkpoint: Checkpoint, name: str, dtype: torch.dtype | None) -> Any:
    """One component by its class; `name` is its folder, "" the checkpoint's own; `dtype` is None where it has no weights.

    Raises:
        ModelMissingError: a file is missing or broken.
    """
    folder = checkpoint.folder / name
    options: dict[str, Any] = {"local_files_only": True}
    weights = issubclass(kind, torch.nn.Module)
    if weights:
        options |= {"use_safetensors": True, "variant": checkpoint.weights.get(name) or None}
        options["dtype" if kind.__module__.startswith("transformers") else "torch_dtype"] = dtype or torch.float32
    with told_if_broken(f"prior: {folder} is missing or broken", "get the model anew"), quiet():
        part = kind.from_pretrained(str(folder), **options)
    return part.eval().requires_grad_(False) if weights else part


def fuse_lora(components: Components, checkpoint: Checkpoint, files: list[Path], scale: float) -> None:
    """Adds a LoRA (arXiv 2106.09685), times `scale`, to the denoiser and the text encoders: W + scale B A.

    Raises:
        ModelMissingError: it is broken, or made for another kind of model; or peft is not installed.
    """
    from diffusers.loaders.lora_pipeline import StableDiffusionLoraLoaderMixin, StableDiffusionXLLoraLoaderMixin

    loader: Any = StableDiffusionXLLoraLoaderMixin if checkpoint.kind == "sdxl" else StableDiffusionLoraLoaderMixin
    with told_if_broken(f"lora: {files[0]} does not fit {checkpoint.folder}"), quiet():
        try:
            for file in files:
                _fuse(loader, components, file, scale)
        except ImportError as error:
            raise ModelMissingError("lora: needs the package peft; run: pip install 'gifcli[lora]'") from error


def _fuse(loader: Any, components: Components, file: Path, scale: float) -> None:
    weights, alphas = loader.lora_state_dict(
        str(file.parent),
        weight_name=file.name,
        use_safetensors=True,
        local_files_only=True,
        unet_config=components.unet.config,
    )
    if not any("lora" in name for name in weights):
        raise ValueError("expected LoRA weights, found none in it")
    before = components.unet
    loader.load_lora_into_unet(weights, network_alphas=alphas, unet=before, adapter_name="gif")
    changed = [before]
    for i, encoder in enumerate(components.text_encoders):
        prefix = "text_encoder" if i == 0 else f"text_encoder_{i + 1}"
        if any(name.startswith(f"{prefix}.") for name in weights):
            loader.load_lora_into_text_encoder(
                weights, network_alphas=alphas, text_encoder=encoder, prefix=prefix, adapter_name="gif"
            )
            changed.append(encoder)
    for model in changed:
        _merge(model, scale)


def _merge(model: Any, scale: float) -> None:
    """Adds the adapters' products to the weights, and drops the adapters."""
    from diffusers.utils.peft_utils import recurse_remove_peft_layers
    from peft.tuners.tuners_utils import BaseTunerLayer

    for module in model.modules():
        if isinstance(module, BaseTunerLayer):
            layer: Any = module
            layer.scale_layer(scale)
            layer.merge(adapter_names=["gif"])
    recurse_remove_peft_layers(model)
    model.requires_grad_(False)


def _scheduler_class(checkpoint: Checkpoint) -> Any:
    """The class that scheduler_config.json names, if diffusers has it."""
    import diffusers

    path = checkpoint.folder / "scheduler" / "scheduler_config.json"
    name = json.loads(path.read_text(encoding="utf-8"))["_class_name"]
    found = getattr(diffusers, name, None) if name.endswith("Scheduler") else None
    if found is None:
        raise ModelMissingError(f"prior: {path}: expected a scheduler that diffusers has, found {name}")
    return found
