"""Opening a run folder: source, recipe and what is there already are brought together, or refused with a reason."""

from dataclasses import replace
from pathlib import Path

from gifcli import models
from gifcli.errors import InputError, UsageError
from gifcli.models.pulling import pull_missing
from gifcli.recipe import settings
from gifcli.recipe.recipe import Recipe
from gifcli.records import Source
from gifcli.reporter import Reporter
from gifcli.sources import holdout
from gifcli.sources.source import Scan, refuse_overlap, scan
from gifcli.sources.unpacking import unpack
from gifcli.state.clearing import clear_from, drop_rules, empty, redo
from gifcli.state.files import CACHE, HOLDOUT, ORIGIN, PLAN, RULES, SETTINGS, UNPACKED
from gifcli.state.plan import Plan
from gifcli.state.resolving import left_open, with_dtype, with_rules
from gifcli.state.run import Options, Run
from gifcli.state.shards import STATE, ShardStore
from gifcli.wording import number_of

SHARD_SLOTS = 512
"""Samples in a shard, about, at most: what a worker holds in memory at a time."""


def prepare_output(root: Path, source: Path, options: Options) -> None:
    """Refuses an output that must not be written to. Call before locking.

    Raises:
        UsageError: it overlaps with the source, exists and must not, or is a folder of something else.
    """
    refuse_overlap(source, root)
    if root.exists() and not root.is_dir():
        raise UsageError(f"{root}: expected a folder to write to, found a file; choose another with -o")
    if not root.is_dir() or not any(root.iterdir()):
        return
    if not (root / STATE).is_dir():
        raise UsageError(f"{root}: expected a new folder or a run folder of gif, found other files; choose another -o")
    if options.if_exists == "error":
        raise UsageError(f"{root} exists already (--if-exists error); choose another with -o")


def open_run(store: ShardStore, source: Path, recipe: Recipe, options: Options, reporter: Reporter) -> Run:
    """Brings source, recipe and state together; the run must be locked.

    Raises:
        UsageError: a setting differs from the one that finished shards were made with.
        InputError: the source cannot be used.
    """
    folder = unpack(source, store.state / UNPACKED)
    known = store.load(CACHE) or {}
    found = scan(
        folder, classes_file=file_of(recipe.input.classes), labels_file=file_of(recipe.input.labels), known=known
    )
    for warning in found.warnings:
        reporter.warn(warning)
    afresh = options.if_exists == "overwrite" or options.redo == "extract"
    stored = {} if options.if_exists == "overwrite" else store.load(SETTINGS) or {}
    plan = Plan.from_state(
        store.load(PLAN) if store.done("extract") and not afresh else None
    )  # a plan that nothing follows yet is void
    found, aside = set_aside(store, found, plan, recipe.input.holdout)
    _need_images(found, source)
    if options.if_exists != "extend":
        _need_the_same_source(store, source, plan, found)
    resolved = _resolved(recipe, stored, reporter)
    _take_back(store, options)  # all that may be refused was
    store.save(CACHE, found.files)
    if recipe.input.holdout:
        store.save(HOLDOUT, sorted(aside))
    run = Run(store, folder, with_rules(store, resolved), found, plan, reporter)
    run.stages = settings.stage_settings(run.recipe)
    redo(run, stored, options)
    _plan_sources(run, options)
    run.set_recipe(with_rules(store, resolved))  # the rules may have been dropped
    store.save(ORIGIN, {"auto": left_open(recipe, run.recipe, stored, store), "source": str(source.resolve())})
    return run


