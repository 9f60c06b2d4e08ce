"""Checks: what a generated image must pass. Measured shard by shard, judged over the whole in plan order."""

from dataclasses import dataclass, field
from typing import Any, Protocol

from numpy.typing import NDArray
from torch import Tensor

from gifcli.compute.batches import SeedBatch
from gifcli.rules.rules import Rules

NAMES = ("broken", "safety", "label", "drift", "band", "unchanged", "memorised", "leak", "duplicate", "outlier")
"""All checks, in the order in which they speak where several reject."""

Columns = dict[str, NDArray[Any]]
"""Column name -> one row (n ...) a sample."""


@dataclass(frozen=True, slots=True)
class SampleBatch:
    """b generated images of one size, with features as the encoder sees them at its own input size.

    pixels    (b 3 h w) float32 in [-1, 1], decoded from the file that will be exported
    features  (b d) float32, unit norm
    """

    keys: list[str]
    pixels: Tensor
    features: Tensor


@dataclass(frozen=True, slots=True)
class Table:
    """All samples of a run, in plan order, and what is known of all its seeds.

    samples  one row a sample: "seed" (the seed's key), "k", "attempt", "label" (index), and all measured columns
    seeds    one row a seed: "key", "label", and the seeds' own columns (`duplicate` and `safety` use them)
    others   one row an image that is not to be learned from (validation, test, held out): "key", "sketch", "phash"
    """

    samples: Columns
    seeds: Columns
    others: Columns = field(default_factory=dict)


class Check(Protocol):
    """One reason to reject."""

    def measure(self, samples: SampleBatch, seeds: SeedBatch) -> Columns:
        """Row i of `seeds` is the parent of row i of `samples`; -> the columns that `judge` needs."""
        ...

    def thresholds(self, table: Table) -> dict[str, float]:
        """Name of a setting -> the value in force, asked for or calibrated."""
        ...

    def judge(self, table: Table) -> list[str | None]:
        """One entry a sample: the reason to reject it (one short phrase with the numbers), or None."""
        ...


def make_check(name: str, settings: dict[str, Any], rules: Rules) -> Check:  # noqa: C901, PLR0911 - one case a check
    """Makes a check; thresholds that `settings` leave at None are quantiles of the seeds, from the rules.

    Raises:
        UsageError: no check has that name.
    """
    match name:
        case "label":
            from gifcli.checks.label import LabelCheck

            return LabelCheck(rules, **settings)
        case "drift":
            from gifcli.checks.drift import DriftCheck

            return DriftCheck(rules, **settings)
        case "unchanged":
            from gifcli.checks.copies import CopySettings
            from gifcli.checks.unchanged import UnchangedCheck

            return UnchangedCheck(rules, CopySettings(**settings))
        case "duplicate":
            from gifcli.checks.copies import CopySettings
            from gifcli.checks.duplicate import DuplicateCheck

            return DuplicateCheck(rules, CopySettings(**settings))
        case "broken":
            from gifcli.checks.broken import BrokenCheck

            return BrokenCheck(rules, **settings)
        case "leak":
            from gifcli.checks.copies import CopySettings
            from gifcli.checks.leak import LeakCheck

            return LeakCheck(rules, CopySettings(**settings))
        case "safety":
            from gifcli.checks.safety import SafetyCheck

            return SafetyCheck(rules, **settings)
        case "memorised":
            from gifcli.checks.memorised import MemorisedCheck

            return MemorisedCheck(rules, **settings)
        case "outlier":
            from gifcli.checks.outlier import OutlierCheck

            return OutlierCheck(rules, **settings)
        case "band":
            from gifcli.checks.band import BandCheck

            return BandCheck(rules, **settings)
        case _:
            from gifcli.errors import UsageError

            raise UsageError(f"checks: expected one of {', '.join(NAMES)}; found {name!r}")
