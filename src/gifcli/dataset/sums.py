"""SHA256SUMS: what an export wrote, in the form that `sha256sum --check` reads. Written last, so it is the done mark too."""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from gifcli.errors import CheckError
from gifcli.state.files import EXPORT, LEDGER, SUMS
from gifcli.state.shards import ShardStore, write_atomic

NAME = SUMS
READERS = 4
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
_CODES = {"\\": "\\", "n": "\n", "r": "\r"}
_HASH = 64


def render_sums(sums: Mapping[str, str]) -> bytes:
    """Relative path -> sha256, as a file; the same bytes every time."""
    return "".join(_line(sums[name], name) for name in sorted(sums)).encode()


def parse_sums(data: bytes) -> dict[str, str]:
    """Inverse of `render_sums`.

    Raises:
        CheckError: it is not, bit for bit, a file that `render_sums` wrote, or names files outside its folder.
    """
    sums = {}
    for line in data.decode("utf-8", "replace").split("\n")[:-1]:
        bare = line.removeprefix("\\")
        sums[_plain(bare[_HASH + 2 :])] = bare[:_HASH]
    outside = any(name.startswith("/") or ".." in name.split("/") for name in sums)
    hexadecimal = not any(set(value) - set("0123456789abcdef") for value in sums.values())
    if not sums or outside or not hexadecimal or render_sums(sums) != data:
        raise CheckError(f"{NAME}: expected lines like those of sha256sum, found something else; it is damaged")
    return sums


def read_sums(folder: Path) -> dict[str, str] | None:
    """The sums of a dataset's folder; None where there are none."""
    path = folder / NAME
    return parse_sums(path.read_bytes()) if path.is_file() else None


def hash_files(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Relative path -> sha256; "" for what is no readable file."""
    listed = sorted(names)
    with ThreadPoolExecutor(READERS) as pool:
        return dict(zip(listed, pool.map(lambda name: hash_file(folder / name), listed), strict=True))


def hash_file(path: Path) -> str:
    """sha256 of a file in hex; "" if it is no readable file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def write_sums(folder: Path, sums: Mapping[str, str]) -> None:
    """Writes the file, if it differs from what is there."""
    data = render_sums(sums)
    path = folder / NAME
    if not path.is_file() or path.read_bytes() != data:
        write_atomic(path, data)


def lost(folder: Path) -> list[str]:
    """The files of a finished dataset that are gone, by name; its sums, where those are damaged; none of one unfinished."""
    try:
        return [name for name in read_sums(folder) or {} if not (folder / name).is_file()]
    except CheckError:
        return [NAME]


def interrupted(folder: Path) -> bool:
    """Whether the dataset of a run folder was being written when that was killed or failed."""
    return (ShardStore(folder).state / LEDGER).is_file() and not (folder / NAME).is_file()


@contextmanager
def amending(folder: Path, *below: str) -> Iterator[None]:
    """Files of a finished dataset (or folders/) are made anew; then the mark of a run's export and the sums follow.

    Meanwhile the sums are away, and stay so where it is killed or fails: `gif export` then puts everything right.
    """
    sums = read_sums(folder)
    (folder / NAME).unlink(missing_ok=True)
    yield
    if sums is None:
        return
    folders = tuple(name for name in below if name.endswith("/"))
    kept = {name: value for name, value in sums.items() if name not in below and not name.startswith(folders)}
    paths = [folder / name for name in below if name not in folders]
    paths += [path for name in folders for path in (folder / name).rglob("*")]
    found = [path.relative_to(folder).as_posix() for path in paths if path.is_file()]
    sums = {**kept, **hash_files(folder, found)}
    os.sync()  # the marks must not outlive what they stand for
    store = ShardStore(folder)
    if mark := store.load(EXPORT):
        store.save(EXPORT, {**mark, "sums": digest_of(sums)})
    write_sums(folder, sums)


def digest_of(sums: Mapping[str, str]) -> str:
    """The sha256 that SHA256SUMS with these sums has."""
    return hashlib.sha256(render_sums(sums)).hexdigest()


def _line(value: str, name: str) -> str:
    escaped = "".join(_ESCAPES.get(c, c) for c in name)
    return f"{'' if escaped == name else chr(92)}{value}  {escaped}\n"


def _plain(escaped: str) -> str:
    return re.sub(r"\\([\\nr])", lambda found: _CODES[found[1]], escaped)
