"""Guidance on real pictures, the real embedded encoder and a real (if tiny) prior."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from skimage import data
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from gifcli.compute.batches import SeedBatch, pixels_to_tensor, seed_batch
from gifcli.encoders import Encoder
from gifcli.encoders.embedded import EmbeddedEncoder
from gifcli.errors import UsageError
from gifcli.guidance.ascent import Objective
from gifcli.guides import Weighted, make_guide
from gifcli.guides.classifier import make_classifier
from gifcli.noise import Slot, generator
from gifcli.records import Noise, Seed
from gifcli.rules.induce import induce
from gifcli.stages import Tools
from gifcli.stages.optimize import GuidanceSettings, Work, optimize

SIDE, CELL = 64, 8
CLASSES = {"coffee": "coffee", "cat": "cat", "brick": "brick"}
SETTINGS = GuidanceSettings(granularity="element", steps=4, lr=0.1, noise_scale=0.2, encoder_size=SIDE)


class MosaicPrior:
    """Its latent is the picture's coarse colours; what they leave over comes from the seed."""

    granularities = frozenset({"channel", "element"})
    name, revision = "mosaic", "1"

    def encode(self, seeds: SeedBatch) -> Tensor:
        return avg_pool2d(seeds.pixels, CELL) * 2

    def features(self, f: Tensor, seeds: SeedBatch, encoder: Encoder) -> Tensor:
        coarse = interpolate((f - self.encode(seeds)) / 2, scale_factor=CELL, mode="bilinear")
        return encoder.images((seeds.pixels + coarse).clamp(-1, 1))


@cache
def tools() -> Tools:
    pixels = {label: crops(label, 6) for label in CLASSES}
    encoder = EmbeddedEncoder()
    with torch.no_grad():
        features = encoder.images(pixels_to_tensor(np.concatenate(list(pixels.values()))), SIDE).numpy()
    rules = induce(features, np.repeat(np.arange(3), 6), list(CLASSES), [str(i) for i in range(18)])
    return Tools(MosaicPrior(), encoder, rules, CLASSES, "cpu", 16, 7)  # type: ignore[arg-type] - it never samples


def crops(name: str, n: int) -> np.ndarray:
    image = getattr(data, name)()
    image = np.stack([image] * 3, -1) if image.ndim == 2 else image
    at = np.random.default_rng(3).integers(0, min(image.shape[:2]) - SIDE, (n, 2))
    return np.stack([image[y : y + SIDE, x : x + SIDE] for y, x in at])


def seed(label: str, i: int = 0) -> Seed:
    pixels = crops(label, 6)[i]
    latent = MosaicPrior().encode(SeedBatch([], torch.zeros(1), [], pixels_to_tensor(pixels[None]), torch.zeros(1, 1)))
    key = f"{label}{i}"
    feature = np.zeros(1280, np.float32)
    return Seed(key, label, "train", key, key, SIDE, SIDE, pixels, latent[0].numpy(), feature, feature)


def guides(**weights: float) -> list[Weighted]:
    rules = tools().rules
    assert rules is not None
    classifier = make_classifier(rules)
    return [Weighted(name, weight, make_guide(name, classifier)) for name, weight in weights.items()]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As the engines do it on a CPU: sums shared out among threads round otherwise."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


ALL = {"consistency": 1.0, "entropy": 1.0, "diversity": 1.0}
WORK = [Work(seed("coffee"), 0, 3, 0), Work(seed("cat"), 0, 3, 0), Work(seed("coffee", 1), 1, 3, 1)]


def run(
    settings: GuidanceSettings = SETTINGS, work: list[Work] = WORK, batch: int = 16, **weights: float
) -> list[Noise]:
    return list(optimize(work, replace(tools(), batch_size=batch), guides(**weights), settings))


def total(noises: list[Noise], at: str = "scores_end") -> float:
    return float(np.mean([getattr(noise, at)["total"] for noise in noises]))


@pytest.mark.parametrize("optimizer", ["adam", "sign"])
def test_it_raises_every_seeds_total_and_says_by_how_much(optimizer: str) -> None:
    noises = run(replace(SETTINGS, optimizer=optimizer), **ALL)
    assert [(n.seed, n.k, n.attempt) for n in noises] == [
        *[("coffee0", k, 0) for k in range(3)], *[("cat0", k, 0) for k in range(3)], ("coffee1", 1, 1), ("coffee1", 2, 1)
    ]  # fmt: skip
    for siblings in (noises[:3], noises[3:6], noises[6:]):
        assert total(siblings) > total(siblings, "scores_start") + 0.01
    for noise in noises:
        assert list(noise.scores_end) == ["consistency", "entropy", "diversity", "total"]
        assert noise.scores_end["total"] == pytest.approx(sum(list(noise.scores_end.values())[:3]), abs=1e-5)


@pytest.mark.parametrize("guide", ["consistency", "entropy", "diversity"])
def test_each_guide_alone_has_force(guide: str) -> None:
    noises = run(**{guide: 1.0})
    assert total(noises) > total(noises, "scores_start") + 0.005


