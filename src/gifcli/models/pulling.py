"""Downloading models: those that somebody names, and those that a recipe names and this machine lacks."""

from collections.abc import Callable, Sequence

from gifcli.models import hub
from gifcli.models.tags import is_tagged, pull_tag, tag_files

Say = Callable[[str], None]


def pull_named(names: Sequence[str], say: Say) -> dict[str, str]:
    """Downloads models of the hub and of open_clip (ARCH:TAG); `say` is told before each. -> name -> where it lies.

    Raises:
        ModelMissingError: one of them cannot be downloaded.
        UsageError: one of them is neither a hub id nor a tag.
    """
    places: dict[str, str] = {}
    for name in names:
        if is_tagged(name):
            say(f"pulling {name} ...")
            places[name] = str(pull_tag(name))
        else:
            places |= hub.pull_all([name], say)
    return places


def pull_missing(names: Sequence[str | None], say: Say) -> None:
    """Downloads those of the models a recipe names that are not on this machine, before any worker asks; never offline.

    Raises:
        ModelMissingError: one of them cannot be downloaded.
    """
    if not hub.offline():
        pull_named([name for name in dict.fromkeys(names) if name and _is_missing(name)], say)


def _is_missing(name: str) -> bool:
    return hub.is_missing(name) or (is_tagged(name) and not tag_files(name))
