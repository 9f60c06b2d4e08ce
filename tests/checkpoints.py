"""Checkpoints in the formats of diffusers and transformers: small components with random weights, made without a network."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    DDPMScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    LatentConsistencyModelImg2ImgPipeline,
    LCMScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    StableUnCLIPImg2ImgPipeline,
    UNet2DConditionModel,
)
from diffusers.pipelines.stable_diffusion import StableUnCLIPImageNormalizer
from transformers import (
    CLIPImageProcessor,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    ViTImageProcessor,
    ViTMAEConfig,
    ViTMAEForPreTraining,
)

KINDS = ("sd", "sd-v", "sd-turbo", "sdxl", "sdxl-turbo", "lcm", "unclip")
WIDTH, PIXELS = 32, 32
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


@cache
def vocabulary() -> tuple[dict[str, int], list[str]]:
    """Of single characters, as CLIP writes bytes: each alone and at the end of a word, then a few merges."""
    letters = [chr(i) for i in (*range(33, 127), *range(161, 173), *range(174, 256))]
    letters += [chr(256 + i) for i in range(256 - len(letters))]
    merges = ["p h", "o t", "ph ot", "phot o</w>", "o f</w>", "c a", "ca t</w>"]
    words = [*letters, *(f"{letter}</w>" for letter in letters), *(pair.replace(" ", "") for pair in merges)]
    return {word: i for i, word in enumerate([*words, "<|startoftext|>", "<|endoftext|>"])}, merges


def tokenizer(folder: Path) -> Any:
    """CLIP's tokenizer over that vocabulary."""
    folder.mkdir(parents=True, exist_ok=True)
    words, merges = vocabulary()
    (folder / "vocab.json").write_text(json.dumps(words), encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")
    return CLIPTokenizer.from_pretrained(str(folder), model_max_length=77)


def text_encoder(kind: Any = CLIPTextModel, width: int = WIDTH) -> Any:
    words, _ = vocabulary()
    config = CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=width,
        intermediate_size=37,
        num_hidden_layers=2,
        num_attention_heads=4,
        projection_dim=width,
        bos_token_id=len(words) - 2,
        eos_token_id=len(words) - 1,
        pad_token_id=len(words) - 1,
    )
    return kind(config).eval()


def unet(**changes: Any) -> UNet2DConditionModel:
    blocks = {
        "block_out_channels": (16, 32),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    }
    options = {"sample_size": PIXELS // 2, "layers_per_block": 1, "cross_attention_dim": WIDTH, "norm_num_groups": 8}
    return UNet2DConditionModel(**{**blocks, **options, "attention_head_dim": 8, **changes})


def vae() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(16, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=PIXELS,
        scaling_factor=0.5,
    )


def tiny_vae() -> AutoencoderTiny:
    sizes = {"encoder_block_out_channels": (8, 8), "decoder_block_out_channels": (8, 8)}
    return AutoencoderTiny(**sizes, num_encoder_blocks=(1, 1), num_decoder_blocks=(1, 1), latent_channels=4)


def save(kind: str, folder: Path) -> Path:
    """A checkpoint of one of KINDS, "mae" or "tiny"."""
    torch.manual_seed(len(kind))
    match kind:
        case "tiny":
            tiny_vae().save_pretrained(folder)
        case "mae":
            _save_mae(folder)
        case _:
            _pipeline(kind, folder).save_pretrained(folder)
    return folder


def _pipeline(kind: str, folder: Path) -> Any:
    common = {"vae": vae(), "text_encoder": text_encoder(), "tokenizer": tokenizer(folder / "tokenizer")}
    plain = {**common, "safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    match kind:
        case "sd":
            scheduler = PNDMScheduler(**BETAS, skip_prk_steps=True, steps_offset=1)
            return StableDiffusionPipeline(unet=unet(), scheduler=scheduler, **plain)
        case "sd-v":
            scheduler = DDPMScheduler(**BETAS, prediction_type="v_prediction")
            return StableDiffusionPipeline(unet=unet(), scheduler=scheduler, **plain)
        case "sd-turbo":
            scheduler = EulerDiscreteScheduler(**BETAS, timestep_spacing="trailing")
            return StableDiffusionPipeline(unet=unet(), scheduler=scheduler, **plain)
        case "lcm":
            denoiser = unet(time_cond_proj_dim=16)
            return LatentConsistencyModelImg2ImgPipeline(unet=denoiser, scheduler=LCMScheduler(**BETAS), **plain)
        case "unclip":
            return _unclip(common)
        case _:
            return _sdxl(kind, common, folder)


def _sdxl(kind: str, common: dict[str, Any], folder: Path) -> Any:
    denoiser = unet(
        cross_attention_dim=2 * WIDTH,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + WIDTH,
    )
    spacing = {"timestep_spacing": "trailing" if kind == "sdxl-turbo" else "leading"}
    scheduler = (EulerAncestralDiscreteScheduler if kind == "sdxl-turbo" else EulerDiscreteScheduler)(
        **BETAS, **spacing
    )
    second = {"text_encoder_2": text_encoder(CLIPTextModelWithProjection)}
    second["tokenizer_2"] = tokenizer(folder / "tokenizer_2")
    return StableDiffusionXLPipeline(unet=denoiser, scheduler=scheduler, **common, **second, add_watermarker=False)


def _unclip(common: dict[str, Any]) -> Any:
    config = CLIPVisionConfig(
        hidden_size=WIDTH, projection_dim=WIDTH, num_hidden_layers=2, num_attention_heads=4, image_size=32,
        intermediate_size=37, patch_size=8,
    )  # fmt: skip
    normalizer = StableUnCLIPImageNormalizer(embedding_dim=WIDTH)
    with torch.no_grad():
        normalizer.mean.normal_(0, 0.3)
        normalizer.std.uniform_(0.5, 1.5)
    processor = CLIPImageProcessor(crop_size={"height": 32, "width": 32}, size={"shortest_edge": 32})
    return StableUnCLIPImg2ImgPipeline(
        feature_extractor=processor,
        image_encoder=CLIPVisionModelWithProjection(config).eval(),
        image_normalizer=normalizer,
        image_noising_scheduler=DDPMScheduler(beta_schedule="squaredcos_cap_v2"),
        unet=unet(class_embed_type="projection", projection_class_embeddings_input_dim=2 * WIDTH),
        scheduler=DDPMScheduler(**BETAS, prediction_type="v_prediction"),
        **common,
    )


def _save_mae(folder: Path) -> None:
    config = ViTMAEConfig(
        hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=4, intermediate_size=37, image_size=32, patch_size=8,
        decoder_hidden_size=16, decoder_num_hidden_layers=1, decoder_num_attention_heads=4, decoder_intermediate_size=20,
    )  # fmt: skip
    ViTMAEForPreTraining(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
