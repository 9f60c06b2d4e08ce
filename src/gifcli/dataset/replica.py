"""`gif generate RUN --like KEY`: one sample made again, from its manifest row, the run folder and the source image.

On a CPU, at the same batch size and dtype, the file is the same bit for bit: the sample is made in the batch that it was
made in. Seeds and noises come from the run's shards; where those are gone, from the source images and the manifest.
"""

import io
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gifcli.dataset.restock import Row, class_names, source_folder, stocked
from gifcli.engines import Job
from gifcli.engines.inline import InlineEngine
from gifcli.errors import CheckError, InputError, UsageError
from gifcli.models import prior_card
from gifcli.models.hub import go_offline
from gifcli.recipe import settings
from gifcli.recipe.recipe import Recipe, read_recipe
from gifcli.records import Sample, Seed
from gifcli.state import packing
from gifcli.state.files import MANIFEST, RECIPE, RULES, SETTINGS
from gifcli.state.shards import ShardId, ShardStore, write_atomic

LEAST_PSNR = 30.0
"""dB: below, it is another image and not the same one in other arithmetic."""

Slot = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Replica:
    """A sample that was made again.

    identical   whether the file is the same bit for bit
    difference  largest difference of a pixel, in levels of 255;  psnr  in dB, infinite where there is none
    """

    key: str
    file: str
    identical: bool
    difference: int
    psnr: float

    def to_data(self) -> dict[str, object]:
        """For `--json`."""
        return {**asdict(self), "psnr": None if math.isinf(self.psnr) else round(self.psnr, 2)}

    def to_lines(self) -> list[str]:
        """For people."""
        if self.identical:
            return [f"{self.file}: {self.key} made again, the same bit for bit"]
        return [
            f"{self.file}: {self.key} made again; pixels differ by {self.difference} of 255 at most, {self.psnr:.1f} dB"
        ]


def replicate(root: Path, key: str, target: Path | None, overrides: Mapping[str, Any]) -> Replica:
    """Makes a sample again and writes it to `target`, by default its key in the working folder; the run stays as it is.

    It is known by its key, or by its file in the dataset.

    Raises:
        UsageError: no such sample, or its settings are not those of the run now.
        InputError: what it was made from is gone.
    """
    rows = _rows(root)
    row = rows.get(key) or next((row for row in rows.values() if row["file"] == key), None)
    if row is None:
        raise UsageError(
            f"{key}: expected a sample in {root / MANIFEST}, by what stands in its column key or file; found none"
        )
    key = row["key"]
    recipe = _recipe(root, overrides)
    go_offline(recipe.run.offline)
    _check_fingerprint(root, recipe, row)
    store = ShardStore(root)
    shard = _shard(store, row)
    with stocked(store, shard, recipe, rows) as stock:
        sample = _again(stock, shard, row, recipe, source_folder(root))
    path = target or Path(f"{key}{sample.suffix}")
    write_atomic(path, sample.image)
    return _compared(key, path, sample, _first(store, shard, row, root))


def assert_like(made: Replica) -> None:
    """Says whether the sample is the one it was made after.

    Raises:
        CheckError: it is another image.
    """
    if made.psnr < LEAST_PSNR:
        raise CheckError(
            f"{made.file}: {made.psnr:.1f} dB from the first {made.key}, expected {LEAST_PSNR:.0f} or more; "
            "another device, dtype or version of a library makes another image"
        )


def _rows(root: Path) -> dict[str, Row]:
    """The manifest's rows of samples, by key."""
    import pyarrow.parquet as pq

    path = root / MANIFEST
    if not path.is_file():
        raise UsageError(f"{root}: expected its manifest, found none; first: gif export {root}")
    columns = ["key", "is_synthetic", "parent_key", "k", "attempt", "z", "b", "fingerprint", "prompt", "file"]
    return {row["key"]: row for row in pq.read_table(path, columns=columns).to_pylist() if row["is_synthetic"]}


