"""The generate-assess loop: the run's own budget spent anew, round by round, where a probe says it is needed."""

from collections.abc import Mapping

import numpy as np

from gifcli import pipeline
from gifcli.errors import UsageError
from gifcli.evaluate.arms import Arm, plain_share
from gifcli.evaluate.choice import INNER_SHARE
from gifcli.evaluate.intervals import Estimate, balanced_weights, correct, estimate, verdict
from gifcli.evaluate.need import allot, seed_needs
from gifcli.evaluate.pool import Pool, split
from gifcli.evaluate.probe import Probe
from gifcli.evaluate.reading import feature_pool, read_seeds
from gifcli.evaluate.settings import EvaluationSettings
from gifcli.evaluate.table import CLEAN
from gifcli.evaluate.testset import find_test_set, read_images
from gifcli.evaluate.training import Job, train_all
from gifcli.evaluate.trial import encoder_of, short_side
from gifcli.records import Array, Seed
from gifcli.state import budget
from gifcli.state.plan import targets
from gifcli.state.run import Run
from gifcli.wording import number_of

CAP = 4
"""Times the largest uniform share that a single seed may get."""
SPLITS = 5

Targets = dict[str, int]


def iterate_run(run: Run, rounds: int, settings: EvaluationSettings) -> str:
    """Spends the goal's number of samples in 1 + `rounds` parts: the first evenly, each other by the needs of then. Samples
    that the run has already are used; what is missing is generated. Of the two ways to spend the same number, by need and
    evenly, the one that is better on held-out seeds becomes the dataset. -> a note with both, measured on the test
    images. Killed, the same command goes on: what was generated stays, and the needs come out the same.

    Raises:
        UsageError: the goal is smaller than the number of rounds.
    """
    seeds = read_seeds(run, ".feature.npy")
    even = targets(run.seeds(), run.recipe)
    total = sum(even.values())
    if total < rounds + 1:
        raise UsageError(f"--iterate {rounds}: expected a budget of {rounds + 1} samples or more, found {total}")
    test = find_test_set(run, settings.test)
    encode = encoder_of(run)
    classes, learner = len(run.scan.classes), Probe(steps=settings.steps or Probe().steps)
    need = {key: count // (rounds + 1) for key, count in even.items()}
    for round_ in range(1, rounds + 1):
        _fill(run, even, need)
        parts = seed_needs(feature_pool(run, seeds, encode, need), classes, SPLITS, learner)
        left = total - sum(need.values())
        given = [need[seed.key] for seed in seeds]
        more = allot(round(left / (rounds + 1 - round_)), parts, given, CAP * max(even.values()))
        need = {seed.key: count + extra for seed, count, extra in zip(seeds, given, more, strict=True)}
        run.reporter.say(
            f"round {round_} of {rounds}: {number_of(sum(more), 'sample')}, most for {_most(run, seeds, more)}"
        )
    _fill(run, even, need)
    pools = {name: feature_pool(run, seeds, encode, goal) for name, goal in (("need", need), ("even", even))}
    better = _inner(pools["need"], classes, learner) > _inner(pools["even"], classes, learner)
    budget.keep(run.store, even, need if better else None)
    run.budget = None
    test, images = read_images(test, short_side(run), run.reporter.warn)
    seen = encode(images), test.labels
    return _note(_gain(pools, seen, classes, (learner, settings.random_numbers)), total, adopted=better)


def _fill(run: Run, even: Targets, need: Targets) -> None:
    """Generates what is owed of both ways to spend, which share the samples that they can."""
    run.budget = {key: max(count, need[key]) for key, count in even.items()}
    while any(
        step.shards or step.judged
        for step in [pipeline.optimize(run), pipeline.generate(run), pipeline.filter_samples(run)]
    ):
        pass


def _plain(pool: Pool) -> Arm:
    return Arm(plain_share(pool.originals, pool.generated), "none")


def _inner(pool: Pool, classes: int, learner: Probe) -> float:
    """Balanced accuracy in percent on held-out seeds, over splits that the loop has not used."""
    rngs = range(100, 100 + 2 * SPLITS)
    sides = [split(pool.labels[: pool.originals], INNER_SHARE, rng) for rng in rngs]
    if not len(sides[0][1]):
        return 0.0
    parts = [pool.of_parents(train) for train, _ in sides]
    jobs = [
        Job(part, _plain(part), rng, {CLEAN: pool.x[aside]})
        for rng, part, (_, aside) in zip(rngs, parts, sides, strict=True)
    ]
    scores = [
        (correct([found[CLEAN]], pool.labels[aside]) * balanced_weights(pool.labels[aside])).mean()
        for found, (_, aside) in zip(train_all(learner, jobs, classes), sides, strict=True)
    ]
    return float(np.mean(scores))


def _gain(pools: Mapping[str, Pool], test: tuple[Array, Array], classes: int, how: tuple[Probe, int]) -> Estimate:
    """By need against evenly on the test images, every class counting the same, in points."""
    (x, labels), (learner, rngs) = test, how
    jobs = [Job(pool, _plain(pool), rng, {CLEAN: x}) for pool in (pools["need"], pools["even"]) for rng in range(rngs)]
    right = correct([each[CLEAN] for each in train_all(learner, jobs, classes)], labels) * balanced_weights(labels)
    return estimate(right[:rngs] - right[rngs:])


def _note(gain: Estimate, total: int, *, adopted: bool) -> str:
    said = {"helps": "beats", "hurts": "loses to", "no clear difference": "differs in no clear way from"}[verdict(gain)]
    kept = "spent by need" if adopted else "spent evenly"
    return (
        f"{total} samples spent by need: this {said} the same number spent evenly: {gain.mean:+.1f} points of balanced "
        f"accuracy [{gain.low:+.1f}, {gain.high:+.1f}] with a probe on the test images; the dataset is the one {kept}, "
        "which was the better on held-out seeds"
    )


def _most(run: Run, seeds: list[Seed], more: list[int]) -> str:
    counts: dict[str, int] = {}
    for seed, count in zip(seeds, more, strict=True):
        counts[seed.label] = counts.get(seed.label, 0) + count
    label = max(counts, key=lambda name: counts[name])
    return f"{run.scan.classes[label]} ({counts[label]})"
