"""unchanged: rejects what is hardly more than a copy of its seed."""

import numpy as np

from gifcli.checks import Columns, SampleBatch, Table
from gifcli.checks.copies import CALIBRATED, CopyLimits, CopySettings
from gifcli.checks.fingerprints import perceptual_hash
from gifcli.checks.thresholds import likeness
from gifcli.compute.batches import SeedBatch, tensor_to_pixels
from gifcli.rules.rules import Rules

MAX_SIMILARITY = 0.96
ANY_DISTANCE = 64


class UnchangedCheck:
    """Rejects a sample that is its own seed again, both in features (cos above `max_similarity`) and to the eye (perceptual
    hashes within `max_hash_distance` of 64 bits): another piece of a texture has the same features and is no copy.

    While they are None they are what `quantile` of the seeds are apart from each other, see `likeness` and `bits_apart`; 0.96
    at least, between a seed saved once more and the mildest augmentation. With a `max_similarity` that was asked for, the
    features alone decide, unless `max_hash_distance` was asked for too.
    """

    def __init__(self, rules: Rules, asked: CopySettings = CALIBRATED) -> None:
        similarity = likeness(asked.max_similarity, rules, asked.quantile, MAX_SIMILARITY)
        any_bits = asked.max_similarity is not None and asked.max_hash_distance is None
        self.limits = CopyLimits(similarity, ANY_DISTANCE if any_bits else asked.bits(rules))

    def measure(self, samples: SampleBatch, seeds: SeedBatch) -> Columns:
        """Columns nn_seed: cosine similarity to the seed's features, in [-1, 1]; and nn_seed_bits: bits of the hashes apart."""
        hashes = [perceptual_hash(tensor_to_pixels(images)) for images in (samples.pixels, seeds.pixels)]
        return {
            "nn_seed": (samples.features * seeds.features).sum(1).cpu().numpy(),
            "nn_seed_bits": np.bitwise_count(hashes[0] ^ hashes[1]),
        }

    def thresholds(self, table: Table) -> dict[str, float]:
        """max_similarity and max_hash_distance."""
        return self.limits.told()

    def judge(self, table: Table) -> list[str | None]:
        """The reasons, such as "unchanged: similarity 0.991 > 0.960"."""
        s, limits = table.samples, self.limits
        return [
            f"unchanged: similarity {similarity:.3f} > {limits.max_similarity:.3f}"
            if similarity > limits.max_similarity and bits <= limits.max_hash_distance
            else None
            for similarity, bits in zip(s["nn_seed"], s["nn_seed_bits"], strict=True)
        ]
