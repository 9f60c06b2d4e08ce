"""leak: rejects what is near an image that a model will be tested on."""

import numpy as np

from gifcli.checks import Columns, SampleBatch, Table
from gifcli.checks.copies import CALIBRATED, CopyLimits, CopySettings
from gifcli.checks.fingerprints import mirrored_hash, sketch_error
from gifcli.checks.neighbours import near_pairs
from gifcli.checks.thresholds import threshold
from gifcli.compute.batches import SeedBatch
from gifcli.rules.rules import Rules

MAX_SIMILARITY = 0.85
"""What stands in where it is not known how alike copies are."""


class LeakCheck:
    """Rejects what is near a validation, test or held-out image, as it is or mirrored, in features and to the eye.

    Near: features above `max_similarity` and perceptual hashes within `max_hash_distance` of 64 bits. While the first is None
    it is what 1 - `quantile` of the seeds fall below when they are saved once more (0.76 to 0.9 for small JPEGs and the
    embedded encoder), less two standard errors of sketches, so that a copy that was saved again is found; for the second see
    `bits_apart`. Samples have the columns
    sketch and phash, as `DuplicateCheck` measures them, and `Table.others` has them and key, the image's path.
    """

    def __init__(self, rules: Rules, asked: CopySettings = CALIBRATED) -> None:
        copies = threshold(asked.max_similarity, rules, "resaved", 1 - asked.quantile)
        similarity = MAX_SIMILARITY if copies is None else copies
        if asked.max_similarity is None:
            similarity -= 2 * sketch_error(similarity)
        self.limits = CopyLimits(similarity, asked.bits(rules))

    def measure(self, samples: SampleBatch, seeds: SeedBatch) -> Columns:
        """Nothing that `DuplicateCheck` doesn't measure."""
        return {}

    def thresholds(self, table: Table) -> dict[str, float]:
        """max_similarity and max_hash_distance."""
        return self.limits.told()

    def judge(self, table: Table) -> list[str | None]:
        """The reasons, such as "leak: of test/cat/3.jpg"."""
        reasons: list[str | None] = [None] * len(table.samples["seed"])
        for row, name in self.near(table.samples, table.others).items():
            reasons[row] = f"leak: of {name}"
        return reasons

    def near(self, images: Columns, others: Columns) -> dict[int, str]:
        """Row of `images` -> the first of the others that it is near to; `images` may be seeds as well."""
        if not others or not len(others["key"]):
            return {}
        rows, columns = np.arange(len(images["phash"])), np.arange(len(others["key"]))
        found: dict[int, int] = {}
        for hashes in (others["phash"], mirrored_hash(others["phash"])):
            for i, j in near_pairs(images, rows, {**others, "phash": hashes}, columns, self.limits):
                for row, other in zip(i.tolist(), j.tolist(), strict=True):
                    found[row] = min(other, found.get(row, other))
        return {row: str(others["key"][other]) for row, other in sorted(found.items())}
