"""Folders -> labels and splits: class folders, train/val/test above class folders, or one flat class."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gifcli.errors import InputError
from gifcli.records import Failure
from gifcli.sources.folders import Found, Tree, printable
from gifcli.sources.tables import Table
from gifcli.wording import number_of, some

SPLITS = frozenset(["train", "val", "valid", "validation", "dev", "test"])
EXPECTED = "expected SOURCE/<class>/*.jpg, SOURCE/train/<class>/*.jpg, or images of one class right in SOURCE"


@dataclass(frozen=True, slots=True)
class Layout:
    """How folders become labels.

    splits      top-level folder -> split; empty where all is train
    flat_label  the one class of a folder without class folders, else None
    table       labels that stand in a file, which then decides alone
    """

    splits: dict[str, str]
    flat_label: str | None
    table: Table | None = None

    def place(self, path: str) -> tuple[str, str] | None:
        """(split, label) of an image's relative path; None where no class folder holds it, or no table lists it."""
        if self.table is not None:
            return self.table.places.get(path)
        *folders, _ = path.split("/")
        if self.flat_label is not None:
            return "train", self.flat_label
        if self.splits:
            return (self.splits[folders[0]], folders[1]) if len(folders) > 1 else None
        return ("train", folders[0]) if folders else None

    def labels(self, tree: Tree) -> list[str]:
        """The classes of train, in label order."""
        if self.table is not None:
            return self.table.classes
        if self.flat_label is not None:
            return [self.flat_label]
        parts = [folder.split("/") for folder in tree.folders]
        if self.splits:
            return sorted({p[1] for p in parts if len(p) == 2 and self.splits[p[0]] == "train"})
        return sorted(p[0] for p in parts if len(p) == 1)


def find_layout(root: Path, tree: Tree, table: Table | None = None) -> Layout:
    """Top-level folders are splits if all of them are named so and one is train; without any the root is a class."""
    if table is not None:
        return Layout({}, None, table)
    top = _top(tree)
    if not top:
        name = Path(os.path.abspath(root)).name  # noqa: PTH100 - resolve() would take the name of a link's target
        return Layout({}, printable(name) or "images")
    splits = {folder: folder.lower() for folder in top}
    if "train" in splits.values() and SPLITS.issuperset(splits.values()):
        return Layout(splits, None)
    return Layout({}, None)


def check_classes(root: Path, tree: Tree, labels: list[str], used: set[str], failures: list[Failure]) -> None:
    """Refuses a source in which a class of train, or all of it, has no image that can be used.

    Raises:
        InputError: names the classes, and the first unusable file.

    """
    first = min(failures, key=lambda failure: failure.path, default=None)
    example = f" (for example {first.path}: {first.reason})" if first else ""
    if not used:
        found = f"{len(tree.folders)} folders, {len(failures)} unusable and {tree.others.total()} other files"
        raise InputError(f"{root}: no images to work on; {EXPECTED}; found {found}{example}")
    empty = [printable(label) for label in labels if label not in used]
    if empty:
        raise InputError(
            f"{root}: expected an image in each class folder, found none that can be used in {some(empty)}{example};"
            " add images there, or take the folder away"
        )


def doubts(tree: Tree, layout: Layout) -> Iterator[str]:
    """Warns of split folders taken as classes, and of skipped files."""
    if layout.table is not None:
        yield from layout.table.warnings
        return
    named = sorted(folder for folder in _top(tree) if folder.lower() in SPLITS)
    if named and not layout.splits:
        yield f"taken as classes, not as splits, as not all folders are splits with a train: {some(named)}"
    if tree.others:
        kinds = some([f"{suffix} ({count})" for suffix, count in sorted(tree.others.items())])
        yield f"skipped {number_of(tree.others.total(), 'file')} without an image, by suffix: {kinds}"


def unplaced(found: Found) -> Failure:
    """An image that lies beside the class folders."""
    return Failure(printable(found.path), "no class folder holds it")


def _top(tree: Tree) -> list[str]:
    return [folder for folder in tree.folders if "/" not in folder]
