"""A small embedded prior with random weights, in the layout that ships."""

import json
from pathlib import Path

import torch
from diffusers import AutoencoderDC, FlowMatchEulerDiscreteScheduler, UNet2DConditionModel
from safetensors.torch import save_file

CONDITION = {"encoder": "embedded", "encoder_input_size": 128, "feature_scale": 1280**0.5, "micro_scale": 4.0}


def save_embedded(path: Path) -> Path:
    """Components of a few thousand weights."""
    torch.manual_seed(0)
    blocks = {"encoder_block_out_channels": (8, 8, 16, 16), "decoder_block_out_channels": (8, 8, 16, 16)}
    layers = {"encoder_layers_per_block": (0, 1, 1, 1), "decoder_layers_per_block": (0, 1, 1, 1)}
    scales = {f"{part}_qkv_multiscales": ((), (), (), ()) for part in ("encoder", "decoder")}
    shortcuts = {"encoder_out_shortcut": False, "decoder_in_shortcut": False}
    AutoencoderDC(latent_channels=16, **blocks, **layers, **scales, **shortcuts).save_pretrained(path / "vae")
    UNet2DConditionModel(
        in_channels=16 + 5,
        out_channels=16,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        mid_block_type="UNetMidBlock2D",
        block_out_channels=(32, 32),
        layers_per_block=1,
        attention_head_dim=8,
        class_embed_type="projection",
        projection_class_embeddings_input_dim=1282,
    ).save_pretrained(path / "unet")
    FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=1.0).save_pretrained(path / "scheduler")
    save_file({"mean": torch.randn(1280) / 36, "axes": torch.randn(1280, 4)}, path / "projection.safetensors")
    (path / "condition.json").write_text(json.dumps(CONDITION), encoding="utf-8")
    (path / "model_index.json").write_text("{}", encoding="utf-8")
    return path
