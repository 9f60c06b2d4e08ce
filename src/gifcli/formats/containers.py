"""Files that hold many images: written beside their place, put there when whole, and the earlier ones removed."""

import filecmp
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from gifcli.errors import UsageError
from gifcli.formats import Ledger
from gifcli.formats.stale import DATA, remove_stale

_TEMPORARY = ".export.tmp"
_SPOOL = ".spool.tmp"


class Containers:
    """What one export writes below a dataset's folder; a file that is not in the ledger is the user's own."""

    def __init__(self, dest: Path, ledger: Ledger) -> None:
        self._dest, self._ledger = dest, ledger
        self._names: list[str] = []
        self._spools: list[IO[bytes]] = []
        (dest / DATA).mkdir(parents=True, exist_ok=True)

    def spool(self, name: str) -> IO[bytes]:
        """A scratch file to write and read, gone after `close`."""
        file = (self._dest / DATA / f".{name}{_SPOOL}").open("w+b")
        self._spools.append(file)
        return file

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """A file to write to; it takes its place (relative path `name`) at the end. Raises as `adopt` does."""
        temporary = self._dest / DATA / _TEMPORARY
        with temporary.open("wb") as file:
            yield file
        self.adopt(name, temporary)

    def adopt(self, name: str, temporary: Path) -> None:
        """Puts a finished file in its place, if it differs from what is there.

        Raises:
            UsageError: a file of the user's lies there.
        """
        path = self._dest / name
        if path.exists() and name not in self._ledger:
            temporary.unlink()
            raise UsageError(f"{path}: expected no file, or one that gif wrote; move it away, or choose another -o")
        self._ledger.add(name)
        self._names.append(name)
        if path.is_file() and filecmp.cmp(temporary, path, shallow=False):
            temporary.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.replace(path)

    def write(self, name: str, data: bytes) -> str:
        """Writes a small file -> its name."""
        with self.open(name) as file:
            file.write(data)
        return name

    def close(self) -> None:
        """Removes what earlier exports wrote and this one did not, and the scratch files."""
        for spool in self._spools:
            spool.close()
            Path(spool.name).unlink(missing_ok=True)
        remove_stale(self._dest, set(self._names), self._ledger)


def split_name(file: str) -> tuple[str, str | None]:
    """A manifest's `file`: the path, and which member (WebDataset) or row (Parquet) of it the image is, if it is one."""
    path, mark, member = file.rpartition("#")
    inside = mark and path.startswith(f"{DATA}/") and PurePosixPath(path).suffix in {".tar", ".parquet"}
    return (path, member) if inside else (file, None)
