"""Files of an earlier export that a new one does not list: removed, with the folders that this empties."""

import contextlib
from collections.abc import Callable, Collection
from pathlib import Path, PurePosixPath

from gifcli.formats import Ledger

DATA = "data"
LEFT = (".export.tmp", ".*.spool.tmp", "metadata.jsonl.tmp")
"""What an export that was killed leaves in the folders it writes to."""


def remove_stale(
    dest: Path, listed: Collection[str], ledger: Ledger, twin: Callable[[str], str | None] | None = None
) -> None:
    """Removes what is in the ledger and not listed, and what a killed export left; `twin` names the listed file that a file system may take for it."""
    for folder in {DATA, *(PurePosixPath(name).parts[0] for name in ledger if "/" in name)}:
        for left in [path for pattern in LEFT for path in (dest / folder).glob(pattern)]:
            left.unlink()
    for relative in sorted(name for name in ledger if name not in listed):
        path = dest / relative
        other = twin(relative) if twin else None
        same = other is not None and path.exists() and path.samefile(dest / other)
        if ".." not in path.parts and not same:
            path.unlink(missing_ok=True)
            for parent in (path.parent, path.parent.parent):
                if parent != dest:
                    with contextlib.suppress(OSError):  # not empty
                        parent.rmdir()
        ledger.discard(relative)
