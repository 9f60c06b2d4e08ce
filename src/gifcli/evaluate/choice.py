"""Choosing share and augmentation on inner validation splits of the originals: the test set plays no part."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gifcli.evaluate.arms import AUGMENTATIONS, ORIGINALS, Arm, shares_to_try
from gifcli.evaluate.pool import Pool, split
from gifcli.evaluate.training import Job, Learner, train_all

INNER_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Choice:
    """The best arm without generated images, the best with them, and the inner accuracy in percent of all tried arms."""

    baseline: Arm
    expanded: Arm
    inner: dict[Arm, float]


def choose(
    learner: Learner, pool: Pool, classes: int, rngs: int, device: str, advance: Callable[[int], None] | None = None
) -> Choice:
    """First the augmentation of the originals alone; then the share under it; then, at that share, the augmentation.

    Every rng has its own split: a quarter of each class validates, its children are left out. Of equals the first is
    taken: less augmentation, a smaller share. Where no class has two originals, nothing can be measured: the baseline is
    weak augmentation, and the share is half.
    """
    parts = [split(pool.labels[: pool.originals], INNER_SHARE, rng) for rng in range(rngs)]
    inner: dict[Arm, float] = {}
    if not len(parts[0][1]):
        return Choice(Arm(0.0, "weak"), Arm(0.5, "weak"), inner)
    pools = [pool.of_parents(train) for train, _ in parts]

    def best(arms: Sequence[Arm]) -> Arm:
        new = [arm for arm in arms if arm not in inner]
        jobs = [Job(pools[r], arm, r, {"inner": pool.x[parts[r][1]]}) for arm in new for r in range(rngs)]
        found = train_all(learner, jobs, classes, device, advance)
        for i, arm in enumerate(new):
            right = [found[i * rngs + r]["inner"].argmax(1) == pool.labels[parts[r][1]] for r in range(rngs)]
            inner[arm] = 100 * float(np.concatenate(right).mean())
        return max(arms, key=lambda arm: inner[arm])

    baseline = best(ORIGINALS)
    by_share = best([Arm(share, baseline.augmentation) for share in shares_to_try(pool.originals, pool.generated)])
    expanded = best([Arm(by_share.share, augmentation) for augmentation in AUGMENTATIONS])
    if inner[by_share] == inner[expanded]:
        expanded = by_share
    return Choice(baseline, expanded, inner)