def _recipe(root: Path, overrides: Mapping[str, Any]) -> Recipe:
    """The run's own recipe, with the dtype it was run with; only where it runs may be another."""
    if wrong := [path for path in overrides if not path.startswith("run.")]:
        raise UsageError(f"--like: expected no settings but where to run, found {', '.join(wrong)}; leave them away")
    stored = (ShardStore(root).load(SETTINGS) or {}).get("run", {})
    return read_recipe(root / RECIPE, {**stored, **overrides})


def _check_fingerprint(root: Path, recipe: Recipe, row: Row) -> None:
    rules = ShardStore(root).load(RULES)
    now = settings.fingerprints(settings.stage_settings(recipe), rules["digest"] if rules else "")["generate"]
    if row["fingerprint"] != now:
        raise UsageError(
            f"{root}: {row['key']} was made with other settings, models or rules than the run has now; "
            "bring the manifest up to date: gif export"
        )


def _shard(store: ShardStore, row: Row) -> ShardId:
    """The shard in which the sample was made."""
    slot = [row["parent_key"], row["k"]]
    for shard, mark in store.done("generate").items():
        if shard.attempt == row["attempt"] and slot in mark["slots"]:
            return shard
    raise InputError(f"{store.root}: no done mark says in which shard {row['key']} was made; its state is incomplete")


def _again(store: ShardStore, shard: ShardId, row: Row, recipe: Recipe, source: Path) -> Sample:
    """The sample, made in the batch that it was made in."""
    from gifcli.compute.devices import choose_device
    from gifcli.tasks.reading import read_seeds
    from gifcli.tasks.task import StageTask

    device = choose_device(recipe.run.device, recipe.run.dtype).name
    size = recipe.run.batch_size
    size = (prior_card(recipe.prior.name).batch_size if device == "cpu" else 1) if size == "auto" else int(size)
    slots = [(seed, k) for seed, k in store.done("generate")[shard]["slots"]]
    wanted = row["parent_key"], row["k"]
    if recipe.guidance.where == "before":
        slots = _batch(slots, read_seeds(store, shard.n), wanted, size)
    task = StageTask("generate", store.root.resolve(), source.resolve(), recipe, class_names(store, source), size)
    (result,) = InlineEngine(device).run(task, [Job(shard, tuple(slots))])
    samples = {(sample.seed, sample.k): sample for sample in packing.unpack_samples(sorted(result.members))}
    if samples[wanted].info.get("prompt") != row["prompt"]:
        raise UsageError(
            f"{row['key']} was made as {row['prompt']!r}; its class has another name now, so it would be another image"
        )
    return samples[wanted]


def _batch(slots: list[Slot], seeds: Mapping[str, Seed], wanted: Slot, size: int) -> list[Slot]:
    """The slots of the batch with `wanted`; and of those before it, where siblings share a condition over its edge."""
    shape = seeds[wanted[0]].pixels.shape
    alike = [slot for slot in slots if seeds[slot[0]].pixels.shape == shape]
    start = alike.index(wanted) // size * size
    end = start + size
    while start > 0 and alike[start - 1][0] == alike[start][0]:
        start -= size
    return alike[start:end]


def _first(store: ShardStore, shard: ShardId, row: Row, root: Path) -> bytes:
    """The file that was made first: from its shard, else from the dataset."""
    if store.tar("generate", shard).is_file():
        for sample in packing.unpack_samples(store.read("generate", shard)):
            if (sample.seed, sample.k) == (row["parent_key"], row["k"]):
                return sample.image
    path = root / (row["file"] or "")
    if not path.is_file():
        raise InputError(
            f"{row['key']}: its image is neither in its shard nor in {path}, so there is nothing to compare with"
        )
    return path.read_bytes()


def _compared(key: str, path: Path, sample: Sample, first: bytes) -> Replica:
    one, other = (np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.float64) for data in (sample.image, first))
    if one.shape != other.shape:
        return Replica(key, str(path), identical=False, difference=255, psnr=0.0)
    error = float(np.square(one - other).mean())
    psnr = 10 * math.log10(255**2 / error) if error else math.inf
    return Replica(key, str(path), sample.image == first, int(np.abs(one - other).max()), psnr)
