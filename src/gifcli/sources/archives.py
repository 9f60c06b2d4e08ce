"""Images with labels out of files that hold many: WebDataset tars (or any tar of class folders) and Parquet files."""

import json
import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from gifcli.errors import InputError
from gifcli.sources.folders import IMAGES
from gifcli.sources.tables import LABELS, SPLITS

TARS = (".tar", ".tar.gz", ".tgz")
IMAGE_NAMES = ("image", "img", "image_bytes", "jpg", "png", "bytes")
BATCH = 64
_SPLIT = re.compile(rf"(?:^|[/_.-])({'|'.join(SPLITS)})(?:[/_.-]|$)")


class Packed(NamedTuple):
    """One image of an archive; `labels` is None where nothing is said, a list where it may have several or none."""

    name: str
    data: bytes | None
    labels: str | list[str] | None
    is_synthetic: bool = False


@dataclass(frozen=True, slots=True)
class Archive:
    """A tar or a Parquet file, its split, and the order of the labels where it is told."""

    path: Path
    split: str
    order: list[str] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)

    def images(self) -> Iterator[Packed]:
        """Its images in order.

        Raises:
            InputError: it is damaged.
        """
        with _plainly(self.path):
            yield from _from_tar(self) if self.path.name.endswith(TARS) else _from_parquet(self)

    def joins(self) -> bool:
        """Whether any image has several labels, or a list of none; reads no images. Raises as `images` does."""
        with _plainly(self.path):
            cells = _told_in_tar(self.path) if self.path.name.endswith(TARS) else _told_in_parquet(self.path)
            return any(isinstance(labels, list) and len(labels) != 1 for labels in cells)


def find_archives(source: Path) -> list[Archive]:
    """The archives that a source consists of; none where it is a folder of image files."""
    if source.is_file():
        return [_archive(source, source.parent, "train")] if _is_archive(source) else []
    if not source.is_dir() or (source / ".gifcli").exists():
        return []
    folders = [path for path in source.iterdir() if path.is_dir() and not path.name.startswith(".")]
    inner = [path for path in folders if path.name.lower() in {"data", *SPLITS}]
    if any(path not in inner and path.name != "report" for path in folders):
        return []  # class folders
    paths = [path for folder in (source, *inner) for path in folder.iterdir() if path.is_file() and _is_archive(path)]
    found = [_archive(path, source, split_of(path.relative_to(source).as_posix())) for path in sorted(paths)]
    return found if len(found) > 1 or not found else [_archive(found[0].path, source, "train")]


def split_of(path: str) -> str:
    """The split that a path names, as in `data/test-00000-of-00001.parquet`; train where it names none."""
    match = _SPLIT.search(path.lower())
    return match[1] if match else "train"


def _is_archive(path: Path) -> bool:
    if path.name.endswith(TARS):
        return True
    return path.suffix == ".parquet" and _columns(path)[0] is not None


def _archive(path: Path, root: Path, split: str) -> Archive:
    if path.suffix == ".parquet":
        return Archive(path, split, _columns(path)[2])
    for folder in (path.parent, root):
        classes = folder / "classes.json"
        if classes.is_file():
            told = json.loads(classes.read_bytes())
            order = list(told["class_to_idx"])
            return Archive(path, split, order, dict(zip(order, told.get("names", order), strict=True)))
    return Archive(path, split)


def _from_tar(archive: Archive) -> Iterator[Packed]:
    with tarfile.open(archive.path) as tar:
        members = ((member, tar.extractfile(member)) for member in tar if member.isfile())
        read = ((member.name.removeprefix("./"), content.read()) for member, content in members if content is not None)
        for key, group in groupby(read, key=lambda member: _key(member[0])):
            yield from _sample(key, dict(group), archive.order)


def _key(name: str) -> str:
    folder, _, file = name.rpartition("/")
    return f"{folder}/{file.partition('.')[0]}"


