"""LoRA on diffusers priors, against diffusers' own loading."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict

import checkpoints
from gifcli.models.checkpoint import read_checkpoint
from gifcli.priors.diffusers.load import fuse_lora, load_components

PIPELINES = {"sd": StableDiffusionPipeline, "sdxl": StableDiffusionXLPipeline}


@pytest.mark.parametrize("kind", PIPELINES)
def test_a_lora_changes_what_diffusers_changes(tmp_path: Path, kind: str) -> None:
    """Denoiser and text encoders, at half strength."""
    folder = checkpoints.save(kind, tmp_path / kind)
    torch.manual_seed(0)
    pipeline = PIPELINES[kind].from_pretrained(folder)
    unet = LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False)
    text = LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)
    layers: dict[str, Any] = {}
    for name, config in {"unet": unet, "text_encoder": text, "text_encoder_2": text}.items():
        if (part := getattr(pipeline, name, None)) is not None:
            part.add_adapter(config)
            layers[f"{name}_lora_layers"] = get_peft_model_state_dict(part)
    PIPELINES[kind].save_lora_weights(tmp_path / "lora", **layers)
    theirs = PIPELINES[kind].from_pretrained(folder)
    theirs.load_lora_weights(tmp_path / "lora")
    theirs.fuse_lora(lora_scale=0.5)
    theirs.unload_lora_weights()
    checkpoint = read_checkpoint(folder, "prior")
    ours, plain = (load_components(checkpoint, torch.float32) for _ in range(2))
    fuse_lora(ours, checkpoint, [tmp_path / "lora" / "pytorch_lora_weights.safetensors"], 0.5)
    encoders = [theirs.text_encoder, getattr(theirs, "text_encoder_2", None)]
    for own, wanted, before in zip(
        [ours.unet, *ours.text_encoders], [theirs.unet, *encoders], [plain.unet, *plain.text_encoders], strict=False
    ):
        states = own.state_dict(), wanted.state_dict(), before.state_dict()
        assert states[0].keys() == states[2].keys()
        for name, value in states[0].items():
            torch.testing.assert_close(value, states[1][name])
        assert any(not torch.equal(value, states[2][name]) for name, value in states[0].items())
        assert not any(parameter.requires_grad for parameter in own.parameters())
