"""Opening a run folder: source, recipe and what is there already are brought together, or refused with a reason."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from gifcli import holdout, models, settings
from gifcli.budget import spent
from gifcli.engines import Engine
from gifcli.errors import InputError, UsageError
from gifcli.formats.ledger import FileLedger
from gifcli.owed import VERDICTS
from gifcli.plan import Plan, targets
from gifcli.recipe import Recipe, dump_recipe, flatten, read_recipe
from gifcli.records import Source
from gifcli.seals import seal_text
from gifcli.shards import STATE, ShardStore, write_atomic
from gifcli.source import Scan, refuse_overlap, scan
from gifcli.unpacking import unpack

SHARD_SLOTS = 512
"""Samples in a shard, about, at most: what a worker holds in memory at a time."""
SETTINGS = "settings.json"
PLAN = "plan.json"
RULES = "rules.json"
EXPORT = "export.json"
LEDGER = "exported.jsonl"
CACHE = "cache.json"
HOLDOUT = "holdout.json"
CHECKED = "checked.json"
ORIGIN = "run.json"
UNPACKED = "source"
RECIPE = "recipe.yaml"
MANIFEST = "manifest.parquet"


class Reporter(Protocol):
    """Who is told what happens; the console is one."""

    def say(self, text: str) -> None:
        """One line of news."""
        ...

    def warn(self, text: str) -> None:
        """Something the user should know of, though the run goes on."""
        ...

    def start(self, stage: str, total: int) -> None:
        """A stage begins that has `total` images to do."""
        ...

    def advance(self, images: int) -> None:
        """So many more images are done."""
        ...

    def finish(self) -> None:
        """The stage has ended, well or not."""
        ...


@dataclass(frozen=True, slots=True)
class Options:
    """How to treat a run folder that exists. `redo` is a stage name."""

    if_exists: str = "resume"
    redo: str | None = None
    refresh_rules: bool = False


@dataclass(slots=True)
class Run:
    """An open run.

    recipe    resolved: no `auto` is left in what stages use, but prior.mirror until the rules are induced
    scan      the source as it is now, with its holdout split off
    budget    while `gif eval --iterate` tries another way to spend the goal: how many samples each seed is to have
    engine    kept from stage to stage, with the models that its processes have loaded
    """

    store: ShardStore
    source: Path
    recipe: Recipe
    scan: Scan
    plan: Plan
    reporter: Reporter
    stages: dict[str, dict[str, Any]] = field(default_factory=dict)
    engine: Engine | None = None
    budget: dict[str, int] | None = None

    @property
    def root(self) -> Path:
        """The run folder."""
        return self.store.root

    @property
    def present(self) -> dict[str, Source]:
        """The planned seeds that are still in the source, by key, under the path they have now."""
        planned = {source.key for source in self.plan.sources}
        return {source.key: source for source in self.scan.sources if source.key in planned}

    def seeds(self) -> list[Source]:
        """The extracted seeds that are still in the source, in plan order."""
        present = self.present
        marks = self.store.done("extract")
        keys = [key for shard in sorted(marks) for key in marks[shard]["seeds"]]
        return [present[key] for key in keys if key in present]

    def targets(self) -> dict[str, int]:
        """How many samples each of those seeds is to have."""
        goal = targets(self.seeds(), self.recipe)
        return spent(self.store, goal) if self.budget is None else {key: self.budget.get(key, 0) for key in goal}

    def fingerprint(self, stage: str) -> str:
        """The hash of all that decides this stage's results."""
        rules = self.store.load(RULES)
        return settings.fingerprints(self.stages, rules["digest"] if rules else "")[stage]

    def save_settings(self, stage: str) -> None:
        """Notes the settings that this stage is about to run with."""
        stored = self.store.load(SETTINGS) or {}
        run = {"run.dtype": self.recipe.run.dtype}
        self.store.save(SETTINGS, {**stored, "run": run, stage: self.stages[stage]})

    def set_recipe(self, recipe: Recipe) -> None:
        """Takes a recipe in which more is resolved, and writes it out."""
        self.recipe = recipe
        self.stages = settings.stage_settings(recipe)
        data = recipe_bytes(recipe)
        path = self.root / RECIPE
        if not path.is_file() or path.read_bytes() != data:
            write_atomic(path, data)


