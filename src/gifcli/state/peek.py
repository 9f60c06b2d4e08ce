"""Opening a run to look at it: nothing is written, no lock is taken."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gifcli.models.hub import go_offline
from gifcli.recipe import settings
from gifcli.reporter import Reporter
from gifcli.sources import holdout
from gifcli.sources.source import scan
from gifcli.state.files import CACHE, HOLDOUT, PLAN, SETTINGS, UNPACKED
from gifcli.state.opening import file_of
from gifcli.state.plan import Plan
from gifcli.state.resolving import own_recipe, source_of, with_dtype, with_rules
from gifcli.state.run import Run
from gifcli.state.shards import ShardStore


def peek_run(root: Path, overrides: Mapping[str, Any], reporter: Reporter) -> Run:
    """A run as it stands, under its own recipe with `overrides`.

    Raises:
        UsageError: that is no run folder.
        RecipeError: an override has problems.
        InputError: the source is not there any more.
    """
    source, recipe = source_of(root), own_recipe(root, overrides)
    go_offline(recipe.run.offline)
    store = ShardStore(root)
    unpacked = store.state / UNPACKED
    folder = unpacked if unpacked.is_dir() else source
    known = store.load(CACHE) or {}
    found = scan(
        folder, classes_file=file_of(recipe.input.classes), labels_file=file_of(recipe.input.labels), known=known
    )
    plan = Plan.from_state(store.load(PLAN))
    trained = {planned.sha256 for planned in plan.sources}
    aside = holdout.choose(found.sources, recipe.input.holdout, store.load(HOLDOUT) or [], trained)
    if recipe.input.holdout:
        found.sources[:] = holdout.split_off(found.sources, aside)
    stored = store.load(SETTINGS) or {}
    resolved = with_rules(store, with_dtype(settings.resolve(recipe, stored, reporter.warn), stored))
    return Run(store, folder, resolved, found, plan, reporter, settings.stage_settings(resolved))
