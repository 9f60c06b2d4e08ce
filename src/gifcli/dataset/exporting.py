"""A run's export: the dataset, the manifest, the card and the report, brought up to what the run now is."""

import json
import os
from pathlib import Path
from typing import Any

from gifcli.dataset.contents import Exported, contents_of, counted, items, rows
from gifcli.dataset.delivery import deliver
from gifcli.dataset.description import describe
from gifcli.dataset.sums import amending, digest_of, hash_file, hash_files, interrupted, lost, write_sums
from gifcli.evaluate import write_run_advice
from gifcli.evaluate.advice import ADVICE
from gifcli.evaluate.record import EVALUATION, keep_evaluation, read_evaluations
from gifcli.formats import Count, DatasetInfo, Ledger, make_format
from gifcli.formats.containers import split_name
from gifcli.formats.ledger import FileLedger
from gifcli.recipe.published import published
from gifcli.state import owed
from gifcli.state.files import EXPORT, LEDGER, MANIFEST, RECIPE, SUMS
from gifcli.state.run import Run, recipe_bytes
from gifcli.state.shards import digest, free_room, write_atomic
from gifcli.state.unusable import failures

FAILURES = "failures.jsonl"


def export(run: Run) -> bool:
    """Writes what differs from the last export, and what is gone of it; whether anything did."""
    exported = contents_of(run)
    fingerprint = _fingerprint(exported)
    mark = run.store.load(EXPORT)
    gone = lost(run.root)
    if mark and mark["fingerprint"] == fingerprint and (run.root / SUMS).is_file() and not gone:
        return False
    if EVALUATION in gone:
        run.reporter.warn(
            f"{EVALUATION} is gone, and nothing but a new measurement makes it again: gif eval {run.root}"
        )
    if again := [name for name in gone if name != EVALUATION]:
        run.reporter.warn(
            f"files of the dataset that are gone or damaged, written again: {len(again)}, such as {again[0]}"
        )
    for done in (run.root / SUMS, run.store.state / EXPORT):  # away first, written last: a kill leaves it owed
        done.unlink(missing_ok=True)
    with free_room():
        write_failures(run, run.root)
        with FileLedger(run.store.state / LEDGER) as ledger:
            sums = _write(exported, run.root, ledger)
    run.save_settings("export")
    os.sync()  # images first: the marks must not outlive them
    verdicts = (run.store.load(owed.VERDICTS) or {"fingerprint": ""})["fingerprint"]
    hashes = {"ledger": hash_file(run.store.state / LEDGER), "sums": digest_of(sums)}
    run.store.save(EXPORT, {"fingerprint": fingerprint, "verdicts": verdicts, **hashes})
    write_sums(run.root, sums)
    return True


def export_to(run: Run, target: str) -> str:
    """Writes the dataset to another folder, or to a URL that fsspec knows; the run folder's own stays as it is.

    Raises:
        UsageError, EnvironmentFault: that place cannot be taken.
    """
    exported = contents_of(run)

    def write(folder: Path, ledger: Ledger) -> dict[str, str]:
        write_failures(run, folder)
        write_atomic(folder / RECIPE, recipe_bytes(published(run.recipe)))
        return _write(exported, folder, ledger)

    with free_room():
        return deliver(target, write, run.source, run.root)


def _write(exported: Exported, dest: Path, ledger: Ledger) -> dict[str, str]:
    """Writes the dataset and what belongs to it -> relative path -> sha256."""
    from gifcli.formats.card import write_card
    from gifcli.formats.manifest import write_manifest
    from gifcli.reporting.reporting import write_run_report

    run = exported.run
    counts: dict[str, dict[str, Count]] = {}
    located: list[str] = []
    info = describe(run, counts)
    listed = counted(items(exported, located), counts)
    files = make_format(run.recipe.export.to).write(listed, dest, info, ledger)
    if located:
        run.reporter.warn(
            f"originals that carry a GPS position, copied as they are: {len(located)}, such as {located[0]}"
        )
    if info.licence == "unknown":
        run.reporter.warn("licence of the originals: unknown; say under which terms they are: --license cc-by-4.0")
    write_manifest(
        rows(exported, iter(files)), dest / MANIFEST, exported.label_ids, _scores(run), joined=run.scan.joined
    )
    write_card(dest, info)
    _write_measured(run, dest, info)
    write_run_report(run, info, dest)
    return hash_files(dest, _written(dest, files, in_run=dest == run.root))


