"""What a command or a script calls: opens a run folder under its lock, does the work, and says what came of it."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gifcli import pipeline
from gifcli.compute.devices import set_thread_policy
from gifcli.dataset import exporting
from gifcli.errors import GifError, ShortfallError
from gifcli.models.hub import go_offline
from gifcli.recipe.recipe import Recipe, load_recipe, read_recipe
from gifcli.reporter import Reporter
from gifcli.state.files import PLAN
from gifcli.state.opening import open_run, prepare_output
from gifcli.state.resolving import own_recipe, source_of
from gifcli.state.run import Options, Run
from gifcli.state.shards import STATE, ShardStore
from gifcli.summary import Summary, summarise
from gifcli.unreadable import require_readable, stop_if_unreadable
from gifcli.wording import are, number_of

TOO_FAR = ("label", "drift", "outlier")
"""Checks that reject samples for being too little like their class."""


class Silent:
    """A reporter that says nothing."""

    def say(self, text: str) -> None: ...
    def warn(self, text: str) -> None: ...
    def start(self, stage: str, total: int) -> None: ...
    def advance(self, images: int) -> None: ...
    def finish(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Access:
    """How to open a run folder, and whom to tell."""

    options: Options = field(default_factory=Options)
    wait_lock: float = 0.0
    reporter: Reporter = field(default_factory=Silent)


def expand(source: Path, root: Path, recipe: Recipe, access: Access = Access()) -> Summary:
    """Turns a folder of labelled images into a bigger one: all five stages, or what is still owed of them.

    Raises:
        InputError: the source cannot be used, or more of its files are unreadable than `input.max_failures` allows.
        GifError: see the exception tree in errors.py; a shortfall is no error here, see `verdict`.
    """
    with opened(source, root, recipe, access) as run:
        done = [pipeline.extract(run)]
        stop_if_unreadable(run)
        done += [*pipeline.expand(run), _export(run)]
        return summarise(run, done)


def run_stage(stage: str, root: Path, overrides: dict[str, Any], access: Access = Access()) -> Summary:
    """One stage of a run folder that exists, over what it owes."""
    stages: dict[str, Callable[[Run], pipeline.Done]] = {
        "optimize": pipeline.optimize,
        "generate": pipeline.generate,
        "filter": pipeline.filter_samples,
        "export": _export,
    }
    source = source_of(root)
    recipe = own_recipe(root, {**_other_goals(overrides), **overrides})
    with opened(source, root, recipe, access) as run:
        return summarise(run, [stages[stage](run)])


def export_to(target: str, root: Path, overrides: dict[str, Any], access: Access = Access()) -> Summary:
    """The dataset of a run written to another folder or URL, in any format; the run keeps its own.

    Raises:
        UsageError: that place holds something else.
        EnvironmentFault: it cannot be written to.
    """
    own = {path: value for path, value in overrides.items() if not path.startswith("export.")}
    asked = own_recipe(root, overrides).export
    with opened(source_of(root), root, own_recipe(root, {**_other_goals(own), **own}), access) as run:
        run.recipe = run.recipe.model_copy(update={"export": asked})
        start = time.perf_counter()
        place = exporting.export_to(run, target)
        counts = summarise(run)
        done = pipeline.Done("export", 1, counts.originals + counts.generated, time.perf_counter() - start)
        return replace(summarise(run, [done]), output=place, report=None)


def extract(source: Path, root: Path, recipe: Recipe, access: Access = Access()) -> Summary:
    """The first stage alone: a run folder with seeds and rules."""
    with opened(source, root, recipe, access) as run:
        return summarise(run, [pipeline.extract(run)])


def verdict(summary: Summary, recipe: Recipe) -> None:
    """Says whether a finished run is what was asked for.

    Raises:
        InputError: more files were unreadable than `input.max_failures` allows.
        ShortfallError: some seeds have fewer kept samples than the ratio asks for.
    """
    require_readable(summary.failures, summary.usable, recipe, summary.output)
    if summary.shortfall:
        worst = max(summary.rejected, key=lambda name: summary.rejected[name], default="label")
        missing = sum(summary.shortfall.values())
        nearer = "; or imagine all anew, nearer to the originals: a lower --strength with --redo optimize"
        raise ShortfallError(
            f"{missing} of {number_of(summary.wanted, 'sample')} {are(missing)} missing after "
            f"{number_of(recipe.max_attempts, 'attempt')}; try a higher --max-attempts, or a looser checks.{worst}, which "
            f"rejected most{nearer if worst in TOO_FAR else ''}"
        )


def default_output(source: Path, recipe: Recipe) -> Path:
    """`photos` at 5x -> `photos-5x`, beside the source."""
    source = source.resolve()
    name = source.name.partition(".")[0] if source.is_file() else source.name
    if recipe.per_class is not None:
        return source.with_name(f"{name}-{recipe.per_class}-per-class")
    return source.with_name(f"{name}-{recipe.ratio_or_default:g}x")


def make_recipe(name: str | None, overrides: dict[str, Any]) -> Recipe:
    """A recipe file, a recipe that gifcli ships (by its name), or the defaults; with overrides.

    Raises:
        RecipeError: no such recipe, or problems in it.
    """
    from gifcli.recipe.shelf import shelf_recipe

    if name is None:
        return load_recipe("", overrides, "the command line")
    return read_recipe(Path(name) if Path(name).is_file() else shelf_recipe(name), overrides)


def prepare(
    source: Path, output: Path | None, name: str | None, overrides: dict[str, Any], *, afresh: bool = False
) -> tuple[Recipe, Path]:
    """The recipe and the run folder: without a recipe's name a run that exists goes on with its own, unless `afresh`.

    Raises:
        RecipeError: no such recipe, or problems in it.
    """
    made = make_recipe(name, overrides)
    root = output or default_output(source, made)
    own = root / "recipe.yaml"
    if name is None and not afresh and own.is_file() and (root / STATE).is_dir():
        return own_recipe(root, {**_other_goals(overrides), **overrides}), root
    return made, root


def _other_goals(overrides: dict[str, Any]) -> dict[str, Any]:
    """A goal that is asked for replaces the run's own."""
    if "per_class" in overrides:
        return {"ratio": None, "balance": False}
    return {"per_class": None} if "ratio" in overrides or "balance" in overrides else {}


@contextmanager
def opened(source: Path, root: Path, recipe: Recipe, access: Access) -> Iterator[Run]:
    """An open run under its writer lock."""
    set_thread_policy()  # for a script that has not imported torch yet
    go_offline(recipe.run.offline)
    prepare_output(root, source, access.options)
    existed = root.is_dir()
    store = ShardStore(root)
    with store.lock(access.wait_lock):
        try:
            run = open_run(store, source, recipe, access.options, access.reporter)
        except GifError:
            if not (store.state / PLAN).is_file():  # nothing has begun: leave nothing behind
                shutil.rmtree(store.state)
                if not existed:
                    root.rmdir()
            raise
        try:
            yield run
        finally:
            if run.engine is not None:
                run.engine.close()


def _export(run: Run) -> pipeline.Done:
    start = time.perf_counter()
    if not exporting.export(run):
        return pipeline.Done("export")
    counts = summarise(run)
    return pipeline.Done("export", 1, counts.originals + counts.generated, time.perf_counter() - start)
