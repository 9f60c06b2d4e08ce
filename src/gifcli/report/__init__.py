"""Reports: contact sheets, and one self-contained page."""

from collections.abc import Callable
from dataclasses import dataclass, field

from PIL import Image


@dataclass(frozen=True, slots=True)
class ClassReport:
    """One class. `sheet` draws its contact sheet when it is its turn; `missing` images are owed and were not made."""

    label: str
    name: str
    original: int
    generated: int
    missing: int = 0
    sheet: Callable[[], Image.Image] | None = None


@dataclass(frozen=True, slots=True)
class Guide:
    """The classifier that guides: which one was taken, and accuracies in [0, 1] on the seeds by name, "chance" too."""

    chosen: str
    accuracy: dict[str, float]


@dataclass(frozen=True, slots=True)
class ScoreChange:
    """Mean of one guidance score over all noises, before and after the ascent."""

    name: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Attempt:
    """How many images of one attempt were kept, and by which check the others were rejected."""

    attempt: int
    kept: int
    rejected: dict[str, int]

    @property
    def made(self) -> int:
        """All images of this attempt."""
        return self.kept + sum(self.rejected.values())


@dataclass(frozen=True, slots=True)
class Report:
    """What a run did. `facts` are shown as they are: ("prior", "classical"), ("size", "128 px"), ..."""

    title: str
    ratio: str
    classes: list[ClassReport]
    attempts: list[Attempt]
    guide: Guide | None = None
    scores: list[ScoreChange] = field(default_factory=list)
    facts: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
