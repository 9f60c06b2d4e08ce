"""unchanged: rejects what is hardly more than a copy of its seed."""

from gifcli.batches import SeedBatch
from gifcli.checks import Columns, SampleBatch, Table
from gifcli.rules import Rules

MAX_SIMILARITY = 0.96


class UnchangedCheck:
    """Rejects a sample whose features are nearly those of its own seed: cos above `max_similarity`.

    No quantile of the seeds says what a copy is; with the embedded encoder a seed saved once more is above 0.96
    (0.97 to 0.99), one cropped by 4% below it (0.91 to 0.96).
    """

    def __init__(self, rules: Rules, max_similarity: float | None = None) -> None:
        self.max_similarity = MAX_SIMILARITY if max_similarity is None else max_similarity

    def measure(self, samples: SampleBatch, seeds: SeedBatch) -> Columns:
        """Column nn_seed: cosine similarity to the seed's features, in [-1, 1]."""
        return {"nn_seed": (samples.features * seeds.features).sum(1).cpu().numpy()}

    def judge(self, table: Table) -> list[str | None]:
        """The reasons, such as "unchanged: similarity 0.991 > 0.960"."""
        return [
            f"unchanged: similarity {similarity:.3f} > {self.max_similarity:.3f}"
            if similarity > self.max_similarity
            else None
            for similarity in table.samples["nn_seed"]
        ]
