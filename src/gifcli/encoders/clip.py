"""CLIP-like encoders of images and texts, by open_clip."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate, normalize, pad

from gifcli.errors import ModelMissingError
from gifcli.models.broken import told_if_broken
from gifcli.models.encoder_cards import OPEN_CLIP_CONFIG
from gifcli.models.hub import offline

TEMPLATES = ("a photo of a {}.", "a close-up photo of a {}.", "a picture of the {}.", "{}")
SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")


class ClipEncoder:
    """An open_clip model, frozen: `ARCH:TAG` (weights of the local hub cache, or downloaded where that is allowed) or
    `ARCH:FILE` (a local state dict). `dtype` is the autocast dtype (float32: none); features come back in float32.

    Raises:
        ModelMissingError: the model is unknown, not on this machine while offline, or broken.

    """

    def __init__(self, name: str, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32) -> None:
        import open_clip

        self.name = name
        self.device = torch.device(device)
        self.dtype = dtype
        self._model = _load(name).to(self.device).eval().requires_grad_(False)
        self._preprocess = open_clip.get_model_preprocess_cfg(self._model)
        self._tokenizer: Any = None
        size = self._preprocess["size"]
        self.input_size = size if isinstance(size, int) else max(size)
        with torch.no_grad():
            self.dim = int(self.images(torch.zeros(1, 3, 32, 32)).shape[1])

    def images(self, images: Tensor, size: int | None = None) -> Tensor:
        """(b 3 h w) in [-1, 1] -> (b d) float32, unit norm, differentiable; it always looks at its own size."""
        x = prepare(images.to(self.device, torch.float32), self._preprocess)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            features: Tensor = self._model.encode_image(x)
        return normalize(features.float(), dim=-1)

    @torch.no_grad()
    def texts(self, texts: list[str]) -> Tensor:
        """Class names -> (n d) float32, unit norm: the mean over a few templates (arXiv 2103.00020, section 3.1.4)."""
        tokens = self._tokens([template.format(text) for text in texts for template in TEMPLATES])
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            features = torch.cat([self._model.encode_text(part) for part in torch.split(tokens, 64)])
        each = normalize(features.float(), dim=-1).view(len(texts), len(TEMPLATES), -1)
        return normalize(each.mean(1), dim=-1)

    def _tokens(self, texts: list[str]) -> Tensor:
        import open_clip

        if self._tokenizer is None:
            with told_if_broken(f"encoder {self.name!r} cannot be loaded: its tokenizer"):
                self._tokenizer = open_clip.get_tokenizer(self.name.partition(":")[0])
        tokens: Tensor = self._tokenizer(texts).to(self.device)
        return tokens


def prepare(images: Tensor, config: dict[str, Any]) -> Tensor:
    """Images (b 3 h w) in [-1, 1] -> resized, cropped or padded, and normalised as an open_clip preprocessing config says;
    differentiable, and equal to open_clip's own transform but for its rounding to 8 bits.
    """
    size = config["size"]
    height, width = (size, size) if isinstance(size, int) else size
    mean, std = (images.new_tensor(config[key]).view(1, -1, 1, 1) for key in ("mean", "std"))
    x = (images + 1) / 2
    # resize
    scales = height / x.shape[-2], width / x.shape[-1]
    match config["resize_mode"]:
        case "squash":
            to = (height, width)
        case mode:
            scale = min(scales) if mode == "longest" else max(scales)
            to = (max(1, int(x.shape[-2] * scale + 1e-6)), max(1, int(x.shape[-1] * scale + 1e-6)))
    if to != tuple(x.shape[-2:]):
        x = interpolate(x, to, mode=config["interpolation"], align_corners=False, antialias=True).clamp(0, 1)
    # crop or pad
    top, left = round((height - to[0]) / 2), round((width - to[1]) / 2)
    edges = [left, width - to[1] - left, top, height - to[0] - top]
    if any(edges):
        x = pad(x, edges, value=config["fill_color"] / 255)  # negative edges crop
    return (x - mean) / std


def _load(name: str) -> Any:
    """The open_clip model of that name, on the CPU."""
    import open_clip

    arch, _, weights = name.partition(":")
    if arch not in open_clip.list_models() or not weights:
        raise _missing(name, "expected ARCH:TAG or ARCH:FILE, with an architecture that open_clip has")
    if not Path(weights).is_file():
        _check_tag(name, arch, weights)
    elif not weights.endswith(SUFFIXES):
        raise _missing(name, f"expected a file ending in {', '.join(SUFFIXES)}")
    force = file_preprocessing(arch, Path(weights)) if Path(weights).is_file() else None
    with told_if_broken(f"encoder {name!r} cannot be loaded"):
        return open_clip.create_model(
            arch, pretrained=weights, weights_only=True, require_pretrained=True, force_preprocess_cfg=force
        )


def file_preprocessing(arch: str, file: Path) -> dict[str, Any]:
    """How images are prepared for weights in a local file, which doesn't say: as open_clip_config.json beside it does,
    else as for most of the architecture's published weights (SigLIP's are not normalised as CLIP's).
    """
    import open_clip

    keys = ("mean", "std", "interpolation", "resize_mode")
    beside = file.with_name(OPEN_CLIP_CONFIG)
    try:
        content = json.loads(beside.read_text(encoding="utf-8")) if beside.is_file() else {}
        stated = content.get("preprocess_cfg", {})
    except (OSError, ValueError, AttributeError) as error:
        raise _missing(f"{arch}:{file}", f"{beside} is no open_clip configuration: {error}") from error
    published = [open_clip.get_pretrained_cfg(arch, tag) for tag in open_clip.list_pretrained_tags_by_model(arch)]
    usual = Counter(tuple((key, each[key]) for key in keys if each.get(key)) for each in published).most_common(1)
    return {**(dict(usual[0][0]) if usual else {}), **{key: stated[key] for key in keys if key in stated}}


def _check_tag(name: str, arch: str, tag: str) -> None:
    """Raises unless open_clip knows the tag and, offline, takes it from the hub cache (its plain URLs ignore offline)."""
    import open_clip

    config = open_clip.get_pretrained_cfg(arch, tag)
    if not config:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(arch)) or "none"
        raise _missing(name, f"{tag!r} is neither a file nor a tag of {arch} (tags: {tags})")
    if offline() and not config.get("hf_hub"):
        raise _missing(name, "its weights are not on the hub, and this is offline; give a local file")


def _missing(name: str, reason: str) -> ModelMissingError:
    line = " ".join(reason.split())
    return ModelMissingError(f"encoder {name!r} cannot be loaded: {line[:300]}")
