"""Where an exported dataset goes: a folder, or any URL that fsspec knows (s3://, gs://, memory://, ...).

Either way only what gif wrote there before is replaced or removed, and SHA256SUMS is written last.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gifcli.dataset.sums import NAME, parse_sums, read_sums, render_sums, write_sums
from gifcli.errors import EnvironmentFault, GifError, UsageError
from gifcli.formats import Ledger
from gifcli.formats.ledger import FileLedger
from gifcli.sources.source import refuse_overlap
from gifcli.state.files import MANIFEST, RECIPE
from gifcli.state.shards import TEMPORARY

UNFINISHED = ".gif-export.jsonl"
LOCAL = ("file://", "local://")

Write = Callable[[Path, Ledger], dict[str, str]]
"""(folder, ledger) -> relative path -> sha256 of all that was written, but for SHA256SUMS."""


def deliver(target: str, write: Write, source: Path, run: Path) -> str:
    """Has a dataset written to `target`, a path or a URL -> that place as a person reads it.

    Raises:
        UsageError: it overlaps with the source or the run, or holds files of something else.
        EnvironmentFault: it cannot be written to.
    """
    folder = local_folder(target)
    if folder is None:
        _deliver_remote(target, write)
        return target
    refuse_overlap(source, folder)
    if run.resolve() in (folder.resolve(), *folder.resolve().parents):
        raise UsageError(f"{folder}: expected a place outside the run; without -o the dataset goes into the run folder")
    _deliver_local(folder, write)
    return str(folder)


def local_folder(target: str) -> Path | None:
    """The folder that a path or a local URL means; None for any other URL."""
    for scheme in LOCAL:
        if target.startswith(scheme):
            return Path(target.removeprefix(scheme))
    return None if "://" in target else Path(target)


def _deliver_local(folder: Path, write: Write) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: expected a folder to write to, found a file; choose another with -o")
    earlier = _ours(read_sums(folder)) if folder.is_dir() else {}
    unfinished = folder / UNFINISHED
    if earlier is None and not unfinished.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder}: expected an empty folder, or a dataset of gif; choose another with -o")
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(f"*{TEMPORARY}"):  # by an export that was killed
        left.unlink()
    with FileLedger(unfinished) as ledger:
        for name in earlier or {}:
            if "/" in name and not name.startswith("report/"):  # the format's own files
                ledger.add(name)
        (folder / NAME).unlink(missing_ok=True)
        sums = write(folder, ledger)
    write_sums(folder, sums)
    for name in set(earlier or {}) - set(sums):
        (folder / name).unlink(missing_ok=True)
    unfinished.unlink()


def _ours(sums: dict[str, str] | None) -> dict[str, str] | None:
    """The sums of a dataset that was exported there; None for those of a run folder, or of something else."""
    return sums if sums is not None and sums.keys() >= {MANIFEST, RECIPE} else None


def _deliver_remote(url: str, write: Write) -> None:
    """Writes to a temporary folder first, then uploads what differs from what an earlier export left there."""
    with tempfile.TemporaryDirectory(prefix="gif-") as made, _plainly(url):
        remote = Remote.open(url)
        earlier = _ours(remote.sums())
        if earlier is None and remote.holds_anything():
            raise UsageError(f"{url}: expected an empty place, or a dataset of gif; choose another with -o")
        sums = write(Path(made), set())
        remote.remove([NAME])
        for name in sorted(sums):
            if not earlier or earlier.get(name) != sums[name]:
                remote.put(Path(made) / name, name)
        remote.remove(sorted(set(earlier or {}) - set(sums)))
        remote.write(NAME, render_sums(sums))


@dataclass(frozen=True, slots=True)
class Remote:
    """A place on a file system of fsspec."""

    system: Any
    root: str

    @classmethod
    def open(cls, url: str) -> "Remote":
        """Connects to what a URL names."""
        from fsspec.core import url_to_fs

        system, root = url_to_fs(url)
        return cls(system, root.rstrip("/"))

    def sums(self) -> dict[str, str] | None:
        """The SHA256SUMS of a dataset there; None where there is none."""
        place = f"{self.root}/{NAME}"
        return parse_sums(self.system.cat_file(place)) if self.system.exists(place) else None

    def holds_anything(self) -> bool:
        """Whether there is any file."""
        return bool(self.system.exists(self.root)) and bool(self.system.find(self.root))

    def put(self, path: Path, name: str) -> None:
        """Uploads a file."""
        place = f"{self.root}/{name}"
        self.system.makedirs(place.rpartition("/")[0], exist_ok=True)
        self.system.put_file(str(path), place)

    def write(self, name: str, data: bytes) -> None:
        """Uploads bytes."""
        self.system.makedirs(self.root, exist_ok=True)
        self.system.pipe_file(f"{self.root}/{name}", data)

    def remove(self, names: list[str]) -> None:
        """Removes files that are there."""
        for name in names:
            if self.system.exists(f"{self.root}/{name}"):
                self.system.rm_file(f"{self.root}/{name}")


@contextmanager
def _plainly(url: str) -> Iterator[None]:
    """Turns what goes wrong on the way to a URL into our own errors."""
    try:
        yield
    except GifError:
        raise
    except ImportError as error:
        raise EnvironmentFault(f"{url}: {error}; install it with pip and run the same command again") from error
    except ValueError as error:
        raise UsageError(f"{url}: {error}; expected a folder or a URL that fsspec knows, such as s3://...") from error
    except Exception as error:  # each store has errors of its own
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise EnvironmentFault(f"{url}: cannot be written to ({reason}); mend that and run the same again") from error