def recipe_bytes(recipe: Recipe) -> bytes:
    """The file that says how a run was made, with a seal that `gif verify` looks at."""
    text = f"# The recipe of this run, every setting written out.\n{dump_recipe(recipe, 'run')}"
    return seal_text(text)


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
    found = scan(folder, classes_file=_file(recipe.input.classes), labels_file=_file(recipe.input.labels), known=known)
    if options.if_exists == "overwrite":
        _empty(store)
    if options.redo == "extract":
        clear_from(store, "extract")
    store.save(CACHE, found.files)
    stored = store.load(SETTINGS) or {}
    for warning in found.warnings:
        reporter.warn(warning)
    plan = Plan.from_state(
        store.load(PLAN) if store.done("extract") else None
    )  # a plan that nothing follows yet is void
    found = _set_aside(store, found, plan, recipe.input.holdout)
    _announce(recipe, stored, reporter)
    resolved = _with_dtype(settings.resolve(recipe, stored), stored)
    run = Run(store, folder, _with_rules(store, resolved), found, plan, reporter)
    run.stages = settings.stage_settings(run.recipe)
    _redo(run, stored, options)
    _plan_sources(run, options)
    run.set_recipe(_with_rules(store, resolved))  # the rules may have been dropped
    store.save(ORIGIN, {"auto": _autos(recipe, run.recipe, stored, store), "source": str(source.resolve())})
    return run


def _announce(recipe: Recipe, stored: settings.Stored, reporter: Reporter) -> None:
    """Says which prior `auto` takes, the first time; downloads models that the recipe names and the machine lacks."""
    if recipe.prior.name == "auto" and "extract" not in stored:
        name, why = models.choose_prior(recipe.run.device)
        other = (
            "" if name == models.RECOMMENDED else f"; for a text-to-image model: gif models pull {models.RECOMMENDED}"
        )
        reporter.say(f"prior: {name} ({why}){other}")
    named = (recipe.prior.name, recipe.prior.lora, recipe.prior.tiny, recipe.encoder.name)
    missing = [name for name in named if name and models.hub.is_missing(name)]
    models.hub.pull_all(missing, reporter.say)


def own_recipe(root: Path, overrides: Mapping[str, Any]) -> Recipe:
    """The recipe that a run goes on with: what was `auto` is so again, and keeps what it took while nothing else does.

    Raises:
        RecipeError: an override, or the file, has problems.
    """
    autos = (ShardStore(root).load(ORIGIN) or {}).get("auto", [])
    return read_recipe(root / "recipe.yaml", {**dict.fromkeys(autos, "auto"), **overrides})


def _autos(recipe: Recipe, resolved: Recipe, stored: settings.Stored, store: ShardStore) -> list[str]:
    """The settings that are left to the prior, the rules or the machine: now, or before and not changed since."""
    asked, taken = (flatten(each.model_dump(mode="json", exclude={"run"})) for each in (recipe, resolved))
    before = {path: value for stage in stored.values() for path, value in stage.items()}
    kept = {path for path in (store.load(ORIGIN) or {}).get("auto", []) if taken[path] == before.get(path, taken[path])}
    return sorted(kept | {path for path, value in asked.items() if value == "auto" and path != "classifier.kind"})


def source_of(root: Path) -> Path:
    """The source folder of a run.

    Raises:
        UsageError: that is not a run folder.
    """
    state = ShardStore(root).load(ORIGIN)
    if state is None:
        raise UsageError(
            f"{root}: expected a run folder of gif (with {STATE} in it), found {_kind(root)}; make one with: gif expand SOURCE"
        )
    return Path(state["source"])


def _kind(path: Path) -> str:
    return "a folder without it" if path.is_dir() else "a file" if path.exists() else "nothing there"


