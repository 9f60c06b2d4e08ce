"""filter: samples -> verdicts. Measured shard by shard, from the files that will be exported; judged over the whole."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from gifcli.checks import NAMES, Check, SampleBatch, Table
from gifcli.checks.fingerprints import sketch
from gifcli.compute.batches import pixels_to_tensor, seed_batch
from gifcli.compute.batching import BatchLimit, batched
from gifcli.compute.devices import helper_threads
from gifcli.images.decoding import Decoder
from gifcli.records import Array, Sample, Seed
from gifcli.stages import Tools

BATCH_PIXELS = 8_000_000
"""Pixels held at once, as floats: about 100 MB, and as many of the seeds."""


def measure(
    samples: Sequence[Sample], seeds: Mapping[str, Seed], tools: Tools, checks: Mapping[str, Check]
) -> Iterator[dict[str, Any]]:
    """One row a sample, in the order of `samples`: seed, k, attempt, label (index, -1 = none), feature (d) float16, and
    what the checks measure.

    `seeds` holds the parents by key.
    """
    sizes: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for place, sample in enumerate(samples):
        sizes[sample.width, sample.height].append(place)
    rows: dict[int, dict[str, Any]] = {}
    limit = tools.limit or BatchLimit(tools.batch_size)
    with ThreadPoolExecutor(helper_threads(tools.device)) as pool:
        decoder = Decoder(samples, pool)
        for (width, height), places in sizes.items():

            def work(batch: list[int], _: int, places: list[int] = places) -> list[dict[str, Any]]:
                return _measure([samples[i] for i in batch], decoder.pixels(batch, places), seeds, tools, checks)

            for batch, measured in batched(places, limit, work, most=max(1, BATCH_PIXELS // (width * height))):
                rows |= dict(zip(batch, measured, strict=True))
    yield from (rows[place] for place in range(len(samples)))


def seed_rows(seeds: Sequence[Seed], classes: Sequence[str]) -> Iterator[dict[str, Any]]:
    """One row a seed for `Table.seeds`: key, label (index into `classes`, -1 = none), sketch and phash. Needs no pixels."""
    order = {label: i for i, label in enumerate(classes)}
    for seed in seeds:
        yield {
            "key": seed.key,
            "label": order.get(seed.label, -1),
            "sketch": sketch(torch.from_numpy(seed.feature[None]))[0],
            "phash": np.uint64(seed.phash),
        }


def judge(table: Table, checks: Mapping[str, Check]) -> list[str | None]:
    """The reason to reject each sample, or None, in table order: the first check's in NAMES that has one.

    Each check sees in the column `rejected` what those before it turned down.
    """
    reasons: list[str | None] = [None] * len(table.samples["seed"])
    for name in sorted(checks, key=NAMES.index):
        rejected = np.array([reason is not None for reason in reasons], bool)
        found = checks[name].judge(replace(table, samples={**table.samples, "rejected": rejected}))
        reasons = [first or second for first, second in zip(reasons, found, strict=True)]
    return reasons


@torch.inference_mode()
def _measure(
    samples: Sequence[Sample], images: Array, seeds: Mapping[str, Seed], tools: Tools, checks: Mapping[str, Check]
) -> list[dict[str, Any]]:
    """Rows of samples of one size; `images` (b h w 3) uint8 are what their files hold."""
    distinct = list(dict.fromkeys(sample.seed for sample in samples))
    parents = seed_batch([seeds[key] for key in distinct], dict(tools.classes), tools.device)
    parents = parents.take([distinct.index(sample.seed) for sample in samples])
    pixels = pixels_to_tensor(images, tools.device)
    batch = SampleBatch([sample.key for sample in samples], pixels, tools.encoder.images(pixels))
    columns: dict[str, Array] = {
        "label": parents.labels.cpu().numpy(),
        "feature": batch.features.float().cpu().numpy().astype(np.float16),
    }
    for check in checks.values():
        columns |= check.measure(batch, parents)
    return [
        {"seed": sample.seed, "k": sample.k, "attempt": sample.attempt}
        | {name: column[row] for name, column in columns.items()}
        for row, sample in enumerate(samples)
    ]
