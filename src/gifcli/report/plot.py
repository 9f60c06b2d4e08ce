"""Drawings of the page as SVG paths: one path holds all points of a kind, so that thousands of them stay small."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gifcli.report import Cloud, Histogram

Point = tuple[float, float]

CROSS, LARGE = 2.6, 8.0
"""Half the side of a cross on the map, and on the small maps of a class, in units of the drawing."""
LINE, LETTER, RAISED = 17.0, 8.5, 8.0
"""Height of a line and width of a letter of a name on the map, and how far above its points it stands."""
LONGEST = 18


@dataclass(slots=True)
class Drawn:
    """A map as paths: kind -> path over all points, and for some classes label -> kind -> path.

    names  (x, y, name) of these classes, none over another
    """

    cloud: Cloud
    kinds: dict[str, str]
    classes: dict[str, dict[str, str]] = field(default_factory=dict)
    names: list[tuple[float, float, str]] = field(default_factory=list)


def lay_out(cloud: Cloud, names: Mapping[str, str], most: int) -> Drawn:
    """The map's paths; classes apart, and named, where there are at most `most` of them."""
    kinds: defaultdict[str, list[Point]] = defaultdict(list)
    classes: defaultdict[str, defaultdict[str, list[Point]]] = defaultdict(lambda: defaultdict(list))
    for x, y, kind, label in cloud.points:
        kinds[kind].append((x, y))
        if label in names:
            classes[label][kind].append((x, y))
    drawn = Drawn(cloud, {kind: _path(kind, points, CROSS) for kind, points in kinds.items()})
    if 1 < len(classes) <= most:
        tops = []
        for label, points in classes.items():
            tops.append((_short(names[label]), _top(points["seed"] or [*points["kept"], *points["rejected"]])))
            drawn.classes[label] = {kind: _path(kind, marks, LARGE) for kind, marks in points.items() if marks}
        drawn.names = _place(tops, cloud)
    return drawn


def dots(points: Iterable[Point]) -> str:
    """A path whose round line ends are the points."""
    return "".join(f"M{x:g} {y:g}h0" for x, y in points)


def crosses(points: Iterable[Point], side: float) -> str:
    """A path with a cross at each point, twice `side` wide."""
    arms = f"l{2 * side:g} {2 * side:g}m0-{2 * side:g}l-{2 * side:g} {2 * side:g}"
    return "".join(f"M{x - side:.1f} {y - side:.1f}{arms}" for x, y in points)


def steps(histogram: Histogram, highest: float, width: float, height: float) -> str:
    """The outline of a histogram, closed at the bottom; `highest` is the share that reaches the top."""
    wide = width / len(histogram.shares)
    ups = [height * (1 - share / highest) for share in histogram.shares]
    line = "".join(f"V{y:.1f}H{(place + 1) * wide:.1f}" for place, y in enumerate(ups))
    return f"M0 {height:g}{line}V{height:g}Z"


def _path(kind: str, points: list[Point], side: float) -> str:
    return crosses(points, side) if kind == "rejected" else dots(points)


def _top(points: list[Point]) -> Point:
    """Above the middle of the points."""
    return sum(x for x, _ in points) / len(points), min(y for _, y in points) - RAISED


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"


def _place(tops: list[tuple[str, Point]], cloud: Cloud) -> list[tuple[float, float, str]]:
    """Names above their points, from the top down, pushed below those they would lie over."""
    placed: list[tuple[float, float, str]] = []
    for name, (x, y) in sorted(tops, key=lambda item: (item[1][1], item[1][0], item[0])):
        half = len(name) * LETTER / 2
        middle = min(max(x, half), cloud.width - half)
        low = max(y, LINE)
        for other_x, other_y, other in placed:
            near = abs(other_x - middle) < half + len(other) * LETTER / 2
            if near and abs(other_y - low) < LINE:
                low = other_y + LINE
        placed.append((round(middle, 1), round(min(low, cloud.height - 4), 1), name))
    return placed
