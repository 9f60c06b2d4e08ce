"""The embedded prior's components, read from a folder in diffusers' layout; safetensors only."""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from gifcli.errors import ModelMissingError
from gifcli.priors.projection import Projection


def load_components(folder: Path, device: torch.device) -> tuple[Any, Any, Any]:
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


def load_projection(folder: Path, device: torch.device) -> Projection:
    """What each cell's feature is told by.

    Raises:
        ModelMissingError: the file is missing or broken.
    """
    path = folder / "projection.safetensors"
    try:
        return Projection(**{name: tensor.float() for name, tensor in load_file(path, device=str(device)).items()})
    except (OSError, SafetensorError, TypeError) as error:
        raise ModelMissingError(
            f"prior {path}: expected tensors mean and axes, found {error}; reinstall gifcli"
        ) from error
