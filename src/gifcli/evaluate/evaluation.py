"""Does the expanded set help? Arms that differ in what they draw, trained alike, measured on images nobody has seen."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gifcli.evaluate.advice import FEW
from gifcli.evaluate.arms import ORIGINALS, Arm, plain_share, shares_to_try
from gifcli.evaluate.choice import Choice, choose
from gifcli.evaluate.equivalents import FRACTIONS, Curve, fit_curve, large_enough
from gifcli.evaluate.intervals import Estimate
from gifcli.evaluate.pool import subset
from gifcli.evaluate.record import Evaluation
from gifcli.evaluate.settings import EvaluationSettings
from gifcli.evaluate.table import CLEAN, Measured, class_changes, measure
from gifcli.evaluate.training import Job, Predictions, train_all
from gifcli.evaluate.trial import Trial, make_trial
from gifcli.state.run import Run
from gifcli.wording import number_of

Found = dict[Arm, list[Predictions]]


def evaluate(run: Run, settings: EvaluationSettings) -> Evaluation:
    """Trains all arms and measures them; writes nothing.

    Raises:
        UsageError, InputError: there is nothing to measure on, or nothing to measure.
    """
    trial = make_trial(run, settings.checked())
    return assess(trial, settings, str(run.root), list(run.scan.classes), run.reporter.say)


def assess(
    trial: Trial, settings: EvaluationSettings, name: str, classes: Sequence[str], say: Callable[[str], None]
) -> Evaluation:
    """Chooses on inner splits; then trains every arm on all originals and looks at the test set once."""
    rngs, learner, pool = settings.random_numbers, trial.learner, trial.pool
    say(
        f"choosing share and augmentation on {rngs} inner splits ({learner.name}, {number_of(learner.steps, 'step')} each)"
    )
    choice = choose(learner, pool, len(classes), rngs, trial.device)
    arms = _arms(choice, pool.originals, pool.generated)
    bears_curve = large_enough(np.bincount(pool.labels[: pool.originals]).tolist(), len(trial.test.labels))
    say(f"training {len(arms)} arms with {rngs} random numbers each, for the test set")
    jobs = [Job(pool, arm, rng, trial.tests) for arm in arms for rng in range(rngs)]
    smaller = FRACTIONS if bears_curve else ()
    for fraction in smaller:
        parts = [pool.of_parents(subset(pool.labels[: pool.originals], fraction, rng)) for rng in range(rngs)]
        jobs += [Job(part, choice.baseline, rng, {CLEAN: trial.tests[CLEAN]}) for rng, part in enumerate(parts)]
    results = train_all(learner, jobs, len(classes), trial.device)
    groups = [results[i : i + rngs] for i in range(0, len(results), rngs)]
    found = dict(zip(arms, groups, strict=False))
    curve = _curve(trial, groups[len(arms) :], found[choice.baseline]) if smaller else None
    return Evaluation(name, _data(trial, rngs, classes, choice, found, curve, asked=bears_curve))


def _arms(choice: Choice, originals: int, generated: int) -> list[Arm]:
    """In the order of the table, each once."""
    by_share = [Arm(share, choice.expanded.augmentation) for share in shares_to_try(originals, generated)]
    return sorted(
        {*ORIGINALS, *by_share, choice.expanded}, key=lambda arm: (arm.share, ORIGINALS_ORDER[arm.augmentation])
    )


ORIGINALS_ORDER = {arm.augmentation: place for place, arm in enumerate(ORIGINALS)}


def _curve(trial: Trial, smaller: Sequence[Sequence[Predictions]], baseline: Sequence[Predictions]) -> Curve | None:
    errors = [
        float(np.mean([100 * (each[CLEAN].argmax(1) != trial.test.labels).mean() for each in found]))
        for found in [*smaller, baseline]
    ]
    return fit_curve([*FRACTIONS, 1.0], errors)


def _data(
    trial: Trial,
    rngs: int,
    classes: Sequence[str],
    choice: Choice,
    found: Found,
    curve: Curve | None,
    *,
    asked: bool,
) -> dict[str, Any]:
    labels, baseline = trial.test.labels, found[choice.baseline]
    table = {
        arm: measure(arm, each, labels, None if arm == choice.baseline else baseline) for arm, each in found.items()
    }
    gain = table[choice.expanded].gain
    assert gain is not None
    entry = {arm: measured.to_data(choice.inner) for arm, measured in table.items()}
    plain = Arm(plain_share(trial.pool.originals, trial.pool.generated), choice.expanded.augmentation)
    equivalent = _equivalent(curve, table[choice.baseline], gain) if curve else None
    return {
        "learner": trial.learner.name,
        "test": trial.test.phrase,
        "test_images": len(labels),
        "originals": trial.pool.originals,
        "generated": trial.pool.generated,
        "steps": trial.learner.steps,
        "rngs": rngs,
        "baseline": choice.baseline.name,
        "chosen": choice.expanded.name,
        "arms": list(entry.values()),
        "classes": class_changes(classes, labels, baseline, found[choice.expanded]),
        "equivalent": equivalent,
        "plain": plain.name,
        "verdict": _verdict(entry[choice.expanded], entry[plain]),
        "notes": _notes(trial, choice, has_curve=curve is not None, asked=asked),
    }


def _equivalent(curve: Curve, baseline: Measured, gain: Estimate) -> dict[str, float]:
    """The gain and its interval as percent more real images."""
    error = 100 - baseline.accuracy.mean
    worth = (curve.more_real(error - points) for points in (gain.mean, gain.low, gain.high))
    return {name: round(value, 1) for name, value in zip(("more_real", "low", "high"), worth, strict=True)}


def _verdict(chosen: Mapping[str, Any], plain: Mapping[str, Any]) -> str:
    """Of the set as a whole: it hurts if it does so at the chosen share, or as it is without helping at the chosen share."""
    if chosen["verdict"] != "helps" and "hurts" in {chosen["verdict"], plain["verdict"]}:
        return "hurts"
    return str(chosen["verdict"])


def _notes(trial: Trial, choice: Choice, *, has_curve: bool, asked: bool) -> list[str]:
    """What the table says, in sentences, losses too."""
    inner = choice.inner
    notes = []
    if (few := len(trial.test.labels)) < FEW:
        notes.append(f"{number_of(few, 'test image')}: too few to trust any of it, whatever the intervals say")
    if not inner:
        notes.append("no class has two originals, so nothing could be chosen by measuring: half was taken")
    elif inner[choice.baseline] >= inner[choice.expanded]:
        notes.append("on the inner validation splits, too, training without generated images was at least as good")
    if trial.learner.name == "probe":
        notes.append(
            "the probe's encoder is trained already and has no need of more images; --learner cnn is the harder test"
        )
    if not asked:
        notes.append("no real-data equivalent: that takes 10 originals in the middle class and 50 test images")
    elif not has_curve:
        notes.append("no real-data equivalent: fewer originals did not raise the error, so the curve says nothing")
    return notes
