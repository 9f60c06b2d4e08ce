"""drift: rejects what lies outside the range of its class's features."""

from gifcli.batches import SeedBatch
from gifcli.checks import Columns, SampleBatch, Table
from gifcli.checks.thresholds import threshold
from gifcli.rules import Rules, drift


class DriftCheck:
    """Rejects a sample farther from its class than `max_distance`; that is the `quantile` of the seeds while None.

    The distance is `rules.drift`: 1 - cos to the nearest prototype of the class, for the seeds measured leave-one-out.
    """

    def __init__(self, rules: Rules, quantile: float = 0.99, max_distance: float | None = None) -> None:
        self.rules = rules
        self.max_distance = threshold(max_distance, rules, "drift", quantile)

    def measure(self, samples: SampleBatch, seeds: SeedBatch) -> Columns:
        """Column drift, in [0, 2]."""
        return {"drift": drift(self.rules, samples.features.cpu().numpy(), seeds.labels.cpu().numpy())}

    def judge(self, table: Table) -> list[str | None]:
        """The reasons, such as "drift: distance 0.612 > 0.450"."""
        limit = self.max_distance
        return [
            f"drift: distance {distance:.3f} > {limit:.3f}" if limit is not None and distance > limit else None
            for distance in table.samples["drift"]
        ]
