"""unchanged: rejects what is hardly more than a copy of its seed."""

import numpy as np

from gifcli.batches import SeedBatch, tensor_to_pixels
from gifcli.checks import Columns, SampleBatch, Table
from gifcli.checks.fingerprints import perceptual_hash
from gifcli.rules import Rules

MAX_SIMILARITY = 0.96
MAX_HASH_DISTANCE = 8
ANY_DISTANCE = 64


class UnchangedCheck:
    """Rejects a sample that is its own seed again, both in features (cos above `max_similarity`) and to the eye (perceptual
    hashes within `max_hash_distance` of 64 bits): another piece of a texture has the same features and is no copy.

    No quantile of the seeds says what a copy is; 0.96 lies between a seed saved once more and the mildest augmentation. With
    a `max_similarity` that was asked for, the features alone decide, unless `max_hash_distance` was asked for too.
    """

    def __init__(self, rules: Rules, max_similarity: float | None = None, max_hash_distance: int | None = None) -> None:
        self.max_similarity = MAX_SIMILARITY if max_similarity is None else max_similarity
        usual = MAX_HASH_DISTANCE if max_similarity is None else ANY_DISTANCE
        self.max_hash_distance = usual if max_hash_distance is None else max_hash_distance

    def measure(self, samples: SampleBatch, seeds: SeedBatch) -> Columns:
        """Columns nn_seed: cosine similarity to the seed's features, in [-1, 1]; and nn_seed_bits: bits of the hashes apart."""
        hashes = [perceptual_hash(tensor_to_pixels(images)) for images in (samples.pixels, seeds.pixels)]
        return {
            "nn_seed": (samples.features * seeds.features).sum(1).cpu().numpy(),
            "nn_seed_bits": np.bitwise_count(hashes[0] ^ hashes[1]),
        }

    def judge(self, table: Table) -> list[str | None]:
        """The reasons, such as "unchanged: similarity 0.991 > 0.960"."""
        s = table.samples
        return [
            f"unchanged: similarity {similarity:.3f} > {self.max_similarity:.3f}"
            if similarity > self.max_similarity and bits <= self.max_hash_distance
            else None
            for similarity, bits in zip(s["nn_seed"], s["nn_seed_bits"], strict=True)
        ]