def _need_the_same_source(store: ShardStore, source: Path, plan: Plan, found: Scan) -> None:
    """Refuses another folder in which most images of the run are missing: a mistake, and its dataset would lose them.

    Raises:
        UsageError: so it is.
    """
    former = (store.load(ORIGIN) or {}).get("source")
    planned = {each.key for each in plan.sources}
    gone = planned - {each.key for each in found.sources}
    if 2 * len(gone) > len(planned) and former not in (None, str(source.resolve())):
        raise UsageError(
            f"{store.root} was made from {former}; {source} lacks {len(gone)} of its {number_of(len(planned), 'image')}\n"
            f"  give the former source, write elsewhere (-o), or let those images go with --if-exists extend"
        )


def _resolved(recipe: Recipe, stored: settings.Stored, reporter: Reporter) -> Recipe:
    """The recipe without `auto`; its models are there. Says which prior `auto` takes, the first time.

    What the machine lacks is downloaded: first the prior, then, where it takes what the recipe sets, the others.
    """
    if recipe.prior.name == "auto" and "extract" not in stored:
        name, why = models.choose_prior(recipe.run.device)
        other = (
            "" if name == models.RECOMMENDED else f"; for a text-to-image model: gif models pull {models.RECOMMENDED}"
        )
        reporter.say(f"prior: {name} ({why}){other}")
    pull_missing([recipe.prior.name], reporter.say)
    resolved = settings.resolve(recipe, stored, reporter.warn)
    pull_missing([resolved.prior.lora, resolved.prior.tiny, resolved.encoder.name], reporter.say)
    settings.stage_settings(resolved)
    return with_dtype(resolved, stored)


def _take_back(store: ShardStore, options: Options) -> None:
    """Removes what is to be made afresh."""
    if options.if_exists == "overwrite":
        empty(store)
    if options.redo == "extract":
        clear_from(store, "extract")


def file_of(path: str | None) -> Path | None:
    return Path(path) if path else None


def set_aside(store: ShardStore, found: Scan, plan: Plan, share: float) -> tuple[Scan, set[str]]:
    """The scan with the holdout as a split of its own; the sha256 of the images in it, and of those before."""
    before = store.load(HOLDOUT) or [] if plan.shards else []
    aside = holdout.choose(found.sources, share, before, {source.sha256 for source in plan.sources})
    return (replace(found, sources=holdout.split_off(found.sources, aside)) if share else found), aside


def _need_images(found: Scan, source: Path) -> None:
    if not any(image.split == "train" for image in found.sources):
        raise InputError(f"{source}: no image is left for training after --holdout; use a smaller share")


def _plan_sources(run: Run, options: Options) -> None:
    """Puts new images into the plan where that is wanted; says what it leaves alone."""
    train = limited([source for source in run.scan.sources if source.split == "train"], run.recipe.input.limit)
    known = {source.key for source in run.plan.sources}
    new = [source for source in train if source.key not in known]
    if gone := known - {source.key for source in run.scan.sources}:
        run.reporter.warn(
            f"images of this run that are no longer in {run.source}, left out with what was made of them: {len(gone)}"
        )
    if known and new and options.if_exists != "extend":
        run.reporter.warn(
            f"images in {run.source} that are new to this run, left alone: {len(new)}; take them in with --if-exists extend"
        )
        return
    run.plan.add_sources(
        train, min(run.recipe.run.shard_seeds, max(1, round(SHARD_SLOTS / run.recipe.ratio_or_default)))
    )
    rules = run.store.load(RULES)
    unknown = {source.label for source in new} - set(rules["seeded"] if rules else run.scan.classes)
    if unknown:  # before the plan says that these images are known
        names = ", ".join(sorted(unknown))
        run.reporter.say(f"new class {names}: the rules are induced anew, and all is redone from optimize")
        drop_rules(run.store)
    run.store.save(PLAN, run.plan.to_state())


def limited(sources: list[Source], limit: int | None) -> list[Source]:
    """At most `limit` sources a class, the first by path."""
    taken: dict[str, int] = {}
    result = []
    for source in sources:
        taken[source.label] = taken.get(source.label, 0) + 1
        if limit is None or taken[source.label] <= limit:
            result.append(source)
    return result
