"""Reports: one self-contained page of what a run did. What is here is plain data; the page draws it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Picture:
    """An image of a strip: (h w 3) uint8 pixels, and the reason it was rejected, or None."""

    name: str
    pixels: NDArray[Any]
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Strip:
    """A seed and what was made of it; `more` samples are not shown."""

    seed: Picture
    samples: list[Picture]
    more: int = 0


@dataclass(frozen=True, slots=True)
class ClassReport:
    """One class: images of the train split. `strips` reads its pictures when it is its turn; None = it has none to show.

    missing     images that are owed and were not made
    made, kept  images that were judged, and how many of them passed
    """

    label: str
    name: str
    original: int
    generated: int
    missing: int = 0
    made: int = 0
    kept: int = 0
    strips: Callable[[], Iterable[Strip]] | None = None


@dataclass(frozen=True, slots=True)
class Guide:
    """The classifier that guides: which one was taken, and accuracies in [0, 1] on the seeds by name, "chance" too."""

    chosen: str
    accuracy: dict[str, float]


@dataclass(frozen=True, slots=True)
class ScoreChange:
    """Mean of one guidance score before and after the ascent, and the share of images for which it rose, in [0, 1]."""

    name: str
    start: float
    end: float
    rose: float


@dataclass(frozen=True, slots=True)
class Attempt:
    """How many images of one attempt passed, and by which check the others were rejected."""

    attempt: int
    kept: int
    rejected: dict[str, int]

    @property
    def made(self) -> int:
        """All images of this attempt."""
        return self.kept + sum(self.rejected.values())


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure with its 95% interval. `halves` is the same of two halves of the originals, None where they are too few.

    limit  the upper end of its scale; None = it has none, and no bar is drawn
    """

    name: str
    value: float
    low: float
    high: float
    meaning: str
    halves: float | None = None
    limit: float | None = 1.0


@dataclass(frozen=True, slots=True)
class Cloud:
    """Points of the map, in units of the drawing: kind is "seed", "kept" or "rejected".

    spread  share of the variance of all features that the two axes hold, in [0, 1]
    """

    points: list[tuple[float, float, str, str]]
    width: float
    height: float
    spread: float


@dataclass(frozen=True, slots=True)
class Likeness:
    """How the generated images lie among the originals, in the encoder's space; `notes` say how it was measured."""

    seeds: int
    samples: int
    measures: list[Measure]
    cloud: Cloud | None
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Histogram:
    """Shares of images in equal bins from `low` to `high`, their median and the highest value; `of` says which images."""

    of: str
    low: float
    high: float
    shares: list[float]
    median: float
    highest: float


@dataclass(frozen=True, slots=True)
class Model:
    """A model that took part, and under which terms."""

    what: str
    name: str
    licence: str
    revision: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What a run did. `facts` are shown as they are: ("guidance", "5 adam steps"), ...

    checks       enabled check -> how many images it rejected, in the order in which they judge
    similarity   nearest neighbours of the generated images, and of the originals to compare with; `nearness` in words
    evaluations  the entries of evaluation.json
    caps         sentences: what of a large run the page shows
    """

    title: str
    goal: str
    classes: list[ClassReport]
    attempts: list[Attempt]
    checks: dict[str, int] = field(default_factory=dict)
    guide: Guide | None = None
    scores: list[ScoreChange] = field(default_factory=list)
    likeness: Likeness | None = None
    similarity: list[Histogram] = field(default_factory=list)
    nearness: list[str] = field(default_factory=list)
    safety: list[Histogram] = field(default_factory=list)
    evaluations: list[dict[str, Any]] = field(default_factory=list)
    models: list[Model] = field(default_factory=list)
    facts: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    caps: list[str] = field(default_factory=list)
