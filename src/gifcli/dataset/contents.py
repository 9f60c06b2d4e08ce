"""What goes into a dataset: a run's originals and samples as items with their bytes, and the manifest's rows."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from gifcli import pipeline
from gifcli.dataset.credentials import Signer, open_signer
from gifcli.errors import InputError
from gifcli.formats import Count, Item
from gifcli.images.marks import has_gps
from gifcli.judge import judging
from gifcli.judge.survey import read_survey
from gifcli.records import Sample, Source
from gifcli.stages.export import original_item, sample_item, sample_row
from gifcli.state import owed, packing
from gifcli.state.files import CHECKED
from gifcli.state.owed import Progress
from gifcli.state.run import Run
from gifcli.state.shards import ShardId


@dataclass(frozen=True, slots=True)
class Exported:
    """What one export works from; `others` are usable images of splits that are not expanded.

    signed  key -> sha256 of the generated files that were signed on their way out
    """

    run: Run
    progress: Progress
    targets: dict[str, int]
    seeds: dict[str, Source]
    others: list[Source]
    label_ids: dict[str, int]
    signer: Signer | None = None
    signed: dict[str, str] = field(default_factory=dict)

    def verdict(self, sample: Sample) -> tuple[str, str | None]:
        """("kept" | "spare" | "rejected", reason): spare passed, but its slot has an earlier image or is not wanted."""
        slot = sample.seed, sample.k
        reason = self.progress.verdicts[slot].get(sample.attempt)
        if reason is not None:
            return "rejected", reason
        wanted = sample.k < self.targets[sample.seed] and self.progress.kept(slot) == sample.attempt
        return ("kept" if wanted else "spare"), None

    def shards(self) -> list[ShardId]:
        """All judged sample shards, in judging order."""
        return judging.judged_shards(self.run.store)


def contents_of(run: Run) -> Exported:
    pipeline.need_rules(run)
    others = _usable_others(run)
    return Exported(
        run,
        owed.read_progress(run.store),
        run.targets(),
        {source.key: source for source in run.seeds()},
        others,
        {label: i for i, label in enumerate(run.scan.classes)},
        open_signer(run.recipe.export.certificate, run.recipe.export.private_key),
    )


def items(exported: Exported, located: list[str]) -> Iterator[Item]:
    """Originals of all splits, then the kept samples; `located` gets the originals that carry a GPS position."""
    for item in _originals(exported):
        data = _unchanged(exported.run.source, item)
        if has_gps(data):
            located.append(str(item.row["parent_path"]))
        yield replace(item, load=partial(bytes, data))
    for sample, row in _samples(exported):
        if row["verdict"] == "kept":
            yield _signed(sample_item(sample, exported.seeds[sample.seed], row["label_id"], row), exported)


def _signed(item: Item, exported: Exported) -> Item:
    """A generated image with its credentials, where there is a certificate."""
    if exported.signer is None:
        return item
    data = exported.signer.sign(item.load(), item.suffix, item.row)
    exported.signed[item.row["key"]] = hashlib.sha256(data).hexdigest()
    return replace(item, load=partial(bytes, data))


def _unchanged(source: Path, item: Item) -> bytes:
    """The bytes of an original, which must be those that were extracted.

    Raises:
        InputError: it was changed or taken away while the run was under way.
    """
    path = source / item.row["parent_path"]
    try:
        data = item.load()
    except OSError:
        data = b""
    if hashlib.sha256(data).hexdigest() != item.row["sha256"]:
        raise InputError(f"{path} was changed or taken away while gif was running; run the same command again")
    return data


def rows(exported: Exported, files: Iterator[str]) -> Iterator[dict[str, Any]]:
    """The manifest: the rows of all items with their files, and those of the samples that are not in the dataset."""
    for item in _originals(exported):
        yield {**item.row, "file": next(files)}
    for _, row in _samples(exported):
        sha256 = exported.signed.get(row["key"], row["sha256"])
        yield {**row, "sha256": sha256, "file": next(files) if row["verdict"] == "kept" else None}


def _originals(exported: Exported) -> Iterator[Item]:
    run = exported.run
    sizes = _sizes(run)
    safety = read_survey(run).safety
    for source in [*exported.seeds.values(), *exported.others]:
        path = run.source / source.path
        item = original_item(source, exported.label_ids[source.label], path.read_bytes, sizes.get(source.key))
        item.row["safety"] = safety.get(source.key)
        yield item


def _samples(exported: Exported) -> Iterator[tuple[Sample, dict[str, Any]]]:
    """Every judged sample whose parent is still there, with its row."""
    run = exported.run
    fingerprint = run.fingerprint("generate")
    near = judging.nearest_seeds(run.store)
    for shard in exported.shards():
        columns = judging.measures(run.store, shard)
        noises = {
            (noise.seed, noise.k): noise
            for part in run.store.parts("optimize", shard)
            for noise in packing.unpack_noises(run.store.read("optimize", part))
        }
        for i, sample in enumerate(packing.unpack_samples(run.store.read("generate", shard))):
            parent = exported.seeds.get(sample.seed)
            if parent is None:
                continue
            measures = {name: column[i] for name, column in columns.items()}
            if (slot := (sample.seed, sample.k, sample.attempt)) in near:
                measures["nn_set"] = near[slot]
            label_id = exported.label_ids[parent.label]
            row = sample_row(sample, parent, label_id, noises[sample.seed, sample.k], measures)
            row["verdict"], row["reason"] = exported.verdict(sample)
            yield sample, {**row, "fingerprint": fingerprint}


def counted(items: Iterator[Item], counts: dict[str, dict[str, Count]]) -> Iterator[Item]:
    """Passes items on, and counts what went by."""
    for item in items:
        original, generated = counts.setdefault(item.split, {}).get(item.label, Count(0, 0))
        add = Count(original + (not item.is_synthetic), generated + item.is_synthetic)
        counts[item.split][item.label] = add
        yield item


def _usable_others(run: Run) -> list[Source]:
    """Images of splits that are not expanded and that can be decoded; each is tried once, and the outcome is kept."""
    from gifcli.images.reading import read

    others = [source for source in run.scan.sources if source.split != "train"]
    known: dict[str, str | None] = run.store.load(CHECKED) or {}
    for source in others:
        if source.key not in known:
            try:
                read(run.source / source.path)
                known[source.key] = None
            except InputError as error:
                known[source.key] = str(error)
    if others:
        run.store.save(CHECKED, {source.key: known[source.key] for source in others})
    return [source for source in others if known[source.key] is None]


def _sizes(run: Run) -> dict[str, tuple[int, int]]:
    """Width and height of each seed's source image."""
    sizes = {}
    for shard in run.store.done("extract"):
        for seed in packing.unpack_seeds(run.store.read("extract", shard, (".json",))):
            sizes[seed.key] = seed.width, seed.height
    return sizes
