"""The weights that ship: small, complete, and the same picture whatever else is in the batch."""

import numpy as np
import pytest
import torch
from skimage import data

from gifcli.compute.batches import SeedBatch, pixels_to_tensor
from gifcli.models import EMBEDDED_FOLDER, choose_prior
from gifcli.noise import NoiseSource, Slot
from gifcli.priors import PriorSettings, make_prior
from gifcli.priors.latent_diffusion import LatentDiffusionPrior

TOLERANCE = 0.02
"""Of the range -1 to 1, between batch sizes in float32: 2.5 of 255 levels. Measured: below a tenth of it."""


def make(strength: float = 0.5, granularity: str = "view") -> LatentDiffusionPrior:
    settings = PriorSettings("embedded", 10, strength, 1.5, None, mirror=True, granularity=granularity)
    prior = make_prior(settings, "cpu", "float32")
    assert isinstance(prior, LatentDiffusionPrior)
    return prior


@pytest.fixture(scope="module")
def seeds() -> SeedBatch:
    photos = [data.chelsea()[:256, 60:316], data.coffee()[40:296, 150:406]]
    crops = [photo[i : i + 128, j : j + 128] for photo in photos for i in (0, 128) for j in (0, 64, 96, 128)]
    pixels = pixels_to_tensor(np.stack(crops))
    keys = [str(i) for i in range(len(crops))]
    return SeedBatch(keys, torch.zeros(16, dtype=torch.long), keys, pixels, torch.zeros(16, 1280))


def draw(prior: LatentDiffusionPrior, seeds: SeedBatch) -> torch.Tensor:
    noise = NoiseSource(0, [Slot(key, 0, 0) for key in seeds.keys])
    f = prior.encode(seeds) + 0.8 * noise.normal("b", (56,))
    return prior.sample(f, seeds, prior.condition(seeds.keys, seeds), noise)


def test_they_are_small_and_complete() -> None:
    weights = [path.stat().st_size for path in EMBEDDED_FOLDER.rglob("*.safetensors")]
    assert len(weights) == 3
    assert sum(weights) <= 48e6
    card = (EMBEDDED_FOLDER / "README.md").read_text(encoding="utf-8")
    for heading in ("Data", "Figures", "Limits", "Bias", "Licence"):
        assert f"## {heading}" in card


def test_batches_of_1_3_and_16_give_the_same_pictures(seeds: SeedBatch) -> None:
    prior = make()
    together = draw(prior, seeds)
    assert torch.equal(together, draw(prior, seeds))
    for size in (1, 3):
        apart = torch.cat([draw(prior, seeds.take(list(range(16))[i : i + size])) for i in range(0, 16, size)])
        torch.testing.assert_close(apart, together, atol=TOLERANCE, rtol=0)


def test_strength_decides_how_far_from_the_view_a_picture_lies(seeds: SeedBatch) -> None:
    near, far = (draw(make(strength), seeds) for strength in (0.2, 0.8))
    base = draw(make(0.01), seeds)
    assert (near - base).abs().mean() < 0.7 * (far - base).abs().mean()


def test_the_embedded_prior_is_the_default_where_there_is_no_bigger_one() -> None:
    name, reason = choose_prior()
    assert name == "embedded"
    assert reason
