"""The run folder's state: shards, done marks, lock. The only module that touches them.

A shard is a tar written to a temporary name, fsynced and renamed; its sidecar, written last in the same way, is the
done mark. Whatever has no sidecar does not exist. Nothing here holds a time or a host name, so that a run that was
killed and resumed equals one that was not.
"""

import errno
import fcntl
import hashlib
import io
import json
import os
import shutil
import tarfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

from gifcli.errors import BusyError, DiskFullError, EnvironmentFault
from gifcli.state.seals import seal, to_json, unseal

STATE = ".gifcli"
FOLDERS = {
    "extract": "1-seeds",
    "optimize": "2-noises",
    "generate": "3-samples",
    "filter": "4-verdicts",
    "survey": "5-survey",
}
TEMPORARY = ".gif-tmp"
FULL = {errno.ENOSPC, errno.EDQUOT}
UNWRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ENOTDIR}

Members = Iterable[tuple[str, bytes]]


class ShardId(NamedTuple):
    """Shard n of the plan; `round` counts the times slots were added, `part` the times an attempt was topped up."""

    n: int
    round: int = 0
    attempt: int | None = None
    part: int = 0

    def __str__(self) -> str:
        name = f"{self.n:05d}"
        name += f"-g{self.round}" if self.round else ""
        name += f"-a{self.attempt}" if self.attempt is not None else ""
        return name + (f"-p{self.part}" if self.part else "")

    @property
    def order(self) -> tuple[int, int, int, int]:
        """What shards are sorted by: n, round, attempt (none is before the first) and part."""
        return self.n, self.round, -1 if self.attempt is None else self.attempt, self.part

    @classmethod
    def parse(cls, name: str) -> "ShardId":
        """Inverse of str()."""
        first, *rest = name.split("-")
        marks = {piece[0]: int(piece[1:]) for piece in rest}
        return cls(int(first), marks.get("g", 0), marks.get("a"), marks.get("p", 0))


