"""Guidance during and after denoising, on a saved Stable Diffusion checkpoint with random weights."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import checkpoints
from gifcli.compute.batches import SeedBatch, pixels_to_tensor
from gifcli.guidance.ascent import GuidanceSettings
from gifcli.guides import Weighted, make_guide
from gifcli.guides.classifier import class_prototypes, make_classifier
from gifcli.priors import PriorSettings, make_prior
from gifcli.records import Seed
from gifcli.stages import Tools
from gifcli.stages.generate import GenerateSettings
from gifcli.stages.optimize import Work, optimize
from gifcli.stages.steer import Steering, generate_steered, steps_of

SETTINGS = GenerateSettings("a {label}", (), (), ".png", 95, 0.8, "channel")
GUIDANCE = GuidanceSettings(granularity="channel", steps=2, lr=0.2, noise_scale=0.3, encoder_size=64)
K = 3


@pytest.fixture(scope="module")
def prior(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = checkpoints.save("sd-turbo", tmp_path_factory.mktemp("prior") / "sd-turbo")
    return make_prior(PriorSettings(str(folder), 4, 0.75, 1.0, None, mirror=False))


@pytest.fixture
def few(prior: Any, seeds: list[Seed]) -> list[Seed]:
    """Two seeds of two classes, at the prior's size, with its latents."""
    made = []
    for seed in (seeds[0], seeds[7]):
        pixels = np.ascontiguousarray(seed.pixels[:32, :32])
        batch = SeedBatch([seed.key], torch.zeros(1), ["x"], pixels_to_tensor(pixels[None]), torch.zeros(1, 1))
        made.append(replace(seed, pixels=pixels, latent=prior.encode(batch)[0].numpy()))
    return made


@pytest.fixture
def run(prior: Any, few: list[Seed], tools: Tools) -> Any:
    """(where, guide, batch size, steps, owed) -> samples."""
    assert tools.rules is not None
    classifier, prototypes = make_classifier(tools.rules), class_prototypes(tools.rules)

    def make(where: str, guide: str = "consistency", batch: int = 16, steps: int = 2, owed: Any = None) -> list[Any]:
        own = replace(tools, prior=prior, batch_size=batch)
        guides = [Weighted(guide, 1.0, make_guide(guide, classifier, prototypes))]
        settings = replace(GUIDANCE, where=where, at=(0.0, 0.5), steps=steps)
        noises = list(optimize([Work(seed, 0, K, 0) for seed in few], own, guides, settings))
        assert not noises[0].scores_end
        siblings = {seed.key: [(seed, noise) for noise in noises if noise.seed == seed.key] for seed in few}
        slots = owed or [(seed.key, k) for seed in few for k in range(K)]
        return list(generate_steered(siblings, slots, own, SETTINGS, Steering(guides, settings)))

    return make


@pytest.mark.parametrize("where", ["during", "after"])
@pytest.mark.parametrize("guide", ["consistency", "diversity", "prototype"])
def test_guidance_raises_its_own_score(run: Any, where: str, guide: str) -> None:
    samples = run(where, guide)
    start, end = (np.mean([sample.info[at][guide] for sample in samples]) for at in ("scores_start", "scores_end"))
    assert end > start + 1e-4


@pytest.mark.parametrize("where", ["during", "after"])
def test_an_image_depends_on_its_siblings_alone(run: Any, few: list[Seed], where: str) -> None:
    """Not on the batch, and not on which siblings are owed."""
    whole = run(where, "diversity")
    assert [(sample.seed, sample.k) for sample in whole] == [(seed.key, k) for seed in few for k in range(K)]
    [part] = run(where, "diversity", owed=[(few[1].key, 2)])
    small = run(where, "diversity", batch=1)
    for samples in ([whole[5], part], [whole[5], small[5]], [whole[0], small[0]]):
        first, second = (decoded(sample.image) for sample in samples)
        assert np.abs(first - second).max() <= 1
    assert part.info["scores_end"] == pytest.approx(whole[5].info["scores_end"], abs=1e-3)


def test_without_steps_only_the_random_start_is_left(run: Any) -> None:
    samples = run("after", steps=0)
    assert samples[0].info["scores_start"] == samples[0].info["scores_end"]
    assert np.abs(decoded(samples[0].image) - decoded(run("after")[0].image)).max() > 0


def test_the_steps_at_which_it_acts() -> None:
    assert steps_of("after", [0.5], 12) == {12}
    assert steps_of("during", [0.0, 0.5, 0.99], 12) == {0, 6, 11}
    assert steps_of("during", [0.9], 1) == {0}


def decoded(image: bytes) -> Any:
    import io

    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(image)), np.int16)
