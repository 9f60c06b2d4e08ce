"""What `gif verify` finds, and how it is told."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gifcli.state.seals import unseal
from gifcli.wording import number_of


@dataclass(slots=True)
class Verification:
    """What `gif verify` found.

    files, images  how many were hashed; images also inside files that hold many
    differences    what is not as it was written: relative path -> what is wrong
    notes          sentences on what could not be looked at
    unfinished     whether its dataset was being written when that was killed
    """

    dataset: str
    files: int = 0
    images: int = 0
    differences: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    unfinished: bool = False

    def to_data(self) -> dict[str, object]:
        """For `--json`."""
        return asdict(self)

    def to_lines(self) -> list[str]:
        """For people."""
        hashed = f"{number_of(self.files, 'file')} and {number_of(self.images, 'image')} hashed"
        head = (
            f"{self.dataset}: {hashed}, {len(self.differences)} {'differs' if len(self.differences) == 1 else 'differ'}"
        )
        return [head, *(f"{path}: {what}" for path, what in sorted(self.differences.items())), *self.notes]

    def compare(self, folder: Path, wanted: Mapping[str, str], hashes: Mapping[str, str], lead: str = "") -> None:
        """Notes the files below `folder` whose hash is not the one that is wanted; `lead` goes before their names."""
        for name, sha256 in wanted.items():
            if hashes[name] != sha256:
                there = (folder / name).is_file()
                self.differences[lead + name] = "is not what was written" if there else "is missing"


def unsealed(path: Path) -> dict[str, Any]:
    """What a state file says; nothing, where it is not there or damaged."""
    try:
        value = unseal(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
