"""What an evaluation may be asked for, checked at the door. No torch."""

import re
from dataclasses import dataclass
from pathlib import Path

from gifcli.errors import CheckError, UsageError
from gifcli.evaluate.record import Evaluation

RNGS = {"probe": 5, "cnn": 3, "timm": 3}
MAX_RNGS = 100


@dataclass(frozen=True, slots=True)
class EvaluationSettings:
    """learner: probe, cnn or timm:NAME; test: a folder, else what the run set aside; rngs, steps: None = the learner's own."""

    learner: str = "probe"
    test: Path | None = None
    corruptions: bool = False
    rngs: int | None = None
    steps: int | None = None

    def checked(self) -> "EvaluationSettings":
        """Itself.

        Raises:
            UsageError: no such learner, or a number out of range.
        """
        if self.learner not in {"probe", "cnn"} and not re.fullmatch(r"timm:.+", self.learner):
            raise UsageError(f"--learner: expected probe, cnn or timm:NAME; found {self.learner!r}")
        if self.rngs is not None and not 2 <= self.rngs <= MAX_RNGS:
            raise UsageError(f"--rngs: expected 2 to {MAX_RNGS}, so that there is an interval; found {self.rngs}")
        if self.steps is not None and self.steps < 1:
            raise UsageError(f"--train-steps: expected 1 or more; found {self.steps}")
        return self

    @property
    def random_numbers(self) -> int:
        """How many random numbers every arm is trained with."""
        return self.rngs or RNGS[self.learner.partition(":")[0]]


def parse_threshold(text: str) -> float:
    """'gain=1.0' -> 1.0, in percentage points.

    Raises:
        UsageError: anything else.
    """
    found = re.fullmatch(r"gain\s*=\s*([+-]?\d+(?:\.\d+)?)", text.strip())
    if not found:
        raise UsageError(f"--fail-under: expected gain=POINTS, such as gain=1.0; found {text!r}")
    return float(found[1])


def require_gain(evaluation: Evaluation, points: float) -> None:
    """The gate for CI and cron.

    Raises:
        CheckError: the chosen expanded arm does not beat the best arm without generated images by so many points with 90%
            confidence, that is with its whole interval.
    """
    arm = evaluation.chosen
    if arm["gain_low"] < points:
        raise CheckError(
            f"--fail-under gain={points:g}: expected the 90% interval of the gain to lie at {points:+g} points or above, found "
            f"{arm['gain']:+.1f} [{arm['gain_low']:+.1f}, {arm['gain_high']:+.1f}] for {arm['name']} against "
            f"{evaluation.data['baseline']}; {evaluation.run}/advice.yaml says how to train"
        )
