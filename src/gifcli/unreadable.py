"""Files that cannot be used: how many are still fine, and the end of a run that has more."""

from pathlib import Path

from gifcli.dataset.exporting import FAILURES, write_failures
from gifcli.dataset.sums import amending
from gifcli.errors import InputError
from gifcli.recipe.recipe import Recipe
from gifcli.state.run import Run
from gifcli.state.unusable import failures, usable
from gifcli.wording import number_of


def require_readable(failed: int, fine: int, recipe: Recipe, output: str | Path) -> None:
    """Says whether few enough of a source's files failed, beside those that are `fine`; `output` is the run folder.

    Raises:
        InputError: more of them than `input.max_failures` allows.
    """
    if failed and failed / (failed + fine) > recipe.input.max_failures:
        raise InputError(
            f"{failed} of {number_of(failed + fine, 'file')} could not be used, more than "
            f"--max-failures {recipe.input.max_failures:.0%}; {output}/{FAILURES} says why. Mend or remove them and run the "
            "same again with --if-exists extend, which takes mended files in; or allow for more with --max-failures"
        )


def stop_if_unreadable(run: Run) -> None:
    """The same of a run that is extracted, before anything is generated: what is done stays done.

    Raises:
        InputError: too many files failed; they are listed by then.
    """
    try:
        require_readable(len(failures(run)), usable(run), run.recipe, run.root)
    except InputError:
        with amending(run.root, FAILURES):
            write_failures(run, run.root)
        raise
