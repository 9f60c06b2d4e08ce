"""Stable Diffusion checkpoints with random weights, saved as diffusers does: the real architecture, or a small one."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

SIZES: dict[str, dict[str, Any]] = {
    "sd15": {
        "unet": {"block_out_channels": (320, 640, 1280, 1280), "attention_head_dim": 8, "sample_size": 64},
        "levels": 4,
        "layers": 2,
        "vae": (128, 256, 512, 512),
        "text": {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12},
        "tiny": {},
        "groups": 32,
    },
    "small": {
        "unet": {"block_out_channels": (64, 128, 128), "attention_head_dim": 4, "sample_size": 16},
        "levels": 3,
        "layers": 1,
        "vae": (16, 32, 64, 64),
        "text": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4},
        "tiny": {"encoder_block_out_channels": (16,) * 4, "decoder_block_out_channels": (16,) * 4},
        "groups": 16,
    },
}
"""`sd15`: 860 M denoiser, 84 M autoencoder, 123 M text encoder, TAESD; 512 px. `small`: the same in kind; 128 px."""


def save(size: str, folder: Path, dtype: torch.dtype = torch.float32) -> Path:
    """The checkpoint, with a tiny autoencoder in `tiny_vae` beside it."""
    torch.manual_seed(0)
    wanted = SIZES[size]
    blocks = wanted["levels"]
    unet = UNet2DConditionModel(
        down_block_types=(*["CrossAttnDownBlock2D"] * (blocks - 1), "DownBlock2D"),
        up_block_types=("UpBlock2D", *["CrossAttnUpBlock2D"] * (blocks - 1)),
        cross_attention_dim=wanted["text"]["hidden_size"],
        layers_per_block=wanted["layers"],
        norm_num_groups=wanted["groups"],
        **wanted["unet"],
    )
    vae = AutoencoderKL(
        block_out_channels=wanted["vae"],
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=wanted["layers"],
        latent_channels=4,
        norm_num_groups=wanted["groups"],
        scaling_factor=0.18215,
    )
    scheduler = PNDMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1,
        set_alpha_to_one=False,
    )  # fmt: skip
    text, tokenizer = _text_encoder(wanted["text"]), _tokenizer(folder / "tokenizer")
    parts = {"unet": unet, "vae": vae, "text_encoder": text, "tokenizer": tokenizer, "scheduler": scheduler}
    none = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    StableDiffusionPipeline(**parts, **none).to(dtype=dtype).save_pretrained(folder)
    AutoencoderTiny(**wanted["tiny"]).to(dtype).save_pretrained(folder / "tiny_vae")
    return folder


def _text_encoder(sizes: dict[str, int]) -> CLIPTextModel:
    words, _ = _vocabulary()
    ends = {"bos_token_id": len(words) - 2, "eos_token_id": len(words) - 1, "pad_token_id": len(words) - 1}
    return CLIPTextModel(CLIPTextConfig(vocab_size=49408, **sizes, **ends)).eval()


@cache
def _vocabulary() -> tuple[dict[str, int], list[str]]:
    """Of single characters, as CLIP writes bytes: alone, and at the end of a word."""
    letters = [chr(i) for i in (*range(33, 127), *range(161, 173), *range(174, 256))]
    letters += [chr(256 + i) for i in range(256 - len(letters))]
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return {word: i for i, word in enumerate(words)}, []


def _tokenizer(folder: Path) -> CLIPTokenizer:
    folder.mkdir(parents=True, exist_ok=True)
    words, merges = _vocabulary()
    (folder / "vocab.json").write_text(json.dumps(words), encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")
    return CLIPTokenizer.from_pretrained(str(folder), model_max_length=77)
