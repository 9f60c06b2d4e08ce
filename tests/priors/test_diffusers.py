"""The diffusers prior against diffusers' own pipelines, on saved checkpoints with random weights."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    LatentConsistencyModelImg2ImgPipeline,
    PNDMScheduler,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableUnCLIPImg2ImgPipeline,
)
from skimage import data
from transformers import CLIPImageProcessor

import checkpoints
from gifcli.compute.batches import SeedBatch, pixels_to_tensor
from gifcli.encoders import make_encoder
from gifcli.encoders.clip import prepare
from gifcli.errors import UsageError
from gifcli.guidance.ascent import AtSize
from gifcli.models import prior_card
from gifcli.noise import NoiseSource, Slot
from gifcli.priors import Prior, PriorSettings, make_prior
from gifcli.priors.diffusers.schedule import NAMES, level, make_scheduler, start_at

TOLERANCE = 2e-5
"""In [0, 1], float32: the batch adds up in another order than the pipeline's."""

PIPELINES = {
    "sd": StableDiffusionImg2ImgPipeline,
    "sd-v": StableDiffusionImg2ImgPipeline,
    "sd-turbo": StableDiffusionImg2ImgPipeline,
    "sdxl": StableDiffusionXLImg2ImgPipeline,
    "sdxl-turbo": StableDiffusionXLImg2ImgPipeline,
    "lcm": LatentConsistencyModelImg2ImgPipeline,
    "unclip": StableUnCLIPImg2ImgPipeline,
}
SIZE = (32, 48)
PROMPTS = ["a photo of a cat", "a sketch of a dog", "a photo of a cat"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints")
    for kind in (*checkpoints.KINDS, "tiny"):
        checkpoints.save(kind, folder / kind)
    return folder


def make(folder: Path, **changes: Any) -> Any:
    card = prior_card(str(folder))
    settings = {
        "steps": 4, "strength": 0.75, "guidance_scale": card.guidance_scale, "size": None, "mirror": False,
        "granularity": card.granularity, "scheduler": card.scheduler,
    }  # fmt: skip
    return make_prior(PriorSettings(str(folder), **{**settings, **changes}))


@pytest.fixture(scope="module")
def seeds() -> SeedBatch:
    crops = [data.chelsea()[: SIZE[0], i : i + SIZE[1]] for i in (0, 80, 160)]
    pixels = pixels_to_tensor(np.stack(crops))
    return SeedBatch(["a", "b", "c"], torch.zeros(3, dtype=torch.int64), ["cat"] * 3, pixels, torch.zeros(3, 8))


def noise(keys: list[str]) -> NoiseSource:
    return NoiseSource(0, [Slot(key, 0, 0) for key in keys])


def draw(prior: Prior, seeds: SeedBatch, prompts: list[str] = PROMPTS, **options: Any) -> torch.Tensor:
    f = prior.encode(seeds)
    return prior.sample(f, seeds, prior.condition(prompts, seeds), noise(seeds.keys), **options)


def theirs(kind: str, folder: Path, prior: Any, seeds: SeedBatch) -> torch.Tensor:
    """The same images by diffusers: (b 3 h w) in [0, 1]."""
    pipeline = PIPELINES[kind].from_pretrained(str(folder))
    pipeline.set_progress_bar_config(disable=True)
    settings = prior.settings
    if kind != "lcm":
        pipeline.scheduler = make_scheduler(settings.scheduler, pipeline.scheduler)
    options = {"prompt": PROMPTS, "guidance_scale": settings.guidance_scale, "num_inference_steps": settings.steps}
    options["generator"] = noise(seeds.keys).generators("latent")
    if kind == "unclip":
        start = noise(seeds.keys).normal("latent", (4, SIZE[0] // 2, SIZE[1] // 2))
        embeddings = prior.encode(seeds) * prior.std + prior.mean
        options |= {"image_embeds": embeddings, "latents": start, "noise_level": settings.noise_level}
        options["generator"] = noise(seeds.keys).generators("embedding")
    else:
        options |= {"image": prior.encode(seeds), "strength": settings.strength}
    if kind.startswith("sdxl"):  # it takes the size from the image, and that is a latent here
        options |= {"original_size": SIZE, "target_size": SIZE}
    return pipeline(**options, output_type="pt").images


@pytest.mark.parametrize("kind", PIPELINES)
def test_a_batch_equals_diffusers_own_pipeline(folders: Path, seeds: SeedBatch, kind: str) -> None:
    changes = {"strength": 1.0, "noise_level": 20} if kind == "unclip" else {}
    prior = make(folders / kind, **changes)
    ours = (draw(prior, seeds) + 1) / 2
    wanted = theirs(kind, folders / kind, prior, seeds)
    assert wanted.std() > 0.02
    assert (ours - wanted).abs().max() < TOLERANCE


def test_the_prompt_has_a_say(folders: Path, seeds: SeedBatch) -> None:
    for kind in ("sd", "sdxl"):
        prior = make(folders / kind, steps=1, strength=1.0)
        assert (draw(prior, seeds) - draw(prior, seeds, ["of"] * 3)).abs().max() > 1e-3


def test_turbo_recipes_skip_guidance_and_take_few_steps(folders: Path) -> None:
    for kind, steps, scale, scheduler in [
        ("sd", 25, 7.5, "dpm++"), ("sdxl", 25, 7.5, "dpm++"), ("sd-turbo", 4, 1.0, "own"), ("sdxl-turbo", 4, 1.0, "own"),
        ("lcm", 8, 8.0, "lcm"), ("unclip", 25, 10.0, "dpm++"),
    ]:  # fmt: skip
        card = prior_card(str(folders / kind))
        assert (card.steps, card.guidance_scale, card.scheduler) == (steps, scale, scheduler)
    assert prior_card(str(folders / "sd"), "someone/lcm-lora").scheduler == "lcm"
    assert prior_card(str(folders / "unclip")).encoder == str(folders / "unclip")


@pytest.mark.parametrize("kind", ["sd", "sdxl-turbo", "lcm", "unclip"])
def test_an_image_does_not_depend_on_its_batch(folders: Path, seeds: SeedBatch, kind: str) -> None:
    """Samplers that add noise on the way (Euler ancestral, LCM) draw it by sample too."""
    prior = make(folders / kind)
    alone = torch.cat([draw(prior, seeds.take([i]), [PROMPTS[i]]) for i in range(3)])
    together = draw(prior, seeds)
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=0)
    assert torch.equal(together, draw(prior, seeds))


def test_a_low_strength_takes_one_step_from_the_seed(folders: Path, seeds: SeedBatch) -> None:
    prior = make(folders / "sd", strength=0.01, steps=50, guidance_scale=1.0)
    seen = prior.autoencoder.decode(prior.encode(seeds))
    near, far = ((draw(p, seeds) - seen).abs().mean() for p in (prior, make(folders / "sd", strength=1.0)))
    assert near < far


def test_unclip_starts_from_the_seed_below_strength_one(folders: Path, seeds: SeedBatch) -> None:
    prior = make(folders / "unclip", strength=0.25, guidance_scale=1.0)
    seen = prior.autoencoder.decode(prior.autoencoder.encode(seeds.pixels))
    near, far = ((draw(p, seeds) - seen).abs().mean() for p in (prior, make(folders / "unclip", strength=1.0)))
    assert near < far


@pytest.mark.parametrize("tiny", [False, True])
def test_gradients_flow_through_decoder_and_encoder(folders: Path, seeds: SeedBatch, tiny: bool, encoder: Any) -> None:
    prior = make(folders / "sd", tiny=str(folders / "tiny") if tiny else "none")
    f = prior.encode(seeds).requires_grad_()
    features = prior.features(f, seeds, partial_size(encoder))
    torch.testing.assert_close(features.norm(dim=1), torch.ones(3))
    features.sum().backward()
    assert f.grad is not None
    assert (f.grad.abs().flatten(1).sum(1) > 0).all()
    prior.features(f, seeds, partial_size(encoder))
    with torch.no_grad():
        decoded = prior.autoencoder.decode_cheaply(f)
        assert torch.equal(decoded, prior.autoencoder.decode(f)) is not tiny


def partial_size(encoder: Any) -> Any:
    return AtSize(encoder, 32, encoder.name, encoder.dim)


def test_unclip_scores_its_own_embedding(folders: Path, seeds: SeedBatch, encoder: Any) -> None:
    prior = make(folders / "unclip")
    own = make_encoder(str(folders / "unclip"))
    f = prior.encode(seeds).requires_grad_()
    assert f.shape == (3, checkpoints.WIDTH)
    torch.testing.assert_close(prior.features(f, seeds, own), own.images(seeds.pixels), atol=1e-5, rtol=0)
    prior.features(f, seeds, own)[:, 0].sum().backward()
    assert f.grad is not None
    with pytest.raises(UsageError, match="expected --encoder auto"):
        prior.features(f, seeds, encoder)


def test_the_unclip_encoder_prepares_images_as_its_processor_does(folders: Path) -> None:
    encoder: Any = make_encoder(str(folders / "unclip"))
    processor = CLIPImageProcessor.from_pretrained(str(folders / "unclip" / "feature_extractor"))
    picture = data.chelsea()[:90, :130]
    wanted = processor(picture, return_tensors="pt").pixel_values
    ours = prepare(pixels_to_tensor(picture[None].copy()), encoder._preprocess)
    assert ours.shape == wanted.shape
    assert (ours - wanted).abs().max() < 0.05  # it rounds to 8 bits after resizing


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_what_a_noise_level_says_of_x0(name: str, kind: str) -> None:
    own = PNDMScheduler(**checkpoints.BETAS, prediction_type=kind, skip_prk_steps=True, steps_offset=1)
    scheduler = make_scheduler(name, own)
    timesteps = start_at(scheduler, 8, 0.5, torch.device("cpu"))
    x0, eps, other = torch.randn(3, 2, 4, 3, 3).unbind()
    x = scheduler.add_noise(x0, eps, timesteps[:1].expand(2))
    here = level(scheduler, timesteps[0], getattr(scheduler, "begin_index", None) or 0)
    predicted = eps if kind == "epsilon" else here.alpha * eps - here.sigma * x0
    torch.testing.assert_close(here.x0(x, predicted), x0, atol=1e-4, rtol=1e-4)
    moved, said = here.moved(x, predicted, other)
    torch.testing.assert_close(moved, scheduler.add_noise(other, eps, timesteps[:1].expand(2)), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(here.x0(moved, said), other, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["sd-v", "sdxl-turbo", "lcm"])
def test_steering_sees_every_step_and_leads_the_image(folders: Path, seeds: SeedBatch, kind: str) -> None:
    prior = make(folders / kind, strength=1.0, guidance_scale=1.0)
    seen: list[tuple[int, int]] = []
    aim = prior.encode(seeds).flip(0)

    def watch(x0: torch.Tensor, step: int, steps: int) -> torch.Tensor:
        seen.append((step, steps))
        return x0

    def lead(x0: torch.Tensor, step: int, steps: int) -> torch.Tensor:
        return aim if step == steps - 1 else x0

    def replace(x0: torch.Tensor, step: int, steps: int) -> torch.Tensor:
        return aim if step == steps else x0

    assert torch.equal(draw(prior, seeds, steer=watch), draw(prior, seeds))
    assert seen == [(step, 4) for step in range(5)]
    wanted = prior.autoencoder.decode(aim).clamp(-1, 1)
    torch.testing.assert_close(draw(prior, seeds, steer=replace), wanted)
    assert (draw(prior, seeds, steer=lead) - wanted).abs().mean() < 0.5 * (draw(prior, seeds) - wanted).abs().mean()


def test_a_prompt_too_long_is_cut_and_embeddings_are_kept(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gifcli.priors.diffusers.text.KEPT", 4)
    texts = make(folders / "sd").texts
    long = "a photo of a " + "cat " * 200
    first = texts.embed([long, "a cat"])["states"]
    assert first.shape == (2, 77, checkpoints.WIDTH)
    assert torch.equal(texts.embed(["a cat", long])["states"], first.flip(0))
    assert len(texts.embed([str(i) for i in range(6)])["states"]) == 6
    assert len(texts._known) == 4
