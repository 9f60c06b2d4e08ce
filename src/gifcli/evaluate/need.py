"""Which seeds' samples would help most: class-wise loss on held-out seeds, and each sample's influence on it."""

from collections.abc import Sequence

import numpy as np

from gifcli.evaluate.arms import Arm, plain_share
from gifcli.evaluate.choice import INNER_SHARE
from gifcli.evaluate.pool import Pool, split
from gifcli.evaluate.probe import Probe, probabilities
from gifcli.evaluate.training import one_thread_each
from gifcli.records import Array

FLOOR = 0.25
"""Of an average seed's part, what the least useful seed of a class gets: influence is an estimate."""


def seed_needs(pool: Pool, classes: int, splits: int, learner: Probe) -> Array:
    """(m) the part of the next budget that each original should get; sums to 1.

    A class's part is its mean loss over held-out seeds (the probe has seen neither them nor their children); a class that
    cannot be held out counts as the worst. Within it a seed's part grows with the influence of its samples on that loss and
    with its own held-out loss: weak classes and uncertain regions first.
    """
    m = pool.originals
    with one_thread_each(2) as threads:
        found = list(threads.map(lambda rng: _one_split(pool, classes, rng, learner), range(splits)))
    losses, influence = (_mean([each[i] for each in found]) for i in (0, 1))
    labels = pool.labels[:m]
    parts = np.zeros(m)
    by_class = [_mean_or_none(losses[labels == label]) for label in range(classes)]
    worst = max((loss for loss in by_class if loss is not None), default=1.0)
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        loss = by_class[label]
        parts[own] = (worst if loss is None else loss) * _within(influence[own], losses[own])
    result: Array = parts / parts.sum()
    return result


def allot(budget: int, needs: Array, given: Sequence[int], most: int) -> list[int]:
    """`budget` samples over seeds by their needs in whole numbers, so that none has more than `most` with what is `given`."""
    counts = np.zeros(len(needs), np.int64)
    room = np.maximum(most - np.asarray(given), 0)
    left = min(budget, int(room.sum()))
    while left:
        open_ = counts < room
        ideal = left * np.where(open_, needs, 0) / needs[open_].sum()
        step = np.minimum(np.floor(ideal).astype(np.int64), room - counts)
        if not step.any():  # less than one each: the largest parts first
            step[np.argsort(-ideal, kind="stable")[: min(left, int(open_.sum()))]] = 1
        counts += step
        left -= int(step.sum())
    return [int(count) for count in counts]


def _one_split(pool: Pool, classes: int, rng: int, learner: Probe) -> tuple[Array, Array]:
    """(held-out loss of each original, influence of its samples); NaN where this split says nothing of it."""
    m = pool.originals
    loss, influence = np.full(m, np.nan), np.full(m, np.nan)
    train, aside = split(pool.labels[:m], INNER_SHARE, rng)
    if not len(aside):
        return loss, influence
    part = pool.of_parents(train)
    arm = Arm(plain_share(part.originals, part.generated), "none")
    weight, bias = learner.fit(part, arm, rng, classes)
    held = probabilities(pool.x[aside], weight, bias)
    loss[aside] = -np.log(held[np.arange(len(aside)), pool.labels[aside]].clip(1e-6))
    samples = slice(part.originals, None)
    own = probabilities(part.x[samples], weight, bias)
    effect = tracin(
        part.x[samples], _residual(own, part.labels[samples]), pool.x[aside], _residual(held, pool.labels[aside])
    )
    for row in range(part.originals):
        children = part.parents[samples] == row
        if children.any():
            influence[train[row]] = effect[children].mean()
    return loss, influence


def tracin(x: Array, residual: Array, held_x: Array, held_residual: Array) -> Array:
    """(n) how much a gradient step on each sample lowers the mean held-out loss: the product of the two gradients, which for
    logistic regression is (e . e')(x . x'), e = p - y (Pruthi et al., arXiv 2002.08484, equation 1, at the last step).
    """
    products: Array = ((residual @ held_residual.T) * (x @ held_x.T)).mean(1)
    return products


def _residual(p: Array, labels: Array) -> Array:
    e = p.copy()
    e[np.arange(len(labels)), labels] -= 1
    return e


def _within(influence: Array, losses: Array) -> Array:
    """Parts of the seeds of one class, summing to 1."""
    parts = np.full(len(losses), FLOOR)
    for values in (np.maximum(influence, 0), losses):
        known = np.nan_to_num(values, nan=_mean_or_none(values) or 0.0)
        parts += known / known.mean() if known.mean() > 0 else 1.0
    result: Array = parts / parts.sum()
    return result


def _mean(rows: list[Array]) -> Array:
    """Over splits, of those that say something; NaN where none does."""
    table = np.stack(rows)
    known = ~np.isnan(table)
    sums, counts = np.where(known, table, 0).sum(0), known.sum(0)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _mean_or_none(values: Array) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None