def _sample(key: str, members: dict[str, bytes], order: list[str]) -> Iterator[Packed]:
    """The images among the members of one sample, with the label that the others give it, else its folder's name."""
    parts = {name[len(key.lstrip("/")) + 1 :].lower(): content for name, content in members.items()}
    told = _told(parts["json"]) if "json" in parts else {}
    label = next((told[name] for name in LABELS if isinstance(told.get(name), str | list)), None)
    if label is None and ("cls" in parts or isinstance(told.get("label"), int)):
        text = parts.get("cls", str(told.get("label")).encode()).decode().strip()
        label = order[int(text)] if order and text.isdecimal() and int(text) < len(order) else text
    if label is None:
        label = PurePosixPath(key).parent.name or None
    for name, content in members.items():
        if PurePosixPath(name).suffix.lower() in IMAGES:
            file = str(told.get("file_name") or PurePosixPath(name).name)
            yield Packed(file, content, label, told.get("is_synthetic") is True)


def _told_in_tar(path: Path) -> Iterator[Any]:
    with tarfile.open(path) as tar:
        for member in tar:
            head = tar.extractfile(member) if member.isfile() and member.name.endswith(".json") else None
            if head is not None:
                yield _told(head.read()).get("labels")


def _told_in_parquet(path: Path) -> Iterator[Any]:
    import pyarrow.parquet as pq

    label = _columns(path)[1]
    yield from pq.read_table(path, columns=[label])[label].to_pylist() if label else []


@contextmanager
def _plainly(path: Path) -> Iterator[None]:
    """Turns what goes wrong in reading into our own error."""
    try:
        yield
    except (OSError, tarfile.TarError, EOFError, ValueError) as error:
        reason = str(error).partition("\n")[0].rstrip(":") or type(error).__name__
        raise InputError(f"{path}: expected a readable archive of images; {reason}") from error


def _told(data: bytes) -> dict[str, Any]:
    """What a sample's JSON says."""
    told = json.loads(data)
    return told if isinstance(told, dict) else {}


def _from_parquet(archive: Archive) -> Iterator[Packed]:
    import pyarrow.parquet as pq

    image, label, order = _columns(archive.path)
    number = 0
    with pq.ParquetFile(archive.path) as file:
        beside = [name for name in (label, "is_synthetic") if name and name in file.schema_arrow.names]
        for batch in file.iter_batches(BATCH, columns=[image, *beside]):
            for row in batch.to_pylist():
                number += 1
                cell = row[str(image)]
                data, path = (cell.get("bytes"), cell.get("path")) if isinstance(cell, dict) else (cell, None)
                labels = _named(row.get(label), order) if label else None
                name = PurePosixPath(path or f"{archive.path.stem}-{number:06d}").name
                yield Packed(name, data, labels, row.get("is_synthetic") is True)


def _named(value: Any, order: list[str]) -> str | list[str] | None:
    """Label ids as labels, where their order is told."""
    if isinstance(value, list):
        return [str(_named(each, order)) for each in value]
    if isinstance(value, int) and order:
        return order[value] if 0 <= value < len(order) else None
    return None if value is None else str(value)


def _columns(path: Path) -> tuple[str | None, str | None, list[str]]:
    """(image column, label column, labels in order) of a Parquet file; no image column where it holds no images."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
    except (OSError, pa.ArrowException):
        return None, None, []
    told = json.loads((schema.metadata or {}).get(b"huggingface", b"{}")).get("info", {}).get("features", {})
    image = next((name for name, kind in told.items() if isinstance(kind, dict) and kind.get("_type") == "Image"), None)
    image = image or next((field.name for field in schema if _holds_images(field)), None)
    kinds = {name: _class_names(kind) for name, kind in told.items()}
    label = next((name for name in LABELS if name in schema.names), None)
    label = label or next((name for name, names in kinds.items() if names), None)
    order = kinds.get(label or "", []) or kinds.get("label", [])
    return image, label, order


def _class_names(kind: Any) -> list[str]:
    """The names of a ClassLabel, or of a list of them."""
    inner = kind.get("feature", kind) if isinstance(kind, dict) else kind[0] if isinstance(kind, list) and kind else {}
    return list(inner.get("names", [])) if isinstance(inner, dict) else []


def _holds_images(field: Any) -> bool:
    import pyarrow.types as kinds

    if kinds.is_struct(field.type):
        return bool(field.type.get_field_index("bytes") >= 0)
    return field.name in IMAGE_NAMES and bool(kinds.is_binary(field.type) or kinds.is_large_binary(field.type))