def tell(run: Run, measured: dict[str, Any]) -> None:
    """Keeps what `gif eval` measured, and has the card, the advice, the report and the sums of a dataset say it.

    A dataset that a kill left unfinished is written first.
    """
    if interrupted(run.root):
        export(run)
    if not (run.root / SUMS).is_file():  # not exported yet
        keep_evaluation(run.root, measured)
        return
    from gifcli.reporting.reporting import PAGE, rewrite_page

    with amending(run.root, "README.md", ADVICE, EVALUATION, f"{PAGE.parts[0]}/"):
        keep_evaluation(run.root, measured)
        _retell(run)
        rewrite_page(run.root, run.root / PAGE)


def _retell(run: Run) -> None:
    """Card and advice of a dataset that stays as it is, from its manifest."""
    import pyarrow.parquet as pq

    from gifcli.formats.card import write_card

    counts: dict[str, dict[str, Count]] = {}
    for batch in pq.ParquetFile(run.root / MANIFEST).iter_batches(columns=["file", "split", "label", "is_synthetic"]):
        for row in batch.to_pylist():
            if row["file"] is not None:
                original, generated = counts.setdefault(row["split"], {}).get(row["label"], Count(0, 0))
                add = Count(original + (not row["is_synthetic"]), generated + row["is_synthetic"])
                counts[row["split"]][row["label"]] = add
    info = describe(run, counts)
    with free_room():
        write_card(run.root, info)
        _write_measured(run, run.root, info)


def _write_measured(run: Run, dest: Path, info: DatasetInfo) -> None:
    """Writes the advice, and into another folder the evaluation too; one of an earlier state of the dataset goes."""
    train = info.counts.get("train", {}).values()
    write_run_advice(run, dest, sum(count.original for count in train), sum(count.generated for count in train))
    path = run.root / EVALUATION
    if not read_evaluations(run.root):
        path.unlink(missing_ok=True)
    elif dest != run.root:
        write_atomic(dest / EVALUATION, path.read_bytes())


def _written(dest: Path, files: list[str], *, in_run: bool) -> set[str]:
    """What an export lists: the dataset, and what stands beside it. A run's recipe carries its own seal."""
    beside = {MANIFEST, "README.md", FAILURES, "advice.yaml", EVALUATION, *([] if in_run else [RECIPE])}
    report = {path.relative_to(dest).as_posix() for path in (dest / "report").rglob("*") if path.is_file()}
    return {split_name(file)[0] for file in files} | report | {name for name in beside if (dest / name).is_file()}


def write_failures(run: Run, dest: Path) -> None:
    """failures.jsonl, or no file where there are none."""
    path = dest / FAILURES
    lines = [json.dumps({"path": name, "reason": reason}) + "\n" for name, reason in failures(run)]
    data = "".join(lines).encode()
    if not data:
        path.unlink(missing_ok=True)
    elif not path.is_file() or path.read_bytes() != data:
        write_atomic(path, data)


def _fingerprint(exported: Exported) -> str:
    run = exported.run
    sources = [[s.key, s.path, s.split, s.label] for s in [*exported.seeds.values(), *exported.others]]
    verdicts = (run.store.load(owed.VERDICTS) or {"fingerprint": ""})["fingerprint"]
    recipe = published(run.recipe).model_dump(mode="json", exclude={"run"})
    return digest(
        [
            *[run.fingerprint("filter"), recipe, sources, run.scan.classes, sorted(exported.targets.items()), verdicts],
            *[failures(run), exported.signer.certificate if exported.signer else ""],
        ]
    )


def _scores(run: Run) -> list[str]:
    return sorted({guide.name for guide in run.recipe.guides})
