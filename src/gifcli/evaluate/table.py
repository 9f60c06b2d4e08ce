"""What an evaluation found: from predictions to figures, all of them in percent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gifcli.evaluate.arms import Arm
from gifcli.evaluate.calibration import expected_calibration_error
from gifcli.evaluate.corruptions import CORRUPTIONS
from gifcli.evaluate.intervals import Estimate, balanced_weights, correct, estimate, verdict
from gifcli.evaluate.training import Predictions
from gifcli.records import Array

CLEAN = "clean"
"""The name of the test set as it is, among those that are predicted."""


@dataclass(frozen=True, slots=True)
class Measured:
    """An arm on the test set, in percent; `gain` is against the baseline, image by image, and None for the baseline."""

    arm: Arm
    accuracy: Estimate
    balanced_accuracy: float
    ece: float
    gain: Estimate | None
    corrupted: dict[str, float]

    def to_data(self, inner: Mapping[Arm, float]) -> dict[str, Any]:
        """As evaluation.json holds it."""
        gain = self.gain
        return {
            "name": self.arm.name,
            "share": round(100 * self.arm.share, 1),
            "augmentation": self.arm.augmentation,
            "accuracy": round(self.accuracy.mean, 2),
            "low": round(self.accuracy.low, 2),
            "high": round(self.accuracy.high, 2),
            "balanced_accuracy": round(self.balanced_accuracy, 2),
            "ece": round(self.ece, 2),
            "gain": round(gain.mean, 2) if gain else None,
            "gain_low": round(gain.low, 2) if gain else None,
            "gain_high": round(gain.high, 2) if gain else None,
            "verdict": verdict(gain) if gain else None,
            "inner": round(inner[self.arm], 2) if self.arm in inner else None,
            "corrupted": {name: round(value, 2) for name, value in self.corrupted.items()} or None,
        }


def measure(arm: Arm, found: Sequence[Predictions], labels: Array, baseline: Sequence[Predictions] | None) -> Measured:
    """An arm from its predictions, one a random number; `baseline` those of the baseline, None if it is this arm."""
    clean = [each[CLEAN] for each in found]
    right = correct(clean, labels)
    gain = None if baseline is None else estimate(right - correct([each[CLEAN] for each in baseline], labels))
    corrupted = {
        name: float(correct([each[name] for each in found], labels).mean()) for name in CORRUPTIONS if name in found[0]
    }
    if corrupted:
        corrupted = {"mean": float(np.mean(list(corrupted.values()))), **corrupted}
    return Measured(
        arm,
        estimate(right),
        float((right.mean(0) * balanced_weights(labels)).mean()),
        float(np.mean([expected_calibration_error(p, labels) for p in clean])),
        gain,
        corrupted,
    )


def class_changes(
    names: Sequence[str], labels: Array, baseline: Sequence[Predictions], chosen: Sequence[Predictions]
) -> list[dict[str, Any]]:
    """Recall of each class of the test set under both arms, worst change first."""
    before, after = (correct([each[CLEAN] for each in found], labels).mean(0) for found in (baseline, chosen))
    rows = []
    for label in np.unique(labels):
        own = labels == label
        old, new = float(before[own].mean()), float(after[own].mean())
        row = {"label": names[label], "images": int(own.sum()), "baseline": round(old, 2), "chosen": round(new, 2)}
        rows.append({**row, "change": round(new - old, 2)})
    return sorted(rows, key=lambda row: (row["change"], row["label"]))
