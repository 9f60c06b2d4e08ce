"""`gif eval`: proof that it helped, or that it did not. This file imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gifcli.evaluate.advice import make_advice, write_advice
from gifcli.evaluate.record import Evaluation, read_evaluations
from gifcli.evaluate.settings import EvaluationSettings, parse_threshold, require_gain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gifcli.session import Access
    from gifcli.state.run import Run

__all__ = ["EvaluationSettings", "evaluate_run", "parse_threshold", "require_gain", "write_run_advice"]


def evaluate_run(
    root: Path,
    settings: EvaluationSettings,
    access: Access | None = None,
    iterate: int | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Evaluation:
    """Measures whether a run's generated images help, and keeps the table, the advice, the card and the report with it.

    With `iterate`, first spends the run's budget anew in so many rounds, where a probe needs it most (`iterate_run`).
    `overrides`: how and where to run (`run.` settings by path).

    Raises:
        UsageError: no test images, or a setting that makes no sense.
        InputError: test images that cannot be used.
    """
    from gifcli import session
    from gifcli.state.resolving import own_recipe, source_of

    settings.checked()
    access = access or session.Access()
    source, recipe = source_of(root), own_recipe(root, overrides or {})
    with session.opened(source, root, recipe, access) as run:
        from gifcli.dataset.exporting import export, tell
        from gifcli.evaluate.evaluation import evaluate
        from gifcli.pipeline import need_rules

        need_rules(run)
        notes = []
        if iterate is not None:
            from gifcli.evaluate.iterate import iterate_run

            notes.append(iterate_run(run, iterate, settings))
            export(run)
        found = evaluate(run, settings)
        found.data["notes"] += notes
        tell(run, found.data)
        return found


def write_run_advice(run: Run, folder: Path, originals: int, generated: int) -> str:
    """Writes advice.yaml for a run into the folder of its dataset -> its name."""
    layout = run.recipe.export.to
    evaluations = read_evaluations(run.root)
    return write_advice(folder, make_advice(run.root.resolve().name, originals, generated, layout, evaluations))
