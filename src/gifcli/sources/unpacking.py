"""A source that is archives, unpacked into the run folder once: from then on it is a folder of images like any other."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from gifcli.errors import InputError
from gifcli.formats.names import Names, folder_names
from gifcli.sources.archives import Archive, Packed, find_archives
from gifcli.sources.folders import IMAGES, starts_like_image
from gifcli.sources.tables import (
    UNPACKED_TABLE,
    Table,
    about_generated,
    join_labels,
    readable_join,
    table_to_json,
)
from gifcli.state.seals import seal, unseal
from gifcli.state.shards import free_room, write_atomic

STAMPS = "archives"


def unpack(source: Path, into: Path) -> Path:
    """The folder to read images from: the source itself, or where its archives are unpacked (again, if they changed).

    Raises:
        InputError: an archive is damaged, or holds no images.
    """
    archives = find_archives(source)
    if not archives:
        return source
    stamps = [[archive.path.name, archive.split, *_stamp(archive.path)] for archive in archives]
    done = into / UNPACKED_TABLE
    if done.is_file() and unseal(done.read_bytes()).get(STAMPS) == stamps:
        return into
    with free_room():
        shutil.rmtree(into, ignore_errors=True)
        into.mkdir(parents=True)
        table = _unpack(archives, into, PurePosixPath(source.name.partition(".")[0] or "images").name)
        write_atomic(done, seal({**table_to_json(table), STAMPS: stamps}))
    return into


@contextmanager
def unpacked_for_now(source: Path) -> Iterator[Path]:
    """The same in a temporary folder, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="gif-") as folder:
        yield unpack(source, Path(folder) / "source")


@dataclass(slots=True)
class _Unpacked:
    """What is known of the images so far."""

    into: Path
    flat: str
    joined: bool
    names: Names = field(default_factory=Names)
    places: dict[str, tuple[str, str]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    generated: int = 0

    def add(self, archive: Archive, image: Packed) -> None:
        """Writes one image, or notes why not."""
        if not image.data:
            self.failures[f"{archive.path.name}/{image.name}"] = "the archive holds no bytes of it"
            return
        label = self._label(image)
        folder = f"{archive.split}/{folder_names([label])[label] or 'images'}"
        path = PurePosixPath(image.name)
        suffix = path.suffix if path.suffix.lower() in IMAGES else _suffix(image.data)
        key = hashlib.sha256(image.data).hexdigest()[:8]
        name = self.names.take(next(self.names.candidates(folder, path.stem, suffix, key)))
        target = self.into / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(image.data)
        time = archive.path.stat().st_mtime_ns
        os.utime(target, ns=(time, time))  # the same after a kill
        self.places[name] = archive.split, label
        self.generated += image.is_synthetic

    def _label(self, image: Packed) -> str:
        if image.labels is None:
            return self.flat
        if isinstance(image.labels, str):
            return join_labels([image.labels]) if self.joined else image.labels
        return join_labels(image.labels) if self.joined else image.labels[0]


def _unpack(archives: list[Archive], into: Path, flat: str) -> Table:
    found = _Unpacked(into, flat, joined=any(archive.joins() for archive in archives))
    for archive in archives:
        for image in archive.images():
            found.add(archive, image)
    if not found.places:
        raise InputError(
            f"{archives[0].path}: expected images in it, found none; expected WebDataset tars or Parquet files"
        )
    if not any(split == "train" for split, _ in found.places.values()):
        found.places = {path: ("train", label) for path, (_, label) in found.places.items()}
    train = {label for split, label in found.places.values() if split == "train"}
    order = list(dict.fromkeys(label for archive in archives for label in archive.order))
    classes = [label for label in order if label in train] + sorted(train - set(order))
    told = {label: name for archive in archives for label, name in archive.names.items() if label in train}
    names = {label: readable_join(label) for label in classes} if found.joined else told
    absent = [] if found.joined else [label for label in order if label not in train]
    warnings = about_generated(found.generated, len(found.places))
    if absent:
        warnings.append(f"classes without images in train, left out, so that later ones move up: {', '.join(absent)}")
    origin = archives[0].path.name
    return Table(found.places, classes, names, found.joined, found.failures, warnings, origin)


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _suffix(data: bytes) -> str:
    """By the first bytes; what is none that we know is left to fail as a .jpg."""
    kinds = {b"\x89PNG": ".png", b"GIF8": ".gif", b"RIFF": ".webp", b"II*\0": ".tif", b"MM\0*": ".tif"}
    return next(
        (suffix for start, suffix in kinds.items() if data.startswith(start) and starts_like_image(data[:16])), ".jpg"
    )
