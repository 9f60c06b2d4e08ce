"""Which files an export wrote, on disk: so that the next export removes its own files and never the user's."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self


class FileLedger:
    """A set of relative paths, backed by an append-only file of JSON lines; compacted and sorted at the end.

    A name is on disk before its file is written, so a kill leaves no file that nobody owns.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._names = _read(path)
        self._file = path.open("a", encoding="utf-8", newline="\n")
        if self._file.tell():  # a kill may have torn the last line
            self._file.write("\n")

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def add(self, name: str) -> None:
        """Records a name, at once."""
        if name not in self._names:
            self._append("+", name)
            self._names.add(name)

    def discard(self, name: str) -> None:
        """Forgets a name, at once."""
        if name in self._names:
            self._append("-", name)
            self._names.discard(name)

    def _append(self, sign: str, name: str) -> None:
        self._file.write(json.dumps([sign, name]) + "\n")
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if error is None:
            compact = self._path.with_name(self._path.name + ".tmp")
            lines = (json.dumps(["+", name]) + "\n" for name in sorted(self._names))
            compact.write_text("".join(lines), encoding="utf-8", newline="\n")
            compact.replace(self._path)


def _read(path: Path) -> set[str]:
    names: set[str] = set()
    if not path.exists():
        return names
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            try:
                sign, name = json.loads(line)
            except ValueError:  # a blank or torn line: its file was never written
                continue
            names.add(name) if sign == "+" else names.discard(name)
    return names
