"""gifcli turns a small folder of labelled images into a bigger, useful, traceable training set.

    summary = gifcli.expand("photos", ratio="5x")

does what `gif expand photos --ratio 5x` does. Importing gifcli imports no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gifcli.errors import GifError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

    from gifcli.summary import Summary

__version__ = "0.1.0"
__all__ = ["GifError", "__version__", "expand"]


def expand(
    source: str | PathLike[str],
    output: str | PathLike[str] | None = None,
    *,
    ratio: str | float | None = None,
    recipe: str | PathLike[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    if_exists: str = "resume",
) -> Summary:
    """Expands a folder of labelled images, or does what is still owed of it; -> what came of it, in counts.

    output    the run folder; by default `<source>-<ratio>`, beside the source
    recipe    a recipe file, or the name of one that gifcli ships
    settings  any settings of the recipe by path, such as {"prior.strength": 0.5}
    if_exists resume, extend, overwrite or error

    A run that ends short of the ratio is no error here: look at `summary.shortfall`.

    Raises:
        GifError: see the exception tree in errors.py.
    """
    from pathlib import Path

    from gifcli import session
    from gifcli.state.run import Options

    overrides = {**(settings or {}), **({} if ratio is None else {"ratio": ratio})}
    target = None if output is None else Path(output)
    name = None if recipe is None else str(recipe)
    made, root = session.prepare(Path(source), target, name, overrides, afresh=if_exists == "overwrite")
    return session.expand(Path(source), root, made, session.Access(Options(if_exists)))
