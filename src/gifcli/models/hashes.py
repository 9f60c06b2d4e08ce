"""Content hashes of model files; those of large files are remembered by path, size and time of change."""

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

LARGE = 64 * 2**20
"""Bytes from which on a hash is worth remembering: gigabytes take seconds, in every process of every command."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


def revision(files: Sequence[Path]) -> str:
    """Content hash of model files, 12 hex digits; "" where there are none."""
    if not files:
        return ""
    return hashlib.sha256("".join(file_hash(path) for path in files).encode()).hexdigest()[:12]


def file_hash(path: Path) -> str:
    """The sha256 of a file's content, 64 hex digits."""
    real = path.resolve()
    if real.parent.name == "blobs" and _SHA256.fullmatch(real.name):
        return real.name  # the hub's cache names its large files so, having checked them
    state = real.stat()
    return _hash(real, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=1024)
def _hash(path: Path, size: int, changed: int) -> str:
    if size < LARGE:
        return _digest(path)
    memory = _memory()
    name = f"{path}|{size}|{changed}"
    try:
        known: dict[str, str] = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    if name not in known:
        known[name] = _digest(path)
        _remember(memory, known)
    return known[name]


def _remember(memory: Path, known: dict[str, str]) -> None:
    """Where the cache cannot be written, the file is hashed again next time."""
    temporary = memory.with_name(f"{memory.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        memory.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(known, indent=0, sort_keys=True), encoding="utf-8")
        temporary.replace(memory)


def _memory() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gifcli" / "hashes.json"


def _digest(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
