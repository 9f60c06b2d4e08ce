"""The masked autoencoder prior against transformers' own model, with random weights."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from skimage import data
from transformers import ViTImageProcessor, ViTMAEForPreTraining

import checkpoints
from gifcli.compute.batches import SeedBatch, pixels_to_tensor
from gifcli.guidance.ascent import AtSize
from gifcli.noise import NoiseSource, Slot
from gifcli.priors import PriorSettings, make_prior


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoints.save("mae", tmp_path_factory.mktemp("prior") / "mae")


def make(folder: Path, strength: float = 1.0) -> Any:
    return make_prior(PriorSettings(str(folder), 1, strength, 1.0, None, mirror=False, granularity="token"))


def batch(height: int = 32, width: int = 32) -> SeedBatch:
    pixels = pixels_to_tensor(np.stack([data.chelsea()[:height, i : i + width] for i in (0, 90)]))
    return SeedBatch(["a", "b"], torch.zeros(2, dtype=torch.int64), ["cat"] * 2, pixels, torch.zeros(2, 8))


def draw(prior: Any, f: torch.Tensor, seeds: SeedBatch) -> torch.Tensor:
    return prior.sample(
        f, seeds, prior.condition(["x"] * len(f), seeds), NoiseSource(0, [Slot(k, 0, 0) for k in seeds.keys])
    )


def test_tokens_and_images_are_those_of_transformers(folder: Path) -> None:
    prior, seeds = make(folder), batch()
    model = ViTMAEForPreTraining.from_pretrained(folder, mask_ratio=0.0).eval()
    pictures = [picture.permute(1, 2, 0).numpy() for picture in ((seeds.pixels + 1) * 127.5).round().to(torch.uint8)]
    x = ViTImageProcessor.from_pretrained(folder)(pictures, return_tensors="pt").pixel_values
    order = torch.arange(16.0).expand(2, -1)
    with torch.no_grad():
        hidden = model.vit(x, noise=order).last_hidden_state
        patches = model.decoder(hidden, torch.arange(16).expand(2, -1)).logits
    f = prior.encode(seeds)
    assert f.shape == (2, 17, checkpoints.WIDTH)
    assert 0.5 < f.std() < 2
    torch.testing.assert_close(f * prior.scale, hidden, atol=1e-4, rtol=1e-4)
    wanted = (model.unpatchify(patches) * prior.std + prior.mean) * 2 - 1
    torch.testing.assert_close(draw(prior, f, seeds), wanted.clamp(-1, 1), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("size", [(32, 32), (32, 48)])
def test_at_strength_zero_the_seed_comes_back(folder: Path, size: tuple[int, int]) -> None:
    prior, seeds = make(folder, strength=0.0), batch(*size)
    torch.testing.assert_close(draw(prior, prior.encode(seeds), seeds), seeds.pixels, atol=1e-5, rtol=0)
    assert (draw(prior, prior.encode(seeds) * 1.3, seeds) - seeds.pixels).abs().max() > 1e-3


def test_gradients_reach_the_tokens_and_the_batch_changes_nothing(folder: Path, encoder: Any) -> None:
    prior, seeds = make(folder, strength=0.5), batch()
    f = prior.encode(seeds).requires_grad_()
    prior.features(f, seeds, AtSize(encoder, 32, encoder.name, encoder.dim)).sum().backward()
    assert f.grad is not None
    assert (f.grad.flatten(1).abs().sum(1) > 0).all()
    f = f.detach() * 1.2
    alone = torch.cat([draw(prior, f[i : i + 1], seeds.take([i])) for i in range(2)])
    torch.testing.assert_close(draw(prior, f, seeds), alone, atol=1e-5, rtol=0)


def test_per_patch_normalised_decoders_get_the_seeds_contrast_back(tmp_path: Path, folder: Path) -> None:
    ViTMAEForPreTraining.from_pretrained(folder, norm_pix_loss=True).save_pretrained(tmp_path)
    prior, seeds = make(tmp_path), batch()
    flat = seeds.pixels.clone()
    flat[:, :, :8, :8] = 0.25
    from dataclasses import replace

    seeds = replace(seeds, pixels=flat)
    images = draw(prior, prior.encode(seeds), seeds)
    assert images[:, :, :8, :8].std() < 0.1 * images[:, :, 8:, 8:].std() + 0.3
    assert images.isfinite().all()


def test_it_works_at_the_images_own_aspect(folder: Path) -> None:
    prior = make(folder)
    assert prior.working_size(300, 300) == (32, 32)
    assert prior.working_size(300, 200) == (48, 32)
    assert prior.working_size(100, 900) == (32, 64)
