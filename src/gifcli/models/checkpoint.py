"""What a saved model is, read from its JSON files without loading it: its kind, how it is sampled, its files. No torch.

A folder is a diffusers pipeline (model_index.json and a folder a component) or a transformers model (config.json).
"""

import json
import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from gifcli.errors import ModelMissingError
from gifcli.models.broken import told_if_broken
from gifcli.models.hashes import revision

LATENT = ("vae", "unet", "text_encoder", "tokenizer", "scheduler")
COMPONENTS = {
    "sd": LATENT,
    "sdxl": (*LATENT, "text_encoder_2", "tokenizer_2"),
    "unclip": (*LATENT, "image_encoder", "image_normalizer", "image_noising_scheduler", "feature_extractor"),
    "mae": ("",),
    "tiny": ("",),
}
"""Kind -> the folders that are loaded; "" is the model's own folder."""

WEIGHTLESS = ("tokenizer", "tokenizer_2", "scheduler", "image_noising_scheduler", "feature_extractor")

PIPELINES = {
    "StableDiffusionPipeline": "sd",
    "StableDiffusionImg2ImgPipeline": "sd",
    "LatentConsistencyModelPipeline": "sd",
    "LatentConsistencyModelImg2ImgPipeline": "sd",
    "StableDiffusionXLPipeline": "sdxl",
    "StableDiffusionXLImg2ImgPipeline": "sdxl",
    "StableUnCLIPPipeline": "unclip",
    "StableUnCLIPImg2ImgPipeline": "unclip",
}
_LICENCE = re.compile(r"^license(?:_name)?: *[\"']?([\w.+-]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A saved model.

    kind      "sd", "sdxl", "unclip", "mae" or "tiny" (an AutoencoderTiny)
    pace      "full", "turbo" or "lcm": how many steps it was made for
    side      short side in pixels that it was trained at        multiple  of both sides
    weights   variant of the weight files, "" or "fp16"
    """

    folder: Path
    kind: str
    pace: str
    side: int
    multiple: int
    licence: str
    weights: dict[str, str] = field(default_factory=dict, hash=False, compare=False)

    @property
    def revision(self) -> str:
        """Content hash of all files that are loaded, 12 hex digits."""
        return revision(self.files)

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that are loaded, in order."""
        index = [self.folder / "model_index.json"] if "" not in COMPONENTS[self.kind] else []
        return (*index, *(path for part in COMPONENTS[self.kind] for path in self.part_files(part)))

    @property
    def encoder_files(self) -> tuple[Path, ...]:
        """The files of an unCLIP checkpoint's image encoder."""
        return (*self.part_files("image_encoder"), *self.part_files("feature_extractor"))

    def part_files(self, part: str) -> list[Path]:
        """The files of one component."""
        return _part_files(self.folder / part, self.weights[part])


@lru_cache(maxsize=32)
def read_checkpoint(folder: Path, what: str) -> Checkpoint:
    """The facts of a saved model; `what` is the setting that named it.

    Raises:
        ModelMissingError: that is no model, one that cannot be a prior, or a file is missing or broken.
    """
    if not folder.is_dir():
        raise ModelMissingError(
            f"{what}: expected a folder saved by diffusers or transformers, found the file {folder}"
        )
    with told_if_broken(f"{what}: {folder} is not a complete model", "get it anew"):
        return _read(folder, what)


def _read(folder: Path, what: str) -> Checkpoint:
    if not (folder / "model_index.json").is_file():
        return _read_single(folder, what)
    index = _json(folder / "model_index.json")
    kind = PIPELINES.get(str(index.get("_class_name")))
    if kind is None:
        raise _no_prior(folder, what, str(index.get("_class_name")), ", ".join(dict.fromkeys(PIPELINES)))
    weights = {part: _check_part(folder, part, what) for part in COMPONENTS[kind]}
    unet, vae = _json(folder / "unet/config.json"), _json(folder / "vae/config.json")
    if unet.get("in_channels") != vae.get("latent_channels", 4):
        raise _no_prior(
            folder, what, f"a denoiser of {unet.get('in_channels')} channels", "one that starts from a latent"
        )
    scale = 2 ** (len(vae["block_out_channels"]) - 1)
    return Checkpoint(
        folder=folder,
        kind=kind,
        pace=_pace(folder, str(index["_class_name"]), unet),
        side=int(unet["sample_size"]) * scale,
        multiple=scale * 2 ** (len(unet["block_out_channels"]) - 1),
        licence=_licence(folder),
        weights=weights,
    )


def _read_single(folder: Path, what: str) -> Checkpoint:
    """A model in a folder of its own: a masked autoencoder, or a tiny autoencoder."""
    if not (folder / "config.json").is_file():
        raise ModelMissingError(
            f"{what}: expected model_index.json (diffusers) or config.json (transformers) in {folder}, found neither"
        )
    config = _json(folder / "config.json")
    if config.get("model_type") == "vit_mae":
        kind, side, multiple = "mae", int(config["image_size"]), int(config["patch_size"])
    elif config.get("_class_name") == "AutoencoderTiny":
        kind, side, multiple = "tiny", 0, 0
    else:
        found = config.get("_class_name") or config.get("model_type") or "something else"
        raise _no_prior(folder, what, str(found), "a pipeline, vit_mae or AutoencoderTiny")
    return Checkpoint(folder, kind, "full", side, multiple, _licence(folder), {"": _check_part(folder, "", what)})


def _check_part(folder: Path, part: str, what: str) -> str:
    """The variant of a component's weights, "" or "fp16"; raises where they are missing or no safetensors."""
    where = folder / part
    if part and not where.is_dir():
        raise ModelMissingError(f"{what}: expected {part}/ in {folder}, found none; the model is not complete")
    if part in WEIGHTLESS:
        return ""
    names = [path.name for path in sorted(where.iterdir()) if path.is_file()]
    weights = [name for name in names if name.endswith(".safetensors") and "non_ema" not in name]
    if not weights:
        others = [name for name in names if name.endswith((".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5", ".msgpack"))]
        found = f"found {others[0]}, which may run code and is not loaded" if others else "found none"
        raise ModelMissingError(f"{what}: expected safetensors weights in {where}, {found}")
    return "" if any(".fp16" not in name for name in weights) else "fp16"


def _part_files(folder: Path, variant: str) -> list[Path]:
    """The files of a component: configuration, vocabulary, and the weights of one variant."""
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    return [
        path
        for path in paths
        if (path.suffix == ".safetensors" and "non_ema" not in path.name and (".fp16" in path.name) == bool(variant))
        or path.suffix in {".json", ".txt", ".model"}
    ]


def _pace(folder: Path, pipeline: str, unet: dict[str, Any]) -> str:
    """How many steps the model was distilled to: its scheduler, its denoiser, and at last its name say so."""
    scheduler = _json(folder / "scheduler/scheduler_config.json")
    if "LatentConsistency" in pipeline or unet.get("time_cond_proj_dim") or scheduler["_class_name"] == "LCMScheduler":
        return "lcm"
    euler = str(scheduler["_class_name"]).startswith("Euler") and scheduler.get("timestep_spacing") == "trailing"
    name = folder.parent.parent.name if folder.parent.name == "snapshots" else folder.name
    return "turbo" if euler or "turbo" in name.lower() else "full"


def _licence(folder: Path) -> str:
    """The licence that the model's own card states; none is guessed."""
    card = folder / "README.md"
    found = _LICENCE.findall(card.read_text(encoding="utf-8", errors="replace")[:4000]) if card.is_file() else []
    return found[-1] if found else "see the model's own card"


def _json(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"{path.name}: expected settings, found {type(content).__name__}")  # noqa: TRY004 - as broken JSON
    return content


def _no_prior(folder: Path, what: str, found: str, expected: str) -> ModelMissingError:
    return ModelMissingError(f"{what}: {folder} cannot be used: expected {expected}; found {found}")
