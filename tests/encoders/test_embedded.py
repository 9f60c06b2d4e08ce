"""The embedded encoder: the right network with the right weights, and what guidance needs of it."""

from __future__ import annotations

import numpy as np
import pytest
import skimage
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from gifcli.encoders.embedded import EmbeddedEncoder


@pytest.fixture(scope="module")
def encoder() -> EmbeddedEncoder:
    return EmbeddedEncoder()


def photo(name: str) -> Tensor:
    """The centre square of a scikit-image photo, (1 3 h h) in [-1, 1]."""
    pixels = torch.from_numpy(getattr(skimage.data, name)())
    side = min(pixels.shape[:2])
    top, left = ((n - side) // 2 for n in pixels.shape[:2])
    return pixels[top : top + side, left : left + side].permute(2, 0, 1)[None] / 127.5 - 1


def as_in_training(name: str) -> Tensor:
    """Short side 256, centre 224: how ImageNet networks are judged; (1 3 224 224) in [-1, 1]."""
    picture = Image.fromarray(getattr(skimage.data, name)())
    scale = 256 / min(picture.size)
    picture = picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.BILINEAR)
    left, top = (picture.width - 224) // 2, (picture.height - 224) // 2
    pixels = torch.from_numpy(np.array(picture.crop((left, top, left + 224, top + 224))))
    return pixels.permute(2, 0, 1)[None] / 127.5 - 1


@pytest.mark.parametrize(
    ("name", "shares"),
    [("chelsea", {282: 0.385, 285: 0.363, 281: 0.167}), ("coffee", {967: 0.951})],
    ids=["cat", "coffee"],
)
def test_imagenet_classes(encoder: EmbeddedEncoder, name: str, shares: dict[int, float]) -> None:
    """ImageNet's tiger cat, Egyptian cat and tabby; espresso: the right weights are in the right places."""
    with torch.no_grad():
        top = encoder.logits(as_in_training(name)).softmax(-1)[0].topk(len(shares))
    assert top.indices.tolist() == list(shares)
    assert top.values.tolist() == pytest.approx(list(shares.values()), abs=0.01)


def test_features_are_unit_norm_at_any_shape_and_size(encoder: EmbeddedEncoder) -> None:
    x = torch.rand(2, 3, 96, 160) * 2 - 1
    for size in (None, 128):
        features = encoder.images(x, size)
        assert features.shape == (2, encoder.dim)
        assert features.dtype == torch.float32
        assert features.norm(dim=-1).tolist() == pytest.approx([1, 1], abs=1e-5)


def test_gradient_reaches_the_pixels_and_no_weight(encoder: EmbeddedEncoder) -> None:
    x = F.interpolate(photo("chelsea"), (64, 64)).requires_grad_()
    encoder.images(x, 128)[:, :10].sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0
    assert not any(p.requires_grad for p in encoder._model.parameters())


def test_batch_size_changes_nothing(encoder: EmbeddedEncoder) -> None:
    x = torch.cat([F.interpolate(photo(name), (128, 128)) for name in ("chelsea", "coffee", "astronaut")])
    alone = torch.cat([encoder.images(one[None], 128) for one in x])
    assert torch.allclose(encoder.images(x, 128), alone, atol=1e-5)


def test_bf16_agrees_with_float32(encoder: EmbeddedEncoder) -> None:
    x = F.interpolate(photo("coffee"), (128, 128))
    half = EmbeddedEncoder(dtype=torch.bfloat16).images(x, 128)
    assert F.cosine_similarity(half, encoder.images(x, 128)).item() > 0.995
