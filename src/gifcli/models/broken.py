"""What libraries raise of a model's files, as one line that says which model, why, and what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

from gifcli.errors import GifError, ModelMissingError

LONGEST = 300
"""Characters of a library's own reason: some print all names of all tensors."""


@contextmanager
def told_if_broken(problem: str, advice: str = "") -> Iterator[None]:
    """Whatever is raised inside becomes `problem: reason; advice`; our own errors pass as they are.

    Raises:
        ModelMissingError: something else was raised inside.
    """
    try:
        yield
    except GifError:
        raise
    except Exception as error:  # libraries raise many kinds for a broken file
        reason = " ".join((str(error) or type(error).__name__).split())[:LONGEST]
        raise ModelMissingError(f"{problem}: {reason}{f'; {advice}' if advice else ''}") from error
