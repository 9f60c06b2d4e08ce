"""The source folder: labelled image files, found, identified and ordered, before any pixel is decoded."""

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from gifcli.errors import UsageError
from gifcli.records import Failure, Source
from gifcli.sources.classes import read_names, same_names
from gifcli.sources.folders import Found, Tree, printable, walk
from gifcli.sources.layout import Layout, check_classes, doubts, find_layout, unplaced
from gifcli.sources.tables import find_table
from gifcli.sources.twins import once, shared
from gifcli.wording import are, number_of, some

Stamp = tuple[int, int, str]
"""(size in bytes, time of the last change in nanoseconds, sha256)"""

READERS = 4


@dataclass(frozen=True, slots=True)
class Scan:
    """What a source folder holds.

    sources   usable files by split (train first), label and path; exact duplicates once
    failures  files that cannot be used, by path
    classes   label -> readable name, in label order (the sorted class folders of train)
    warnings  sentences for the user
    splits    those with sources, train first
    flat      whether all images are one class, named after the folder
    files     path -> stamp of every file that was hashed, for the next `scan`
    joined    whether images may have several labels, joined into one by "+"
    """

    sources: list[Source]
    failures: list[Failure]
    classes: dict[str, str]
    warnings: list[str]
    splits: list[str]
    flat: bool
    files: dict[str, Stamp]
    joined: bool = False


def scan(
    root: Path,
    *,
    classes_file: Path | None = None,
    labels_file: Path | None = None,
    known: Mapping[str, Stamp] = MappingProxyType({}),
) -> Scan:
    """Finds and identifies the images of a folder; a file of unchanged size and time in `known` is not hashed again.

    `labels_file` says which image has which label; without it a metadata.jsonl, labels.csv or the like in the folder does,
    else the names of folders do.

    Raises:
        InputError: no such folder, no images, a class without any, a loop of links, or a broken `classes.yaml`.

    """
    root = Path(root)
    tree = walk(root)
    layout = find_layout(root, tree, find_table(root, labels_file))
    files, unreadable = _stamps(root, tree, known)
    sources, failures = _sources(tree, layout, files)
    failures += [*tree.failures, *unreadable, *_listed_in_vain(layout, tree)]
    labels = layout.labels(tree)
    check_classes(root, tree, labels, {s.label for s in sources if s.split == "train"}, failures)
    names = read_names(root, labels, classes_file, layout.table.names if layout.table else {})
    inside = [source for source in sources if source.label in names.names]
    outside = [_outside(source) for source in sources if source.label not in names.names]
    used, repeated = once(inside)
    warnings = [*doubts(tree, layout), *names.warnings, *same_names(names.names), *repeated, *shared(inside)]
    if outside:
        classes = sorted({printable(s.label) for s in sources if s.label not in names.names})
        warnings.append(
            f"{number_of(len(outside), 'image')} {are(len(outside))} of classes that do not occur in train: {some(classes)}"
        )
    return Scan(
        sources=used,
        failures=sorted(failures + outside, key=lambda failure: failure.path),
        classes=names.names,
        warnings=warnings,
        splits=list(dict.fromkeys(source.split for source in used)),
        flat=layout.flat_label is not None,
        files=files,
        joined=layout.table is not None and layout.table.joined,
    )


def refuse_overlap(source: Path, output: Path) -> None:
    """Refuses an output that is the source, lies inside it or holds it, links resolved.

    Raises:
        UsageError: they overlap, or a path is a loop of links.

    """
    try:
        inner, outer = source.resolve(), output.resolve()
    except (OSError, RuntimeError) as error:
        raise UsageError(f"{output}: cannot be resolved ({error}); choose another output with -o") from error
    if _holds(inner, outer):
        raise UsageError(f"the output {output} lies in the source {source}; choose a folder outside it with -o")
    if _holds(outer, inner):
        raise UsageError(f"the source {source} lies in the output {output}; choose a folder outside it with -o")


def _holds(folder: Path, path: Path) -> bool:
    """Whether `path` is `folder` or below it, by name or (bind mounts, case-blind file systems) by identity."""
    chain = (path, *path.parents)
    if folder in chain:
        return True
    return folder.exists() and any(part.exists() and part.samefile(folder) for part in chain)


def _stamps(root: Path, tree: Tree, known: Mapping[str, Stamp]) -> tuple[dict[str, Stamp], list[Failure]]:
    """The stamp of each readable image by path, in code point order; and the images that cannot be read."""
    images = sorted(tree.images, key=lambda found: found.path)
    with ThreadPoolExecutor(READERS) as threads:
        digests = list(threads.map(lambda found: _digest(root, found, known.get(found.path)), images))
    pairs = list(zip(images, digests, strict=True))
    stamps = {found.path: (found.size, found.mtime_ns, digest) for found, digest in pairs if isinstance(digest, str)}
    unreadable = [(found, error) for found, error in pairs if isinstance(error, OSError)]
    return stamps, [Failure(printable(found.path), str(error.strerror).lower()) for found, error in unreadable]


def _digest(root: Path, found: Found, known: Stamp | None) -> str | OSError:
    """sha256 of a file in hex, taken from `known` where size and time have not changed; or why it cannot be read."""
    if known is not None and tuple(known[:2]) == (found.size, found.mtime_ns):
        return known[2]
    try:
        with (root / found.path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return error


def _sources(tree: Tree, layout: Layout, files: Mapping[str, Stamp]) -> tuple[list[Source], list[Failure]]:
    """Readable images with their labels, ordered; those in no class folder are failures."""
    sources: list[Source] = []
    failures: list[Failure] = []
    for found in tree.images:
        if found.path not in files:
            continue
        place = layout.place(found.path)
        if place is None:
            failures += [unplaced(found)] if layout.table is None else []
        else:
            sources.append(_source(found, *place, files[found.path][2]))
    return sorted(sources, key=lambda s: (s.split != "train", s.split, s.label, s.path)), failures


def _listed_in_vain(layout: Layout, tree: Tree) -> list[Failure]:
    """What a table lists and cannot be used."""
    if layout.table is None:
        return []
    there = {found.path for found in tree.images} | {failure.path for failure in tree.failures}
    gone = [path for path in layout.table.places if path not in there]
    reasons = layout.table.failures | dict.fromkeys(gone, f"{layout.table.origin} lists it, but it is not there")
    return [Failure(printable(path), reason) for path, reason in reasons.items()]


def _source(found: Found, split: str, label: str, sha256: str) -> Source:
    key = hashlib.sha256(f"{sha256}\0{label}\0{split}".encode()).hexdigest()[:16]
    return Source(key, label, split, found.path, sha256, found.size)


def _outside(source: Source) -> Failure:
    return Failure(printable(source.path), f"the class {printable(source.label)} does not occur in train")
