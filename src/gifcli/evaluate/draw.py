"""Which examples each optimiser step sees: originals and generated ones at a fixed share, in shuffled epochs of each."""

from collections.abc import Iterator
from itertools import islice

import numpy as np

from gifcli.evaluate.pool import Pool
from gifcli.records import Array


def draw(pool: Pool, share: float, batch: int, steps: int, rng: int) -> Iterator[Array]:
    """(batch) rows a step, the generated ones first. On average `share` of them are generated, and every step has its share of that, rounded.

    The originals of an rng come in one order in every arm, so that arms differ by what they compare and not by luck.
    """
    originals = _endless(np.arange(pool.originals), pool.weights, np.random.default_rng([rng, 1]))
    generated = _endless(np.arange(pool.originals, len(pool)), pool.weights, np.random.default_rng([rng, 2]))
    if not pool.generated:
        share = 0.0
    drawn = 0
    for step in range(1, steps + 1):
        count = round(share * batch * step) - drawn
        drawn += count
        yield np.array([*islice(generated, count), *islice(originals, batch - count)])


def _endless(rows: Array, weights: Array, random: np.random.Generator) -> Iterator[int]:
    """Rows without end: every epoch holds each of them as often as its weight says, shuffled."""
    own = weights[rows] / weights[rows].mean() if len(rows) else weights[rows]
    while True:
        times = (
            np.floor(own + random.random(len(own))).astype(int) if not np.allclose(own, 1) else np.ones(len(own), int)
        )
        epoch = np.repeat(rows, times)
        yield from random.permutation(epoch).tolist()
