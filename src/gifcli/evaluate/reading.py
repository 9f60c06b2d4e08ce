"""What a run holds, as arrays to train on: its originals, and the generated images that are kept."""

import io
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from gifcli.evaluate.pool import Pool, pool_of
from gifcli.images.reading import fit
from gifcli.judge.judging import features, judged_shards
from gifcli.records import Array, Seed
from gifcli.state import packing
from gifcli.state.files import MANIFEST
from gifcli.state.owed import read_progress
from gifcli.state.run import Run
from gifcli.state.shards import ShardId

Encode = Callable[[list[Array]], Array]
"""Images (h w 3) uint8, of any sizes -> features (n d) float32."""


def read_seeds(run: Run, *suffixes: str) -> list[Seed]:
    """The originals of a run in its order, with the named arrays (".feature.npy", ".pixels.png") alone."""
    wanted = {source.key for source in run.seeds()}
    found = [
        seed
        for shard in run.store.done("extract")
        for seed in packing.unpack_seeds(run.store.read("extract", shard, (".json", *suffixes)))
    ]
    return [seed for seed in found if seed.key in wanted]


def feature_pool(run: Run, seeds: list[Seed], encode: Encode, targets: Mapping[str, int] | None = None) -> Pool:
    """Features that the run has already; `encode` is only asked for samples of runs that did not keep them."""
    rows = {seed.key: i for i, seed in enumerate(seeds)}
    parents: list[int] = []
    parts: list[Array] = []
    names: list[str] = []
    for shard, places, slots in _kept(run, targets):
        stored = features(run.store, shard)
        parts.append(encode(_images(run, shard, slots)) if stored is None else stored[places])
        parents += [rows[key] for key, _, _ in slots]
        names += [f"{key}-k{k}-a{attempt}" for key, k, attempt in slots]
    own = np.stack([seed.feature for seed in seeds]).astype(np.float32)
    samples = np.concatenate(parts).astype(np.float32) if parts else own[:0]
    return _weighted(run, pool_of(own, _labels(run, seeds), samples, parents), names)


def pixel_pool(run: Run, size: int) -> Pool:
    """Images (n size size 3) uint8: the centre square of each, resized."""
    seeds = read_seeds(run, ".pixels.png")
    rows = {seed.key: i for i, seed in enumerate(seeds)}
    parents: list[int] = []
    images: list[Array] = []
    names: list[str] = []
    for shard, _, slots in _kept(run, None):
        images += [fit(image, size, size) for image in _images(run, shard, slots)]
        parents += [rows[key] for key, _, _ in slots]
        names += [f"{key}-k{k}-a{attempt}" for key, k, attempt in slots]
    own = np.stack([fit(seed.pixels, size, size) for seed in seeds])
    return _weighted(run, pool_of(own, _labels(run, seeds), np.stack(images) if images else own[:0], parents), names)


def _kept(
    run: Run, targets: Mapping[str, int] | None
) -> Iterator[tuple[ShardId, list[int], list[tuple[str, int, int]]]]:
    """Each shard with the places and the slots (seed, k, attempt) of the samples that belong to the dataset."""
    goal = run.targets() if targets is None else targets
    progress = read_progress(run.store)
    marks = run.store.done("filter")
    for shard in judged_shards(run.store):
        found = [
            (place, (key, k, attempt))
            for place, (key, k, attempt) in enumerate(marks[shard]["slots"])
            if k < goal.get(key, 0) and progress.kept((key, k)) == attempt
        ]
        if found:
            yield shard, [place for place, _ in found], [slot for _, slot in found]


def _images(run: Run, shard: ShardId, slots: list[tuple[str, int, int]]) -> list[Array]:
    """The pixels (h w 3) of some samples of a shard, in the order of `slots`."""
    wanted = {(key, k) for key, k, _ in slots}
    images: dict[tuple[str, int], Array] = {}
    for sample in packing.unpack_samples(run.store.read("generate", shard)):
        if (sample.seed, sample.k) in wanted:
            with Image.open(io.BytesIO(sample.image)) as image:
                images[sample.seed, sample.k] = np.array(image.convert("RGB"))
    return [images[key, k] for key, k, _ in slots]


def _labels(run: Run, seeds: list[Seed]) -> list[int]:
    order = {label: i for i, label in enumerate(run.scan.classes)}
    return [order[seed.label] for seed in seeds]


def _weighted(run: Run, pool: Pool, names: list[str]) -> Pool:
    """The pool with the weights that the manifest gives its samples."""
    path = run.root / MANIFEST
    if path.is_file():
        table = pq.read_table(path, columns=["key", "weight"])
        known = dict(zip(table["key"].to_pylist(), table["weight"].to_pylist(), strict=True))
        pool.weights[pool.originals :] = [known.get(name) or 1.0 for name in names]
    return pool
