"""The image encoder of an unCLIP checkpoint (CLIP's, by transformers): what guides look through with an unCLIP prior."""

import json
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from gifcli.encoders.clip import prepare
from gifcli.errors import ModelMissingError
from gifcli.models.broken import told_if_broken
from gifcli.models.checkpoint import Checkpoint
from gifcli.models.quiet import quiet

RESAMPLING = {0: "nearest", 2: "bilinear", 3: "bicubic"}


class UnclipEncoder:
    """Images -> CLIP image embeddings, frozen, differentiable.

    Raises:
        ModelMissingError: a file is missing or broken.
    """

    def __init__(
        self, checkpoint: Checkpoint, name: str, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        self.name, self.device, self.dtype = name, torch.device(device), dtype
        self._model = _load(checkpoint, dtype).to(self.device)
        self._preprocess = preprocessing(checkpoint)
        self.input_size = max(self._preprocess["size"])
        self.dim = int(self._model.config.projection_dim)

    def images(self, images: Tensor, size: int | None = None) -> Tensor:
        """(b 3 h w) in [-1, 1] -> (b d) float32, unit norm, differentiable; it always looks at its own size."""
        return normalize(self.embeddings(images), dim=-1)

    def embeddings(self, images: Tensor) -> Tensor:
        """(b 3 h w) in [-1, 1] -> (b d) float32 as the denoiser of the checkpoint is told them: of any length."""
        x = prepare(images.to(self.device, torch.float32), self._preprocess)
        embeddings: Tensor = self._model(x.to(self.dtype)).image_embeds
        return embeddings.float()


def preprocessing(checkpoint: Checkpoint) -> dict[str, Any]:
    """The checkpoint's CLIPImageProcessor in the words of `prepare`."""
    path = checkpoint.folder / "feature_extractor" / "preprocessor_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    crop, size = config["crop_size"], config["size"]
    edges = crop if isinstance(crop, dict) else {"height": crop, "width": crop}
    short = size.get("shortest_edge", min(edges.values())) if isinstance(size, dict) else size
    if short != min(edges.values()):
        raise ModelMissingError(f"encoder: {path}: expected crops as large as the short side, found {crop} of {size}")
    return {
        "size": (edges["height"], edges["width"]),
        "mean": config["image_mean"],
        "std": config["image_std"],
        "interpolation": RESAMPLING[config.get("resample", 3)],
        "resize_mode": "shortest",
        "fill_color": 0,
    }


def _load(checkpoint: Checkpoint, dtype: torch.dtype) -> Any:
    from transformers import CLIPVisionModelWithProjection

    folder, variant = checkpoint.folder / "image_encoder", checkpoint.weights["image_encoder"] or None
    with told_if_broken(f"encoder: {folder} is missing or broken", "get the model anew"), quiet():
        model: Any = CLIPVisionModelWithProjection.from_pretrained(
            str(folder), dtype=dtype, variant=variant, use_safetensors=True, local_files_only=True
        )
    return model.eval().requires_grad_(False)
