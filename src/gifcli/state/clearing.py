"""Taking back what was done: the last stage first, so that what a kill leaves still fits together."""

import shutil
from collections.abc import Mapping
from typing import Any

from gifcli.errors import UsageError
from gifcli.formats.ledger import FileLedger
from gifcli.models import prior_card
from gifcli.recipe import settings
from gifcli.recipe.ignored import without_ignored
from gifcli.state.files import EXPORT, LEDGER, RULES, SUMS, UNPACKED
from gifcli.state.owed import VERDICTS
from gifcli.state.run import Options, Run
from gifcli.state.shards import ShardStore


def redo(run: Run, stored: Mapping[str, Any], options: Options) -> None:
    """Clears what is to be redone; refuses settings that finished shards were not made with."""
    first = settings.STAGES.index(options.redo) if options.redo else len(settings.STAGES)
    prior, card = run.recipe.prior, prior_card(run.recipe.prior.name)
    for place, stage in enumerate(settings.STAGES[:3]):
        old, new = (without_ignored(each.get(stage, {}), prior, card) for each in (stored, run.stages))
        differences = settings.changes(old, new) if stage in stored else []
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


def empty(store: ShardStore) -> None:
    """Removes the state, and the files that exports wrote."""
    for done in (store.root / SUMS, store.state / EXPORT):
        done.unlink(missing_ok=True)
    if (store.state / LEDGER).is_file():
        with FileLedger(store.state / LEDGER) as ledger:
            for name in ledger:
                (store.root / name).unlink(missing_ok=True)
    clear_from(store, "extract")
    for path in store.state.iterdir():
        if path.name not in ("lock", UNPACKED):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
