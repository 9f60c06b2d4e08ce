"""A run's export: the dataset, the manifest, the card and the report, brought up to what the run now is."""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from gifcli import judging, owed, packing, pipeline
from gifcli.errors import InputError
from gifcli.formats import Count, DatasetInfo, Item, Model, make_format
from gifcli.formats.ledger import FileLedger
from gifcli.marks import has_gps
from gifcli.models import encoder_card, prior_card, revision
from gifcli.owed import Progress
from gifcli.recipe import dump_recipe
from gifcli.records import Sample, Source
from gifcli.run import CHECKED, EXPORT, LEDGER, Run
from gifcli.shards import ShardId, digest, free_room, write_atomic
from gifcli.stages.export import original_item, sample_item, sample_row
from gifcli.summary import Summary, summarise


@dataclass(frozen=True, slots=True)
class Exported:
    """What one export works from; `others` are usable images of splits that are not expanded."""

    run: Run
    progress: Progress
    targets: dict[str, int]
    seeds: dict[str, Source]
    others: list[Source]
    label_ids: dict[str, int]

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


def export(run: Run) -> bool:
    """Writes what differs from the last export; whether anything did."""
    pipeline.need_rules(run)
    others = _usable_others(run)
    exported = Exported(
        run,
        owed.read_progress(run.store),
        run.targets(),
        {source.key: source for source in run.seeds()},
        others,
        {label: i for i, label in enumerate(run.scan.classes)},
    )
    _write_failures(run)
    fingerprint = _fingerprint(exported)
    mark = run.store.load(EXPORT)
    if mark and mark["fingerprint"] == fingerprint:
        return False
    (run.store.state / EXPORT).unlink(missing_ok=True)
    with free_room():
        _write(exported)
    run.save_settings("export")
    os.sync()  # images first: the mark must not outlive them
    verdicts = (run.store.load(owed.VERDICTS) or {"fingerprint": ""})["fingerprint"]
    run.store.save(EXPORT, {"fingerprint": fingerprint, "verdicts": verdicts})
    return True


def _write(exported: Exported) -> None:
    from gifcli.formats.card import write_card
    from gifcli.formats.manifest import write_manifest
    from gifcli.reporting import write_run_report

    run = exported.run
    counts: dict[str, dict[str, Count]] = {}
    located: list[str] = []
    info = _info(exported, counts)
    with FileLedger(run.store.state / LEDGER) as ledger:
        items = _counted(_items(exported, located), counts)
        files = make_format(run.recipe.export.to).write(items, run.root, info, ledger)
    if located:
        run.reporter.warn(
            f"originals that carry a GPS position, copied as they are: {len(located)}, such as {located[0]}"
        )
    write_manifest(_rows(exported, iter(files)), run.root / "manifest.parquet", exported.label_ids, _scores(run))
    write_card(run.root, info)
    write_run_report(run, exported.progress, exported.targets)


def _items(exported: Exported, located: list[str]) -> Iterator[Item]:
    """Originals of all splits, then the kept samples; `located` gets the originals that carry a GPS position."""
    for item in _originals(exported):
        data = _unchanged(exported.run.source, item)
        if has_gps(data):
            located.append(str(item.row["parent_path"]))
        yield replace(item, load=partial(bytes, data))
    for sample, row in _samples(exported):
        if row["verdict"] == "kept":
            yield sample_item(sample, exported.seeds[sample.seed], row["label_id"], row)


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


def _rows(exported: Exported, files: Iterator[str]) -> Iterator[dict[str, Any]]:
    """The manifest: the rows of all items with their files, and those of the samples that are not in the dataset."""
    for item in _originals(exported):
        yield {**item.row, "file": next(files)}
    for _, row in _samples(exported):
        yield {**row, "file": next(files) if row["verdict"] == "kept" else None}


def _originals(exported: Exported) -> Iterator[Item]:
    run = exported.run
    sizes = _sizes(run)
    for source in [*exported.seeds.values(), *exported.others]:
        path = run.source / source.path
        yield original_item(source, exported.label_ids[source.label], path.read_bytes, sizes.get(source.key))


def _samples(exported: Exported) -> Iterator[tuple[Sample, dict[str, Any]]]:
    """Every judged sample whose parent is still there, with its row."""
    run = exported.run
    fingerprint = run.fingerprint("generate")
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
            label_id = exported.label_ids[parent.label]
            row = sample_row(sample, parent, label_id, noises[sample.seed, sample.k], measures)
            row["verdict"], row["reason"] = exported.verdict(sample)
            yield sample, {**row, "fingerprint": fingerprint}


def _counted(items: Iterator[Item], counts: dict[str, dict[str, Count]]) -> Iterator[Item]:
    """Passes items on, and counts what went by."""
    for item in items:
        original, generated = counts.setdefault(item.split, {}).get(item.label, Count(0, 0))
        add = Count(original + (not item.is_synthetic), generated + item.is_synthetic)
        counts[item.split][item.label] = add
        yield item


def _info(exported: Exported, counts: dict[str, dict[str, Count]]) -> DatasetInfo:
    run = exported.run
    summary = summarise(run)
    prior = prior_card(run.recipe.prior.name)
    encoder = encoder_card(run.recipe.encoder.name)
    return DatasetInfo(
        name=run.root.resolve().name,
        source=run.source.resolve().name,
        classes=run.scan.classes,
        counts=counts,
        kept=summary.judged - sum(summary.rejected.values()),
        rejected=summary.rejected,
        recipe=dump_recipe(run.recipe, "run"),  # where it ran changes nothing
        prior=Model(prior.name, prior.revision, prior.licence),
        encoder=Model(encoder.name, revision(encoder.files), encoder.licence),
        licence=run.recipe.export.licence,
        missing=summary.shortfall,
        limits=_limits(run, summary),
    )


def _limits(run: Run, summary: Summary) -> tuple[str, ...]:
    notes = (run.store.load("rules.json") or {"notes": []})["notes"]
    return (
        "Generated images are variations of the originals: they inherit whatever the originals are biased towards.",
        "Whether they help a model is to be measured on real images that were held out, never on generated ones.",
        *(note[0].upper() + note[1:] + "." for note in notes),
        *([f"{summary.failures} source files could not be used."] if summary.failures else []),
    )


def _write_failures(run: Run) -> None:
    """failures.jsonl, or no file where there are none."""
    path = run.root / "failures.jsonl"
    lines = [json.dumps({"path": name, "reason": reason}) + "\n" for name, reason in pipeline.failures(run)]
    data = "".join(lines).encode()
    if not data:
        path.unlink(missing_ok=True)
    elif not path.is_file() or path.read_bytes() != data:
        write_atomic(path, data)


def _fingerprint(exported: Exported) -> str:
    run = exported.run
    sources = [[s.key, s.path, s.split, s.label] for s in [*exported.seeds.values(), *exported.others]]
    verdicts = (run.store.load(owed.VERDICTS) or {"fingerprint": ""})["fingerprint"]
    recipe = run.recipe.model_dump(mode="json", exclude={"run"})
    return digest(
        [run.fingerprint("export"), recipe, sources, run.scan.classes, sorted(exported.targets.items()), verdicts]
    )


def _usable_others(run: Run) -> list[Source]:
    """Images of splits that are not expanded and that can be decoded; each is tried once, and the outcome is kept."""
    from gifcli.images import read

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


def _scores(run: Run) -> list[str]:
    return sorted({guide.name for guide in run.recipe.guides})
