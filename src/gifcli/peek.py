"""Opening a run to look at it: nothing is written, no lock is taken."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gifcli import holdout, settings
from gifcli.plan import Plan
from gifcli.run import (
    CACHE,
    HOLDOUT,
    PLAN,
    SETTINGS,
    UNPACKED,
    Reporter,
    Run,
    _file,
    _with_dtype,
    _with_rules,
    own_recipe,
    source_of,
)
from gifcli.session import go_offline
from gifcli.shards import ShardStore
from gifcli.source import scan


def peek_run(root: Path, overrides: Mapping[str, Any], reporter: Reporter) -> Run:
    """A run as it stands, under its own recipe with `overrides`.

    Raises:
        UsageError: that is no run folder.
        RecipeError: an override has problems.
        InputError: the source is not there any more.
    """
    source, recipe = source_of(root), own_recipe(root, overrides)
    go_offline(recipe)
    store = ShardStore(root)
    unpacked = store.state / UNPACKED
    folder = unpacked if unpacked.is_dir() else source
    known = store.load(CACHE) or {}
    found = scan(folder, classes_file=_file(recipe.input.classes), labels_file=_file(recipe.input.labels), known=known)
    plan = Plan.from_state(store.load(PLAN))
    trained = {planned.sha256 for planned in plan.sources}
    aside = holdout.choose(found.sources, recipe.input.holdout, store.load(HOLDOUT) or [], trained)
    if recipe.input.holdout:
        found.sources[:] = holdout.split_off(found.sources, aside)
    stored = store.load(SETTINGS) or {}
    resolved = _with_rules(store, _with_dtype(settings.resolve(recipe, stored), stored))
    return Run(store, folder, resolved, found, plan, reporter, settings.stage_settings(resolved))
