"""Samples come in work order, whatever the batch; files are marked and carry their provenance; prompts are the slot's own."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from gifcli.images.marks import read_marks
from gifcli.noise import NoiseSource, Slot
from gifcli.priors import Condition
from gifcli.priors.classical import ClassicalPrior
from gifcli.records import Noise
from gifcli.stages.generate import GenerateSettings, generate, prompt_of

SETTINGS = GenerateSettings("a photo of a {label}", (), (), ".png", 95, 2.0, "vector", {"dtype": "float32", "steps": 1})
K = 3


class Counting(ClassicalPrior):
    """The classical prior; notes which prompts it is conditioned on, and how many rows it samples at once."""

    def __init__(self, settings):
        super().__init__(settings)
        self.conditioned, self.rows = [], []

    def condition(self, prompts, seeds):
        self.conditioned += zip(seeds.keys, prompts, strict=True)
        return Condition({"place": torch.arange(len(seeds))}, prompts)

    def sample(self, f, seeds, condition, noise, steer=None):
        self.rows.append(len(seeds))
        assert [key == slot.seed for key, slot in zip(seeds.keys, noise.slots, strict=True)]
        assert len(condition.tensors["place"]) == len(seeds)
        return super().sample(f, seeds, condition, noise, steer)


@pytest.fixture
def work(seeds):
    """Seven seeds of two sizes, three noises each."""
    slots = [(seed, Slot(seed.key, k, 0)) for seed in seeds[:7] for k in range(K)]
    b = NoiseSource(0, [slot for _, slot in slots]).normal("b", seeds[0].latent.shape).numpy()
    return [
        (seed, Noise(slot.seed, slot.k, slot.attempt, np.zeros_like(row), row, {}, {}))
        for (seed, slot), row in zip(slots, b, strict=True)
    ]


def pixels(sample):
    return np.asarray(Image.open(io.BytesIO(sample.image)), np.int16)


def test_order_size_and_pixels_do_not_depend_on_the_batch(work, tools):
    by_size = [list(generate(work, replace(tools, batch_size=size), SETTINGS)) for size in (1, 4, 64)]
    for samples in by_size:
        assert [(s.seed, s.k) for s in samples] == [(seed.key, noise.k) for seed, noise in work]
        assert [(s.height, s.width, 3) for s in samples] == [seed.pixels.shape for seed, _ in work]
        for sample, other in zip(samples, by_size[0], strict=True):
            assert np.abs(pixels(sample) - pixels(other)).max() <= 1
    again = list(generate(work, replace(tools, batch_size=4), SETTINGS))
    assert [s.image for s in again] == [s.image for s in by_size[1]]


def test_batches_are_filled_across_seeds_and_conditions_computed_once(work, tools):
    prior = Counting(tools.prior.settings)
    list(generate(work, replace(tools, prior=prior, batch_size=64), SETTINGS))
    wide = sum(seed.pixels.shape[1] > 160 for seed, _ in work)
    assert sorted(prior.rows) == sorted([wide, len(work) - wide])
    assert sorted(prior.conditioned) == sorted({(seed.key, f"a photo of a {seed.label}") for seed, _ in work})


@pytest.mark.parametrize("size", [1, 4, 5])
def test_what_siblings_share_is_computed_once_though_a_batch_ends_between_them(work, tools, size):
    prior = Counting(tools.prior.settings)
    list(generate(work, replace(tools, prior=prior, batch_size=size), SETTINGS))
    assert len(prior.conditioned) == len({(seed.key, f"a photo of a {seed.label}") for seed, _ in work})


def test_where_memory_runs_out_no_sample_is_lost_or_made_twice(work, tools):
    class Small(Counting):
        def sample(self, f, seeds, condition, noise, steer=None):
            if len(f) > 2:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            return super().sample(f, seeds, condition, noise, steer)

    prior = Small(tools.prior.settings)
    samples = list(generate(work, replace(tools, prior=prior, batch_size=64), SETTINGS))
    assert [(s.seed, s.k) for s in samples] == [(seed.key, noise.k) for seed, noise in work]
    assert sum(prior.rows) == len(work)
    for sample, other in zip(samples, generate(work, tools, SETTINGS), strict=True):
        assert np.abs(pixels(sample) - pixels(other)).max() <= 1


def test_zero_noise_gives_the_seed(work, tools):
    seed, noise = work[0]
    (sample,) = generate([(seed, replace(noise, b=np.zeros_like(noise.b)))], tools, SETTINGS)
    assert np.abs(pixels(sample) - seed.pixels).max() <= 1


def test_eps_bounds_the_perturbation(work, tools):
    seed, noise = work[0]
    (bounded,) = generate([(seed, replace(noise, b=noise.b * 100))], tools, replace(SETTINGS, eps=1e-4))
    assert np.abs(pixels(bounded) - seed.pixels).max() <= 1


def test_provenance_and_marks(work, tools):
    (sample,) = generate(work[:1], tools, replace(SETTINGS, suffix=".jpg"))
    assert sample.info | {"software": ""} == {
        "dtype": "float32",
        "steps": 1,
        "prior": "classical",
        "revision": tools.prior.revision,
        "prompt": "a photo of a brick",
        "rng": 0,
        "software": "",
    }
    marks = read_marks(sample.image)
    assert marks["key"] == sample.key
    assert marks["parent_sha256"] == work[0][0].sha256
    assert marks["digital_source_type"].endswith("algorithmicallyEnhanced")
    assert Image.open(io.BytesIO(sample.image)).format == "JPEG"


def test_what_is_not_a_number_comes_out_black(work, tools):
    class Broken(ClassicalPrior):
        def sample(self, f, seeds, condition, noise, steer=None):
            return torch.full_like(seeds.pixels, torch.nan)

    (sample,) = generate(work[:1], replace(tools, prior=Broken(tools.prior.settings)), SETTINGS)
    assert pixels(sample).max() == 0


def test_prompts_are_drawn_by_the_slot():
    settings = replace(SETTINGS, prompt="{domain} of a {adjective} {label}", domains=("photo", "sketch", "painting"))
    settings = replace(settings, adjectives=("red", "old", "small"))
    slots = [Slot("s", k, 0) for k in range(40)]
    prompts = [prompt_of(slot, "cat", 0, settings) for slot in slots]
    assert prompts == [prompt_of(slot, "cat", 0, settings) for slot in slots]
    assert len(set(prompts)) == 9
    assert all(prompt.endswith("cat") for prompt in prompts)
    assert prompts != [prompt_of(slot, "cat", 1, settings) for slot in slots]
    assert prompt_of(slots[0], "cat", 0, replace(settings, domains=(), adjectives=())) == "of a cat"


def test_nothing_to_do(tools):
    assert list(generate([], tools, SETTINGS)) == []
