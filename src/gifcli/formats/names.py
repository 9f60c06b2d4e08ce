"""Names of exported files: as in the source where that is possible, and never two that some file system takes for one."""

import itertools
import unicodedata
from collections.abc import Iterable, Iterator

LONGEST = 255
"""Bytes that a file name may have on common file systems."""


def identity(name: str) -> str:
    """Equal for names that a file system may take for one: case, NFC against NFD."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())


class Names:
    """Relative paths taken so far, in the order in which they were."""

    def __init__(self) -> None:
        self._taken: dict[str, str] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._taken.values())

    def take(self, name: str) -> str:
        """Marks a path as taken, and returns it."""
        self._taken[identity(name)] = name
        return name

    def twin(self, name: str) -> str | None:
        """The taken path that some file system takes for this one."""
        return self._taken.get(identity(name))

    def candidates(self, folder: str, stem: str, suffix: str, key: str) -> Iterator[str]:
        """Free paths to choose from, best first: the plain name, then with the item's key, then numbered; endless."""
        ends = itertools.chain(["", f"-{key}"], (f"-{key}-{n}" for n in itertools.count(2)))
        for end in ends:
            name = f"{folder}/{_fit(_clean(stem), end + suffix)}"
            if self.twin(name) is None:
                yield name


def folder_names(labels: Iterable[str], reserved: Iterable[str] = ()) -> dict[str, str]:
    """Label -> folder name: the label itself, but for those that would share a folder with an earlier one."""
    names = Names()
    for name in reserved:
        names.take(name)
    folders = {}
    for label in labels:
        numbered = (_fit(_clean(label), f"-{n}") for n in itertools.count(2))
        free = (name for name in itertools.chain([_clean(label)], numbered) if names.twin(name) is None)
        folders[label] = names.take(next(free))
    return folders


def _clean(stem: str) -> str:
    """Without what loaders cannot follow: separators (a backslash is taken for one) and bytes that are no text."""
    text = stem.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return text.replace("\\", "_").replace("/", "_").replace("\0", "_")


def _fit(stem: str, end: str) -> str:
    """Stem and end, the stem cut at a character so that the name is not too long."""
    room = LONGEST - len(end.encode())
    return stem.encode()[:room].decode("utf-8", "ignore") + end