def _with_rules(store: ShardStore, recipe: Recipe) -> Recipe:
    """The recipe with what depends on the rules, where there are any yet."""
    rules = store.load(RULES)
    return with_mirror(recipe, mirror=rules["mirror_safe"]) if rules and recipe.prior.mirror == "auto" else recipe


def with_mirror(recipe: Recipe, *, mirror: bool) -> Recipe:
    """The recipe with prior.mirror decided."""
    return recipe.model_copy(update={"prior": recipe.prior.model_copy(update={"mirror": mirror})})


def _with_dtype(recipe: Recipe, stored: settings.Stored) -> Recipe:
    """The recipe with the dtype that the run already took, or the best of this machine."""
    if recipe.run.dtype != "auto":
        return recipe
    dtype = stored.get("run", {}).get("run.dtype")
    if dtype is None and recipe.run.engine == "ray":
        from gifcli.engines.cluster import remote_device

        dtype = remote_device(recipe.run.ray_address, recipe.run.device).dtype
    elif dtype is None:
        from gifcli.devices import choose_device

        dtype = choose_device(recipe.run.device, "auto").dtype
    return recipe.model_copy(update={"run": recipe.run.model_copy(update={"dtype": dtype})})


def _file(path: str | None) -> Path | None:
    return Path(path) if path else None


def _set_aside(store: ShardStore, found: Scan, plan: Plan, share: float) -> Scan:
    """The scan with the holdout as a split of its own; which images those are is kept."""
    before = store.load(HOLDOUT) or [] if plan.shards else []
    aside = holdout.choose(found.sources, share, before, {source.sha256 for source in plan.sources})
    if share:
        store.save(HOLDOUT, sorted(aside))
    return replace(found, sources=holdout.split_off(found.sources, aside)) if share else found


def _redo(run: Run, stored: Mapping[str, Any], options: Options) -> None:
    """Clears what is to be redone; refuses settings that finished shards were not made with."""
    first = settings.STAGES.index(options.redo) if options.redo else len(settings.STAGES)
    for place, stage in enumerate(settings.STAGES[:3]):
        differences = settings.changes(stored[stage], run.stages[stage]) if stage in stored else []
        if differences and place < first and run.store.done(stage):
            raise UsageError(
                f"{run.root} was started with another recipe: {'; '.join(differences)}\n"
                f"  write elsewhere (-o), or redo from there: --redo {stage} (or: gif {stage} {run.root} --redo)"
            )
    if options.redo:
        clear_from(run.store, options.redo)
    if options.refresh_rules:
        drop_rules(run.store)


def clear_from(store: ShardStore, stage: str) -> None:
    """Takes back all shards of a stage and of those after it, the last stage first: what is left after a kill fits."""
    (store.state / EXPORT).unlink(missing_ok=True)
    if stage != "export":
        (store.state / VERDICTS).unlink(missing_ok=True)
    for later in reversed(settings.STAGES[settings.STAGES.index(stage) : 4]):
        if later == "extract":
            (store.state / RULES).unlink(missing_ok=True)
        store.clear(later)


def drop_rules(store: ShardStore) -> None:
    """Takes the rules back, after all that was made by them."""
    clear_from(store, "optimize")
    (store.state / RULES).unlink(missing_ok=True)


def _plan_sources(run: Run, options: Options) -> None:
    """Puts new images into the plan where that is wanted; says what it leaves alone."""
    train = limited([source for source in run.scan.sources if source.split == "train"], run.recipe.input.limit)
    if not train:
        raise InputError(f"{run.source}: no image is left for training after --holdout; use a smaller share")
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


def _empty(store: ShardStore) -> None:
    """Removes the state, and the files that exports wrote."""
    if (store.state / LEDGER).is_file():
        with FileLedger(store.state / LEDGER) as ledger:
            for name in ledger:
                (store.root / name).unlink(missing_ok=True)
    clear_from(store, "extract")
    for path in store.state.iterdir():
        if path.name not in ("lock", UNPACKED):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
