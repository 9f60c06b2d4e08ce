"""drift: rejects what lies outside the range of its class's features."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gifcli.checks import Columns, SampleBatch, Table
from gifcli.checks.thresholds import threshold
from gifcli.compute.batches import SeedBatch
from gifcli.rules.rules import Rules, drift

WAY = 0.75
"""The share of the way to the nearest other class that a class may spread over."""
FARTHER = 1.1
"""How far a sample may lie from its class, in distances of its own seed."""
LONE = 0.5
"""How far the only class may spread: beyond what augmentations do (0.1 to 0.5 with the embedded encoder)."""


class DriftCheck:
    """Rejects a sample farther from its class than `max_distance`.

    The distance is `rules.drift`: 1 - cos to the nearest prototype of the class, for the seeds measured leave-one-out.
    While `max_distance` is None it is their `quantile`, or where the seeds of a class are all alike, as textures are,
    three quarters of the distance to the nearest other class, if that is more; and a sample may always lie a tenth
    farther than its own seed does, so that unusual seeds have children too.
    """

    def __init__(self, rules: Rules, quantile: float = 0.99, max_distance: float | None = None) -> None:
        self.rules = rules
        self.strict = max_distance is not None
        seen = threshold(max_distance, rules, "drift", quantile)
        if max_distance is None and seen is not None:
            self.limits = np.maximum(seen, _room(rules))
        else:
            self.limits = np.full(len(rules.classes), np.inf if seen is None else seen)

    def measure(self, samples: SampleBatch, seeds: SeedBatch) -> Columns:
        """Columns drift and drift_seed, the parent's, in [0, 2]."""
        labels = seeds.labels.cpu().numpy()
        return {
            "drift": drift(self.rules, samples.features.cpu().numpy(), labels),
            "drift_seed": drift(self.rules, seeds.features.cpu().numpy(), labels),
        }

    def thresholds(self, table: Table) -> dict[str, float]:
        """max_distance, of the class that has the most room."""
        return {"max_distance": float(self.limits.max(initial=0))}

    def judge(self, table: Table) -> list[str | None]:
        """The reasons, such as "drift: distance 0.612 > 0.450"."""
        s = table.samples
        parents = np.zeros_like(s["drift"]) if self.strict else FARTHER * s["drift_seed"]
        limits = np.maximum(self.limits[s["label"]], parents)
        return [
            f"drift: distance {distance:.3f} > {limit:.3f}" if label >= 0 and distance > limit else None
            for distance, limit, label in zip(s["drift"], limits, s["label"], strict=True)
        ]


def _room(rules: Rules) -> NDArray[Any]:
    """How far each class (C) may spread before it comes near another one."""
    distance = 1 - rules.prototypes @ rules.prototypes.T
    room = np.full(len(rules.classes), LONE)
    for label in range(len(room)):
        own = rules.owners == label
        if own.any() and not own.all():
            room[label] = WAY * distance[own][:, ~own].min()
    return room