class ShardStore:
    """Shards and state files below `<root>/.gifcli`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.state = root / STATE

    def folder(self, stage: str) -> Path:
        """Where a stage's shards lie."""
        return self.state / "stages" / FOLDERS[stage]

    def tar(self, stage: str, shard: ShardId) -> Path:
        """The shard's file."""
        return self.folder(stage) / f"{shard}.tar"

    def done(self, stage: str) -> dict[ShardId, dict[str, Any]]:
        """Every finished shard of a stage, in order, with what its sidecar says."""
        paths = self.folder(stage).glob("*.json") if self.folder(stage).is_dir() else ()
        found = {ShardId.parse(path.stem): path for path in paths}
        return {shard: unseal(found[shard].read_bytes()) for shard in sorted(found, key=lambda shard: shard.order)}

    def write(self, stage: str, shard: ShardId, members: Members, mark: dict[str, Any]) -> None:
        """Commits a shard: the tar, then its sidecar (`mark` plus size and sha256).

        Raises:
            DiskFullError: there is no room; nothing half-written stays.
        """
        data = pack(members)
        write_atomic(self.tar(stage, shard), data)
        sidecar = {**mark, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        write_atomic(self.tar(stage, shard).with_suffix(".json"), seal(sidecar))

    def read(self, stage: str, shard: ShardId, suffixes: tuple[str, ...] = ("",)) -> Iterator[tuple[str, bytes]]:
        """The members of a finished shard whose names end in one of `suffixes`, in order; others are skipped over."""
        with tarfile.open(self.tar(stage, shard)) as archive:
            for member in archive:
                if member.name.endswith(suffixes):
                    content = archive.extractfile(member)
                    assert content is not None
                    yield member.name, content.read()

    def parts(self, stage: str, shard: ShardId) -> list[ShardId]:
        """The finished shards with the same n, round and attempt as `shard`, in order."""
        first = shard._replace(part=0)
        paths = [self.tar(stage, first), *self.folder(stage).glob(f"{first}-p*.tar")]
        finished = [ShardId.parse(path.stem) for path in paths if path.with_suffix(".json").is_file()]
        return sorted(finished, key=lambda shard: shard.order)

    def remove(self, stage: str, shard: ShardId) -> None:
        """Takes a shard back; its done mark goes first."""
        for suffix in (".json", ".tar"):
            self.tar(stage, shard).with_suffix(suffix).unlink(missing_ok=True)

    def clear(self, stage: str) -> None:
        """Takes all shards of a stage back, done marks first."""
        for shard in self.done(stage):
            self.remove(stage, shard)
        shutil.rmtree(self.folder(stage), ignore_errors=True)

    def load(self, name: str) -> Any:
        """A state file's JSON, or None where there is none."""
        path = self.state / name
        return unseal(path.read_bytes()) if path.is_file() else None

    def save(self, name: str, value: Any) -> None:
        """Writes a state file atomically, if it differs from what is there."""
        path, data = self.state / name, seal(value)
        if not path.is_file() or path.read_bytes() != data:
            write_atomic(path, data)

    def event(self, **values: Any) -> None:
        """Appends a line to the event log: the one place where times are kept."""
        line = json.dumps({"time": round(time.time(), 3), **values}) + "\n"
        with free_room(), (self.state / "events.jsonl").open("a", encoding="utf-8") as log:
            log.write(line)

    def events(self) -> list[dict[str, Any]]:
        """The event log; a line cut by a kill is left out."""
        path = self.state / "events.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        return [event for line in lines if (event := _event(line))]

    @contextmanager
    def lock(self, wait: float = 0.0) -> Iterator[None]:
        """Holds the run's writer lock; temporary files of a killed writer are swept on entry.

        Raises:
            BusyError: another process held it for all of `wait` seconds.
        """
        deadline = time.monotonic() + wait
        while not (handle := self._open_locked()):
            if time.monotonic() >= deadline:
                raise BusyError(
                    f"{self.root} is being written by another gif process; wait for it, or give --wait-lock SECONDS"
                )
            time.sleep(0.1)
        with handle:
            self.sweep()
            yield

    def _open_locked(self) -> IO[str] | None:
        """The lock file, open and locked; None while another process holds it."""
        path = self.state / "lock"
        while True:
            with free_room():
                self.state.mkdir(parents=True, exist_ok=True)
                handle = path.open("a")
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                handle.close()
                return None
            if _is_at(path, handle):
                return handle
            handle.close()  # its holder failed at the start, and has removed it

    def sweep(self) -> None:
        """Removes what a killed writer left: temporary files, and shards without a done mark.

        Not below the dataset's folders, which may hold millions of files: a format tidies up after itself.
        """
        for path in [*self.root.glob(f"*{TEMPORARY}"), *self.state.rglob(f"*{TEMPORARY}")]:
            path.unlink()
        for path in (self.state / "stages").rglob("*.tar"):
            if not path.with_suffix(".json").is_file():
                path.unlink()


def pack(members: Members) -> bytes:
    """Members -> a tar with the same bytes every time: sorted names, no times, no owners."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in sorted(members):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def write_atomic(path: Path, data: bytes) -> None:
    """Writes a file so that it is there whole or not at all, also after a power cut.

    Raises:
        DiskFullError: there is no room; the temporary file is removed.
    """
    temporary = path.with_name(path.name + TEMPORARY)
    with free_room():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as handle:
                handle.write(data)
                handle.flush()
                os.fsync(handle.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)


@contextmanager
def free_room() -> Iterator[None]:
    """Turns "no space left", "quota exceeded" and a place that cannot be written to into our own errors.

    Raises:
        DiskFullError, EnvironmentFault: what to do about it.
    """
    try:
        yield
    except OSError as error:
        place, again = error.filename or "the run folder", "run the same command again: what is done stays done"
        if error.errno in FULL:
            raise DiskFullError(f"no room left to write {place}; make room and {again}") from error
        if error.errno in UNWRITABLE:
            reason = (error.strerror or str(error)).lower()
            raise EnvironmentFault(
                f"cannot write to {place}: {reason}; mend that and {again}, or choose another -o"
            ) from error
        raise


def digest(value: Any) -> str:
    """sha256 of a JSON value, 16 hex digits."""
    return hashlib.sha256(to_json(value)).hexdigest()[:16]


def _is_at(path: Path, handle: IO[str]) -> bool:
    """Whether an open file is still the one of that name."""
    try:
        return os.path.samestat(path.stat(), os.fstat(handle.fileno()))
    except FileNotFoundError:
        return False


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _event(line: str) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
