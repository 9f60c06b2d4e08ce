"""A model's name as settings give it: in a run's recipe it means the same from any folder, in what is shared it tells no path."""

from pathlib import Path

KEPT = ("auto", "none", "classical", "embedded")
"""Names that are no paths, whatever lies in the working folder."""


def settled(name: str) -> str:
    """The name with a path that is there made absolute (of ARCH:FILE the file); any other name as it is."""
    if name in KEPT:
        return name
    if (path := Path(name).expanduser()).exists():
        return str(_absolute(path))
    arch, colon, weights = name.partition(":")
    if colon and weights and (path := Path(weights).expanduser()).is_file():
        return f"{arch}:{_absolute(path)}"
    return name


def shown(name: str) -> str:
    """The name for manifests, cards and image files: of an absolute path the last part, for its content hash says the rest."""
    arch, colon, weights = name.partition(":")
    if colon and Path(weights).is_absolute():
        return f"{arch}:{Path(weights).name}"
    return Path(name).name if Path(name).is_absolute() else name


def _absolute(path: Path) -> Path:
    """Links stay what they are; `..` is followed as the file system does."""
    return path.parent.resolve() / path.name if path.name not in ("", "..") else path.resolve()
