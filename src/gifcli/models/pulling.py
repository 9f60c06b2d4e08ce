"""Downloading models: those that somebody names, and those that a recipe names and this machine lacks."""

from collections.abc import Callable, Sequence
from pathlib import Path

from gifcli.models import hub
from gifcli.models.checkpoint import read_checkpoint
from gifcli.models.tags import is_tagged, pull_tag, tag_files

Say = Callable[[str], None]


def pull_named(names: Sequence[str], say: Say) -> dict[str, str]:
    """Downloads models of the hub, each with its tiny autoencoder, and of open_clip (ARCH:TAG) -> name -> where it lies.

    `say` is told before each.

    Raises:
        ModelMissingError: one of them cannot be downloaded.
        UsageError: one of them is neither a hub id nor a tag.
    """
    places: dict[str, str] = {}
    for name in names:
        say(f"pulling {hub.hub_id(name) or name} ...")
        if is_tagged(name):
            places[name] = str(pull_tag(name))
        else:
            folder = hub.pull(name)
            places |= {name: str(folder), **_pull_tiny(folder, say)}
    return places


def pull_missing(names: Sequence[str | None], say: Say) -> None:
    """Downloads those of the models a recipe names that are not on this machine, before any worker asks; never offline.

    Raises:
        ModelMissingError: one of them cannot be downloaded.
    """
    if not hub.offline():
        pull_named([name for name in dict.fromkeys(names) if name and _is_missing(name)], say)


def _pull_tiny(folder: Path, say: Say) -> dict[str, str]:
    """The tiny autoencoder that goes with a checkpoint, where neither has it already."""
    if not (folder / "model_index.json").is_file() or (folder / "tiny_vae").is_dir():
        return {}
    tiny = hub.TINY[read_checkpoint(folder, "models pull").kind]
    if hub.find(tiny) is not None:
        return {}
    say(f"pulling {hub.ALIASES[tiny]}, which guidance decodes with ...")
    return {tiny: str(hub.pull(tiny))}


def _is_missing(name: str) -> bool:
    return hub.is_missing(name) or (is_tagged(name) and not tag_files(name))
