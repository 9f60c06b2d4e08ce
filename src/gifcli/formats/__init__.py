"""Formats: what export writes. One `match` lists them all."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol


@dataclass(frozen=True, slots=True)
class Item:
    """One image of the exported dataset.

    name      stem of the file to write; need not be unique, the format keeps equal names apart
    suffix    of the file to write, with its dot
    label_id  place of the label in the run's class order
    load      -> the bytes of the file; called once, when it is its turn
    row       its manifest row; "key", "parent_key", "parent_path", "prior" and "weight" go beside the image
    """

    name: str
    suffix: str
    split: str
    label: str
    label_id: int
    is_synthetic: bool
    load: Callable[[], bytes]
    row: dict[str, Any]


class Count(NamedTuple):
    """How many images there are."""

    original: int
    generated: int


@dataclass(frozen=True, slots=True)
class Model:
    """A model that took part, and under which terms its weights may be used."""

    name: str
    revision: str = ""
    licence: str = "unknown"


class Lora(NamedTuple):
    """What was added to the prior: its content hash decides which it is, `scale` how strongly."""

    name: str
    revision: str
    scale: float


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """What is said of a dataset as a whole.

    name        of the dataset, for its title
    source      name of the folder that was expanded
    classes     label -> readable name, in label order
    counts      split -> label -> how many images
    kept        generated images that passed all checks
    rejected    check or reason -> how many generated images it rejected
    missing     label -> how many images are owed and could not be made
    recipe      YAML text, as run
    licence     of the source images, as the user stated it, or "unknown"
    limits      sentences: what to know before using this
    measured    Markdown: what `gif eval` found
    nearness    sentences: how near the generated images lie to images that they should not copy
    to          format that the dataset is in
    joined      whether images may have several labels, joined into one by "+"
    loras       that images were made with, as the manifest says
    """

    name: str
    source: str
    classes: dict[str, str]
    counts: dict[str, dict[str, Count]]
    kept: int
    rejected: dict[str, int]
    recipe: str
    prior: Model
    encoder: Model
    licence: str = "unknown"
    missing: dict[str, int] = field(default_factory=dict)
    limits: tuple[str, ...] = ()
    measured: str = ""
    nearness: tuple[str, ...] = ()
    to: str = "imagefolder"
    joined: bool = False
    loras: tuple[Lora, ...] = ()

    @property
    def total(self) -> Count:
        """Images over all splits and classes."""
        cells = [count for by_label in self.counts.values() for count in by_label.values()]
        return Count(sum(count.original for count in cells), sum(count.generated for count in cells))


class Ledger(Protocol):
    """Names (relative paths) of the files that exports wrote; a plain set is one, `FileLedger` survives a kill."""

    def __contains__(self, name: object, /) -> bool: ...
    def __iter__(self) -> Iterator[str]: ...
    def add(self, name: str, /) -> None:
        """Called before the file is written."""
        ...

    def discard(self, name: str, /) -> None:
        """Called after the file was removed."""
        ...


class Format(Protocol):
    """One way to lay a dataset out in files."""

    def write(self, items: Iterator[Item], dest: Path, info: DatasetInfo, ledger: Ledger) -> list[str]:
        """Makes `dest` hold exactly these items, beside whatever the user put there.

        -> relative paths: one for each item, in their order, then those of other files. An item in a file that holds many
        is "path#member".

        Files in the ledger that are no longer listed are removed. A file that is not in the ledger is the user's own and
        is neither changed nor removed.
        """
        ...


def make_format(name: str) -> Format:
    """Makes a format by name.

    Raises:
        UsageError: no format has that name.

    """
    match name:
        case "imagefolder":
            from gifcli.formats.imagefolder import ImageFolder

            return ImageFolder()
        case "webdataset":
            from gifcli.formats.webdataset import WebDataset

            return WebDataset()
        case "parquet":
            from gifcli.formats.parquet import Parquet

            return Parquet()
        case _:
            from gifcli.errors import UsageError

            raise UsageError(f"--to: expected one of imagefolder, webdataset, parquet; found {name!r}")
