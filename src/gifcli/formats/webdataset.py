"""WebDataset: `data/<split>-00000.tar` with `{key}.jpg {key}.cls {key}.json` a sample, and `data/classes.json`.

Every sample has the same members, so an image is called .jpg whatever it is; readers look at its bytes. Samples lie in the
order of their keys, which are hashes: each tar holds a mixture of all classes, originals and generated images.
"""

import io
import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from gifcli.formats import DatasetInfo, Item, Ledger
from gifcli.formats.columns import as_text, columns
from gifcli.formats.containers import Containers
from gifcli.formats.stale import DATA
from gifcli.state.seals import to_json

MAX_BYTES = 256 * 2**20
KEY = re.compile(r"[A-Za-z0-9_-]{1,95}")
"""ASCII, no dots; with its suffix a name that every tar takes."""
BLOCK = 512
RECORD = 20 * BLOCK

Place = tuple[str, int, int, int]
"""(key, offset in the spool, bytes, place among the items)"""


class WebDataset:
    """Spools each split into one file, then cuts it into tars of at most `max_bytes`, by key."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes

    def write(self, items: Iterator[Item], dest: Path, info: DatasetInfo, ledger: Ledger) -> list[str]:
        """See `Format.write`: "data/train-00000.tar#key.jpg" for each item. Holds one image in memory, and each key."""
        containers = Containers(dest, ledger)
        spools: dict[str, IO[bytes]] = {}
        places: dict[str, list[Place]] = {}
        count = 0
        for count, item in enumerate(items, 1):
            if item.split not in spools:
                spools[item.split] = containers.spool(item.split)
                places[item.split] = []
            key, members = sample_members(item, info)
            start, size = spools[item.split].tell(), 0
            for name, content in members:
                size += spools[item.split].write(tar_entry(name, content))
            places[item.split].append((key, start, size, count - 1))
        files = [""] * count
        for split, spool in spools.items():
            for n, group in enumerate(_cut(sorted(places[split]), self._max_bytes)):
                name = f"{DATA}/{split}-{n:05d}.tar"
                with containers.open(name) as target:
                    _copy(spool, target, group)
                for key, _, _, place in group:
                    files[place] = f"{name}#{key}.jpg"
        others = [containers.write(f"{DATA}/classes.json", to_json(_classes(info)))]
        containers.close()
        return [*files, *others]


def sample_members(item: Item, info: DatasetInfo) -> tuple[str, list[tuple[str, bytes]]]:
    """An item's key, and its members in order of their names.

    Raises:
        ValueError: its key is not one that every reader takes.
    """
    key = str(item.row["key"])
    if not KEY.fullmatch(key):
        raise ValueError(f"webdataset: expected a key of 1 to 95 letters, digits, - and _; found {key!r}")
    name = as_text(str(PurePosixPath(item.name + item.suffix).name))
    told: dict[str, Any] = {"label": item.label, **columns(item, info), "file_name": name}
    text = json.dumps(told, ensure_ascii=True, sort_keys=True).encode()
    return key, [(f"{key}.cls", str(item.label_id).encode()), (f"{key}.jpg", item.load()), (f"{key}.json", text)]


def tar_entry(name: str, content: bytes) -> bytes:
    """A member of a tar, padded: no time, no owner, the same bytes every time."""
    head = tarfile.TarInfo(name)
    head.size = len(content)
    return head.tobuf(tarfile.USTAR_FORMAT) + content + b"\0" * (-len(content) % BLOCK)


def _cut(places: list[Place], most: int) -> Iterator[list[Place]]:
    """Groups of at most `most` bytes, at least one sample each."""
    group: list[Place] = []
    total = 0
    for place in places:
        if group and total + place[2] > most:
            yield group
            group, total = [], 0
        group.append(place)
        total += place[2]
    if group:
        yield group


def _copy(spool: IO[bytes], target: IO[bytes], group: list[Place]) -> None:
    """The samples of one tar, and its end: zeros up to a full record, as tar writes it."""
    for _, offset, size, _ in group:
        spool.seek(offset)
        target.write(spool.read(size))
    target.write(b"\0" * (2 * BLOCK))
    target.write(b"\0" * (-target.seek(0, io.SEEK_END) % RECORD))


def _classes(info: DatasetInfo) -> dict[str, Any]:
    """Label -> id, and the names as a person reads them in that order."""
    return {"class_to_idx": {label: i for i, label in enumerate(info.classes)}, "names": list(info.classes.values())}
