"""A run made ready to be learned from: the learner, its examples, and the test images as it sees them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from gifcli.compute.devices import choose_device
from gifcli.errors import UsageError
from gifcli.evaluate.cnn import Network
from gifcli.evaluate.corruptions import CORRUPTIONS, corrupt
from gifcli.evaluate.encoding import COPIES, Features, augmented
from gifcli.evaluate.network import timm_size
from gifcli.evaluate.pool import Pool
from gifcli.evaluate.probe import Probe
from gifcli.evaluate.reading import feature_pool, pixel_pool, read_seeds
from gifcli.evaluate.settings import EvaluationSettings
from gifcli.evaluate.table import CLEAN
from gifcli.evaluate.testset import TestSet, find_test_set, read_images, squares
from gifcli.evaluate.training import Learner
from gifcli.records import Array
from gifcli.state.run import Run
from gifcli.wording import number_of

SIDE = 64
"""Pixels at which networks are trained from scratch, unless the architecture insists on another side."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What every arm is trained and tested with. tests: name -> (n ...), the clean ones and the corrupted."""

    learner: Learner
    pool: Pool
    test: TestSet
    tests: Mapping[str, Array]
    device: str


def make_trial(run: Run, settings: EvaluationSettings) -> Trial:
    """Reads what the run has, and prepares what it has not: the test images, and augmented originals.

    Raises:
        UsageError: no test images, or no generated ones.
        InputError: test images that cannot be read.
    """
    if len(run.scan.classes) < 2:
        raise UsageError(
            f"{run.root}: expected two classes or more to tell apart, found one; there is nothing to evaluate"
        )
    test = find_test_set(run, settings.test)
    trial = _probe(run, settings, test) if settings.learner == "probe" else _network(run, settings, test)
    if not trial.pool.generated:
        raise UsageError(
            f"{run.root}: expected generated images, found none; first run: gif expand {run.source} -o {run.root}"
        )
    return trial


def _probe(run: Run, settings: EvaluationSettings, test: TestSet) -> Trial:
    seeds = read_seeds(run, ".feature.npy", ".mirrored.npy", ".pixels.png")
    test, images = read_images(test, short_side(run), run.reporter.warn)
    run.reporter.say(
        f"encoding {number_of(len(images), 'test image')} and {COPIES} augmented copies of {number_of(len(seeds), 'original')}"
    )
    encode = encoder_of(run)
    pool = feature_pool(run, seeds, encode)
    mirror = run.recipe.prior.mirror is True
    views = [
        np.stack([seed.feature for seed in seeds]),
        np.stack([seed.mirrored if mirror else seed.feature for seed in seeds]),
    ]
    views += [encode(augmented(seeds, copy, 0, mirror=mirror)) for copy in range(COPIES)]
    pool = replace(pool, views=np.stack(views, 1).astype(np.float32))
    tests = {CLEAN: encode(images)}
    for name in CORRUPTIONS if settings.corruptions else ():
        tests[name] = encode([corrupt(name, image, i) for i, image in enumerate(images)])
    return Trial(Probe(steps=settings.steps or Probe().steps), pool, test, tests, "cpu")


def _network(run: Run, settings: EvaluationSettings, test: TestSet) -> Trial:
    device = choose_device(run.recipe.run.device, "auto")
    size = (timm_size(settings.learner.removeprefix("timm:")) if settings.learner != "cnn" else None) or SIDE
    learner = Network(
        settings.learner,
        steps=settings.steps or Network().steps,
        mirror=run.recipe.prior.mirror is True,
        device=device.name,
        dtype=device.dtype,
    )
    learner.make(2, 0)  # an architecture that is not known is told of before anything is read
    test, images = read_images(test, max(size, short_side(run)), run.reporter.warn)
    clean = squares(images, size)
    tests = {CLEAN: clean}
    for name in CORRUPTIONS if settings.corruptions else ():
        tests[name] = np.stack([corrupt(name, image, i) for i, image in enumerate(clean)])
    return Trial(learner, pixel_pool(run, size), test, tests, device.name)


def encoder_of(run: Run) -> Features:
    """The run's own encoder, in the precision that its features were made with."""
    from gifcli.encoders import make_encoder

    device = choose_device(run.recipe.run.device, run.recipe.run.dtype)
    return Features(make_encoder(run.recipe.encoder.name, device.name, device.dtype), device.name)


def short_side(run: Run) -> int:
    """Of most seeds' working size, in pixels."""
    counts: dict[int, int] = {}
    for mark in run.store.done("extract").values():
        for size, count in mark["sizes"].items():
            side = min(int(length) for length in size.split(" x "))
            counts[side] = counts.get(side, 0) + count
    return max(counts, key=lambda side: (counts[side], side))
