"""ImageFolder: `<split>/<label>/<name><suffix>` and `<split>/metadata.jsonl`, as torchvision and `datasets` read it.

A metadata file switches the loader's folder labels off, so it carries `label`; names ending `_file_name` would be taken for
images, so provenance is called `parent_path`; all splits must show the same types, so nothing in it is ever null.
"""

import contextlib
import filecmp
import io
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.json

from gifcli.formats import DatasetInfo, Item, Ledger
from gifcli.formats.columns import columns
from gifcli.formats.names import Names, folder_names
from gifcli.formats.stale import remove_stale

METADATA = "metadata.jsonl"
_TEMPORARY = ".export.tmp"


class ImageFolder:
    """Writes what changed, then the metadata, then removes what an earlier export wrote and this one does not list."""

    def write(self, items: Iterator[Item], dest: Path, info: DatasetInfo, ledger: Ledger) -> list[str]:
        """See `Format.write`. Holds one image in memory, and one name for each."""
        folders = folder_names(info.classes, reserved=[METADATA])
        by_id = not _read_as_text(info.classes)
        names = Names()
        with contextlib.ExitStack() as stack:
            metadata: dict[str, IO[str]] = {}
            for item in items:
                if item.split not in metadata:
                    (dest / item.split).mkdir(parents=True, exist_ok=True)
                    metadata[item.split] = stack.enter_context(_open(dest / item.split / (METADATA + ".tmp")))
                relative = _write_item(item, f"{item.split}/{folders[item.label]}", dest, names, ledger)
                line = _metadata_row(item, relative, info, by_id=by_id)
                metadata[item.split].write(json.dumps(line, ensure_ascii=False) + "\n")
        for split in sorted(metadata):
            ledger.add(names.take(f"{split}/{METADATA}"))
            _replace_if_different(dest / split / (METADATA + ".tmp"), dest / split / METADATA)
        remove_stale(dest, set(names), ledger, names.twin)
        return list(names)


def _write_item(item: Item, folder: str, dest: Path, names: Names, ledger: Ledger) -> str:
    """Writes one image under a name that nobody else has; -> its path, relative to `dest`."""
    data = item.load()
    for relative in names.candidates(folder, item.name, item.suffix, str(item.row["key"])):
        path = dest / relative
        same = path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data
        if not same and os.path.lexists(path) and relative not in ledger:
            continue  # the user's own file
        ledger.add(names.take(relative))
        if not same:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = dest / item.split / _TEMPORARY
            temporary.write_bytes(data)
            temporary.replace(path)
        return relative
    raise AssertionError("candidates are endless")


def _metadata_row(item: Item, relative: str, info: DatasetInfo, *, by_id: bool) -> dict[str, Any]:
    name, label = relative.partition("/")[2], item.label_id if by_id else item.label
    return {"file_name": name, "label": label, **columns(item, info)}


def _read_as_text(labels: Iterable[str]) -> bool:
    """Whether the loader's JSON reader takes every label for text; it takes "2024-01-31" for a time."""
    for label in labels:
        line = json.dumps({"label": label}).encode()
        if pa.json.read_json(io.BytesIO(line)).schema.field("label").type != pa.string():
            return False
    return True


def _open(path: Path) -> IO[str]:
    return path.open("w", encoding="utf-8", newline="\n")


def _replace_if_different(new: Path, old: Path) -> None:
    if old.is_file() and filecmp.cmp(new, old, shallow=False):
        new.unlink()
    else:
        new.replace(old)