def test_a_step_far_too_long_never_ends_below_the_start() -> None:
    for lr in (3.0, 1000.0):
        noises = run(replace(SETTINGS, lr=lr, steps=2), **ALL)
        for siblings in (noises[:3], noises[3:6], noises[6:]):
            assert total(siblings) >= total(siblings, "scores_start")


def test_unguided_noise_is_the_guided_start() -> None:
    unguided = run(replace(SETTINGS, steps=0), **ALL)
    for noise in (*unguided, *run(replace(SETTINGS, lr=0.0), **ALL)):
        slot = Slot(noise.seed, noise.k, noise.attempt)
        assert np.allclose(noise.z, 0.2 * torch.rand(3, 8, 8, generator=generator(7, slot, "z")))
        assert np.allclose(noise.b, 0.2 * torch.randn(3, 8, 8, generator=generator(7, slot, "b")))
    guided = run(**ALL)
    assert [n.scores_start for n in guided] == [n.scores_start for n in unguided]
    assert [n.scores_end for n in unguided] == [n.scores_start for n in unguided]
    assert not run(work=WORK[:1])[0].scores_end


@pytest.mark.parametrize("batch", [1, 4])
def test_the_batch_size_changes_no_more_than_rounding(batch: int) -> None:
    for small, large in zip(run(batch=batch, **ALL), run(**ALL), strict=True):
        assert np.abs(small.z - large.z).mean() < 1e-3
        assert np.abs(small.b - large.b).mean() < 1e-3
        assert small.scores_start == pytest.approx(large.scores_start, abs=5e-3)
        assert small.scores_end == pytest.approx(large.scores_end, abs=5e-3)


def test_siblings_in_parts_have_the_gradient_of_all_together() -> None:
    coffee = seed("coffee")
    seeds = seed_batch([coffee], dict(CLASSES), "cpu")
    f = torch.from_numpy(coffee.latent)[None, None]
    z, b = torch.rand(1, 5, 3, 8, 8), torch.randn(1, 5, 3, 8, 8)
    gradients = []
    for rows in (2, 16):
        free = b.clone().requires_grad_()
        objective = Objective(tools().prior, tools().encoder, guides(**ALL), 0.8, rows)
        objective(f, z, free, seeds, seeds.repeat(free.shape[1]))["total"].sum().backward()
        assert free.grad is not None
        gradients.append(free.grad)
    assert torch.allclose(*gradients, atol=1e-3 * float(gradients[1].abs().max()))


def test_consistency_goes_toward_the_true_label_not_the_guides_guess() -> None:
    coffee = seed("coffee")
    right, wrong = (
        run(work=[Work(replace(coffee, label=label), 0, 2, 0)], consistency=1.0) for label in ("coffee", "cat")
    )
    assert right[0].scores_start["consistency"] > wrong[0].scores_start["consistency"]
    assert total(wrong) > total(wrong, "scores_start")
    unknown = run(work=[Work(replace(coffee, label="new"), 0, 2, 0)], consistency=1.0)
    assert unknown[0].scores_end == {"consistency": 0.0, "total": 0.0}


def test_noise_of_a_kept_norm_turns_and_grows_no_longer() -> None:
    drawn = run(replace(SETTINGS, steps=0), **ALL)
    kept, free = (run(replace(SETTINGS, keep_norm=keep, eps=9.0), **ALL) for keep in (True, False))
    for noises, longer in ((kept, False), (free, True)):
        growth = [np.linalg.norm(n.b) / np.linalg.norm(first.b) for n, first in zip(noises, drawn, strict=True)]
        assert (max(growth) > 1.01) == longer
        assert total(noises) > total(noises, "scores_start") + 0.01
    assert any((n.b != first.b).any() for n, first in zip(kept, drawn, strict=True))
    still = run(replace(SETTINGS, keep_norm=True, noise_scale=0.0), **ALL)  # drawn as zeros: no length to keep
    assert total(still) > total(still, "scores_start") + 0.01


def test_a_start_outside_of_the_ball_still_moves() -> None:
    noises = run(replace(SETTINGS, noise_scale=2.0, eps=0.3, lr=0.5), **ALL)
    assert total(noises) > total(noises, "scores_start") + 0.01


def test_the_granularity_shapes_the_noise() -> None:
    assert {n.z.shape for n in run(replace(SETTINGS, granularity="channel", steps=0), **ALL)} == {(3, 1, 1)}
    with pytest.raises(UsageError, match="mosaic knows channel, element"):
        run(replace(SETTINGS, granularity="token"), **ALL)
    with pytest.raises(UsageError, match="adam or sign"):
        run(replace(SETTINGS, optimizer="sgd"), **ALL)


def test_every_other_try_starts_nearer_the_seed() -> None:
    settings = replace(SETTINGS, steps=0, retreat=0.5)
    tries = [run(settings, work=[replace(w, attempt=attempt) for w in WORK], **ALL) for attempt in range(4)]
    sizes = [np.mean([np.abs(noise.b).mean() for noise in noises]) for noises in tries]
    assert np.divide(sizes, sizes[0]) == pytest.approx([1, 0.5, 1, 0.25], rel=0.1)
