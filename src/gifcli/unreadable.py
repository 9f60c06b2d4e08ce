"""Files that cannot be used: how many are still fine, and the end of a run that has more."""

from pathlib import Path

from gifcli import pipeline
from gifcli.dataset.exporting import FAILURES, write_failures
from gifcli.dataset.sums import amending
from gifcli.errors import InputError
from gifcli.recipe.recipe import Recipe
from gifcli.state.run import Run
from gifcli.wording import number_of


def require_readable(failed: int, usable: int, recipe: Recipe, output: str | Path) -> None:
    """Says whether few enough files failed; `output` is the run folder.

    Raises:
        InputError: more of them than `input.max_failures` allows.
    """
    if failed / (failed + usable) > recipe.input.max_failures:
        raise InputError(
            f"{failed} of {number_of(failed + usable, 'file')} could not be used, more than "
            f"--max-failures {recipe.input.max_failures:.0%}; {output}/{FAILURES} says why"
        )


def stop_if_unreadable(run: Run) -> None:
    """The same of a run that is extracted, before anything is generated: what is done stays done.

    Raises:
        InputError: too many files failed; they are listed by then.
    """
    try:
        require_readable(len(pipeline.failures(run)), len(run.seeds()), run.recipe, run.root)
    except InputError as error:
        with amending(run.root, FAILURES):
            write_failures(run, run.root)
        raise InputError(f"{error}. Mend them, or allow for more, and run the same again") from None
