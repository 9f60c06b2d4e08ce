"""The latent diffusion prior on small components with random weights, in the layout that ships."""

import json

import numpy as np
import pytest
import torch

from embedded_parts import CONDITION, save_embedded
from gifcli.compute.batches import SeedBatch, pixels_to_tensor
from gifcli.errors import ModelMissingError
from gifcli.noise import NoiseSource, Slot
from gifcli.priors import PriorSettings
from gifcli.priors.latent_diffusion import DETAIL, LatentDiffusionPrior
from gifcli.priors.projection import layout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_embedded(tmp_path_factory.mktemp("prior"))


def make(folder, granularity="channel", strength=0.5, guidance_scale=1.5, steps=4):
    settings = PriorSettings("embedded", steps, strength, guidance_scale, None, mirror=False, granularity=granularity)
    return LatentDiffusionPrior(folder, settings, "cpu", "float32")


@pytest.fixture(scope="module")
def seeds():
    from skimage import data

    crops = [data.chelsea()[:128, i : i + 160] for i in (0, 80, 160)]
    pixels = pixels_to_tensor(np.stack(crops))
    return SeedBatch(["a", "b", "c"], torch.zeros(3, dtype=torch.int64), ["cat"] * 3, pixels, torch.zeros(3, 1280))


def noise(keys):
    return NoiseSource(0, [Slot(key, 0, 0) for key in keys])


def draw(prior, seeds):
    f = prior.encode(seeds)
    return prior.sample(f, seeds, prior.condition(["x"] * len(seeds), seeds), noise(seeds.keys))


def test_working_size_keeps_the_aspect_at_the_nearest_native_size(folder):
    prior = make(folder)
    assert prior.working_size(160, 160) == (128, 128)
    assert prior.working_size(640, 480) == (160, 128)
    assert prior.working_size(70, 64) == (64, 64)


@pytest.mark.parametrize("granularity", ["view", "channel", "vector"])
@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_samples_have_the_seeds_size_and_do_not_depend_on_the_batch(folder, seeds, granularity, strength):
    prior = make(folder, granularity, strength)
    together = draw(prior, seeds)
    assert together.shape == seeds.pixels.shape
    assert together.abs().max() <= 1
    alone = torch.cat([draw(prior, seeds.take([i])) for i in range(3)])
    torch.testing.assert_close(together, alone, atol=2e-3, rtol=0)
    assert torch.equal(together, draw(prior, seeds))


def test_a_low_strength_stays_near_the_seed(folder, seeds):
    """One Euler step from t = 0.01 changes little, so nearly all that the autoencoder loses is put back."""
    near = (draw(make(folder, strength=0.01), seeds) - seeds.pixels).abs().mean()
    lost = (make(folder).decode(make(folder).latents_of(seeds.pixels)) - seeds.pixels).abs().mean()
    assert near < 0.05 * lost


def test_no_detail_is_put_back_where_the_image_is_another(folder, seeds):
    """Half of a picture that is as it was gets its detail, the other half does not; at strength 1 none does."""
    prior = make(folder, strength=0.25)
    coded = prior.decode(prior.latents_of(seeds.pixels))
    made = coded.clone()
    made[..., 80:] += 2 * DETAIL
    changed = prior.with_detail(made, seeds.pixels) - made
    lost = seeds.pixels - coded
    torch.testing.assert_close(changed[..., :70], 0.75 * lost[..., :70])
    assert changed[..., 90:].abs().mean() < 0.05 * lost[..., 90:].abs().mean()
    assert torch.equal(make(folder, strength=1.0).with_detail(made, seeds.pixels), made)


def test_guidance_scale_one_equals_the_conditional_velocity(folder, seeds):
    """v_0 + 1 (v_c - v_0) = v_c, which costs half."""
    prior = make(folder, guidance_scale=1.0)
    labels = prior.labels_of(prior.maps_of(seeds.pixels).mean((2, 3)), 128, 160)
    cells = torch.randn(3, 5, 16, 20, generator=torch.Generator().manual_seed(1))
    x = torch.randn(3, 16, 16, 20, generator=torch.Generator().manual_seed(0))
    t = torch.tensor(500.0)
    plain = prior._velocity(x, t, labels, cells)
    object.__setattr__(prior.settings, "guidance_scale", 1.0 + 1e-9)
    torch.testing.assert_close(prior._velocity(x, t, labels, cells), plain, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("granularity", ["view", "channel", "vector"])
def test_features_are_unit_norm_and_differentiable(folder, seeds, granularity):
    prior = make(folder, granularity)
    f = prior.encode(seeds).requires_grad_()
    features = prior.features(f, seeds, prior.encoder)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(3))
    features[:, 0].sum().backward()
    assert f.grad is not None
    assert f.grad.abs().sum() > 0


def test_a_view_is_what_the_image_starts_from(folder, seeds):
    """At a low strength the image is the classical prior's rendering of the same parameters."""
    prior = make(folder, "view", strength=0.01)
    f = 0.8 * noise(seeds.keys).normal("b", (56,))
    view = prior.views.sample(f, seeds, prior.condition(["x"] * 3, seeds), noise(seeds.keys))
    made = prior.sample(f, seeds, prior.condition(["x"] * 3, seeds), noise(seeds.keys))
    assert (made - view).abs().mean() < 0.1 * (view - seeds.pixels).abs().mean()


def test_the_layout_says_where(folder, seeds):
    """Cells that are not known are zeros, and the last channel says which are."""
    prior = make(folder)
    told = prior.projection(prior.maps_of(seeds.pixels))
    known = torch.zeros(3, 1, 4, 4)
    known[:, :, 0] = 1
    cells = layout(told, known, 16, 20)
    assert cells.shape == (3, 5, 16, 20)
    assert torch.equal(cells[:, :4, :4, ::5], told[:, :, :1].repeat_interleave(4, 2))
    assert cells[:, :, 4:].abs().max() == 0
    assert cells[:, 4, :4].min() == 1


def test_moving_the_feature_moves_every_cell(folder, seeds):
    """projection(maps + d) = projection(maps) + shift(d)."""
    prior = make(folder)
    maps, moved = prior.maps_of(seeds.pixels), torch.randn(3, 1280, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(
        prior.projection(maps + moved[:, :, None, None]),
        prior.projection(maps) + prior.projection.shift(moved),
        atol=1e-4,
        rtol=1e-3,
    )


def test_a_missing_part_is_one_clear_line(folder, tmp_path):
    (tmp_path / "condition.json").write_text(json.dumps(CONDITION))
    (tmp_path / "projection.safetensors").write_bytes((folder / "projection.safetensors").read_bytes())
    with pytest.raises(ModelMissingError, match="expected vae, unet and scheduler") as caught:
        make(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_pickle_is_not_loaded(folder, tmp_path):
    """Only safetensors: weights in a file that could run code are refused."""
    import shutil

    copy = tmp_path / "prior"
    shutil.copytree(folder, copy)
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    weights.unlink()
    torch.save({}, copy / "unet" / "diffusion_pytorch_model.bin")
    with pytest.raises(ModelMissingError):
        make(copy)
