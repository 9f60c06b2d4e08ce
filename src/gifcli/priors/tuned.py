"""A denoiser that `gif adapt` has fine-tuned, put in the place of the embedded one."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from gifcli.errors import ModelMissingError


def load_tuned(unet: Any, file: Path, scale: float, revision: str) -> None:
    """W <- W + scale (W' - W), in place: `scale` 1 takes the fine-tuned weights W', 0 leaves the denoiser as it is.

    Raises:
        ModelMissingError: the file is broken, or was made of another denoiser than the one of `revision`.
    """
    own = unet.state_dict()
    try:
        tuned = load_file(file)
        problem = _misfit(file, {name: value.shape for name, value in own.items()}, tuned, revision)
    except (OSError, ValueError, SafetensorError) as error:
        problem = str(error)
    if problem:
        raise ModelMissingError(
            f"lora: {file} does not fit the embedded prior: {problem}; make it with: gif adapt SOURCE --prior embedded"
        )
    with torch.no_grad():
        for name, value in own.items():
            value.lerp_(tuned[name].to(value), scale)


def _misfit(file: Path, shapes: dict[str, torch.Size], tuned: dict[str, Tensor], revision: str) -> str:
    """Why these weights are not of the denoiser with those shapes and that revision; "" where they are."""
    sign = file.parent / "adapter.json"
    made_of = json.loads(sign.read_text(encoding="utf-8")) if sign.is_file() else {}
    if {name: value.shape for name, value in tuned.items()} != shapes:
        return "its tensors are not those of the embedded denoiser"
    if made_of.get("prior_revision", revision) != revision:
        return f"it was adapted from revision {made_of['prior_revision']}, this gifcli has {revision}"
    return ""
