"""Shards that a sample is made again from: the run's own, or where those are gone, made from manifest and source."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from gifcli.dataset.sums import hash_file
from gifcli.engines import Job
from gifcli.engines.inline import InlineEngine
from gifcli.errors import InputError
from gifcli.models import prior_card
from gifcli.recipe.recipe import Recipe
from gifcli.records import Noise, Source
from gifcli.sources.source import scan
from gifcli.state import packing
from gifcli.state.files import CACHE, FACTS, PLAN, RULES, UNPACKED
from gifcli.state.plan import Plan
from gifcli.state.resolving import source_of
from gifcli.state.shards import STATE, ShardId, ShardStore

Row = Mapping[str, Any]


@contextmanager
def stocked(store: ShardStore, shard: ShardId, recipe: Recipe, rows: Mapping[str, Row]) -> Iterator[ShardStore]:
    """The run's shards; in a temporary folder, with those that are gone made again, where any are."""
    seeds = ShardId(shard.n)
    noises = store.parts("optimize", shard)
    slots = {(seed, k) for seed, k in store.done("generate")[shard]["slots"]}
    known = {
        (noise.seed, noise.k)
        for part in noises
        for noise in packing.unpack_noises(store.read("optimize", part, (".json",)))
    }
    if store.tar("extract", seeds).is_file() and slots <= known:
        yield store
        return
    with tempfile.TemporaryDirectory(prefix="gif-") as folder:
        stock = ShardStore(Path(folder))
        shutil.copytree(store.state, stock.state, ignore=shutil.ignore_patterns("stages", UNPACKED, "lock"))
        mark = store.done("generate")[shard]
        stock.write("generate", shard, [], {"slots": mark["slots"]})
        _seeds_again(store, stock, seeds, recipe)
        _noises_again(stock, shard, recipe, rows)
        yield stock


def _seeds_again(store: ShardStore, stock: ShardStore, shard: ShardId, recipe: Recipe) -> None:
    """The seeds of a shard from its source images, which must be those that they were.

    Raises:
        InputError: an image is gone or was changed.
    """
    from gifcli.compute.devices import choose_device
    from gifcli.tasks.task import StageTask

    if store.tar("extract", shard).is_file():
        stock.write("extract", shard, store.read("extract", shard), {})
        return
    source = source_folder(store.root)
    sources: list[Source] = Plan.from_state(store.load(PLAN)).shards[shard.n]
    for image in sources:
        if hash_file(source / image.path) != image.sha256:
            raise InputError(f"{source / image.path}: expected the image that was extracted, found another or none")
    device = choose_device(recipe.run.device, recipe.run.dtype).name
    size = recipe.run.batch_size
    size = prior_card(recipe.prior.name).batch_size if size == "auto" else int(size)
    task = StageTask("extract", stock.root, source.resolve(), recipe, class_names(store, source), size)
    (result,) = InlineEngine(device).run(task, [Job(shard, tuple(sources))])
    stock.write("extract", shard, result.members, result.mark)


def _noises_again(stock: ShardStore, shard: ShardId, recipe: Recipe, rows: Mapping[str, Row]) -> None:
    """The perturbations of a shard from the manifest.

    Raises:
        InputError: they are too large to stand there.
    """
    from gifcli.guidance.perturb import noise_shape
    from gifcli.tasks.reading import read_seeds

    seeds = read_seeds(stock, shard.n)
    members = []
    for seed, k in stock.done("generate")[shard]["slots"]:
        row = rows.get(f"{seed}-k{k}-a{shard.attempt}")
        if row is None or row["z"] is None or row["b"] is None:
            raise InputError(
                f"{shard}: its noises are gone, and too large to stand in the manifest; the run is incomplete"
            )
        shape = noise_shape(seeds[seed].latent.shape, recipe.guidance.granularity)
        z, b = (np.array(row[name], np.float32).reshape(shape) for name in ("z", "b"))
        members += packing.pack_noise(Noise(seed, k, row["attempt"], z, b, {}, {}))
    stock.write("optimize", shard._replace(part=0), members, {"seeds": []})


def source_folder(root: Path) -> Path:
    """Where the originals of a run are read from."""
    unpacked = root / STATE / UNPACKED
    return unpacked if unpacked.is_dir() else source_of(root)


def class_names(store: ShardStore, source: Path) -> dict[str, str]:
    """Readable class names in the order of the rules: as last exported, else as the source tells them now."""
    facts = store.load(FACTS)
    told: Mapping[str, str] = dict(facts["classes"]) if facts else scan(source, known=store.load(CACHE) or {}).classes
    return {label: told.get(label, label) for label in store.load(RULES)["classes"]}
