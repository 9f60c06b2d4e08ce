"""When two images are copies of each other: what is asked for, and the limits that follow from it and the seeds."""

from dataclasses import dataclass
from typing import NamedTuple

from gifcli.checks.thresholds import bits_apart
from gifcli.rules.rules import Rules

MAX_HASH_DISTANCE = 8


@dataclass(frozen=True, slots=True)
class CopySettings:
    """What a recipe says of a check for copies; what is None is calibrated on the seeds, at `quantile`."""

    quantile: float = 0.95
    max_similarity: float | None = None
    max_hash_distance: int | None = None

    def bits(self, rules: Rules) -> int:
        """The number of bits, of 64, within which two perceptual hashes are of the same picture: see `bits_apart`."""
        return bits_apart(self.max_hash_distance, rules, self.quantile, MAX_HASH_DISTANCE)


CALIBRATED = CopySettings()
"""Nothing is asked for."""


class CopyLimits(NamedTuple):
    """Images are copies whose features have a cosine above the first, and whose hashes differ in the second bits at most."""

    max_similarity: float
    max_hash_distance: int

    def told(self) -> dict[str, float]:
        """By the names of the settings."""
        return {"max_similarity": self.max_similarity, "max_hash_distance": self.max_hash_distance}
