"""The map of features: two principal components of all points, as coordinates of a drawing."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gifcli.report import Cloud

Array = NDArray[Any]

WIDTH, LOWEST, HIGHEST, EDGE = 640.0, 240.0, 480.0, 14.0
"""The drawing's width, between which heights it may be, and the margin."""
FITTED = 1024
"""Points of a kind that decide the axes."""


def draw_cloud(groups: Mapping[str, Sequence[tuple[str, Array]]]) -> Cloud | None:
    """(label, feature (d)) by kind -> a map; both axes have the same scale. None where all points are one.

    The axes are those of originals and kept images; rejected ones are only placed.
    """
    fitted = [feature for kind in ("seed", "kept") for _, feature in groups.get(kind, ())[:FITTED]]
    if len(fitted) < 3:
        return None
    centre, axes, spread = principal(np.stack(fitted))
    if not spread:
        return None
    marks = [(label, kind, feature) for kind, group in groups.items() for label, feature in group]
    flat = (np.stack([feature for *_, feature in marks]).astype(np.float64) - centre) @ axes.T
    low, high = flat.min(0), flat.max(0)
    room = np.maximum(high - low, 1e-9)
    height = float(np.clip(WIDTH * room[1] / room[0], LOWEST, HIGHEST))
    scale = min((WIDTH - 2 * EDGE) / room[0], (height - 2 * EDGE) / room[1])
    middle = np.array([WIDTH, height]) / 2
    placed = (flat - (low + high) / 2) * scale * [1, -1] + middle
    points = [
        (round(float(x), 1), round(float(y), 1), kind, label)
        for (x, y), (label, kind, _) in zip(placed, marks, strict=True)
    ]
    return Cloud(points, WIDTH, round(height, 1), spread)


def principal(x: Array) -> tuple[Array, Array, float]:
    """(n d) -> mean (d), the first two principal axes (2 d), and the share of the variance that they hold, in [0, 1].

    The sign of an axis is such that its largest component is positive.
    """
    x = x.astype(np.float64)
    centre = x.mean(0)
    x = x - centre
    wide = x.shape[1] > len(x)
    values, vectors = np.linalg.eigh(x @ x.T if wide else x.T @ x)
    axes = vectors[:, :-3:-1].T
    if wide:
        axes = axes @ x
    axes = axes / np.maximum(np.linalg.norm(axes, axis=1, keepdims=True), 1e-12)
    axes = axes * np.where(axes[np.arange(len(axes)), np.abs(axes).argmax(1)] < 0, -1, 1)[:, None]
    total = float(np.maximum(values, 0).sum())
    return centre, axes, float(np.maximum(values[-2:], 0).sum() / total) if total > 1e-12 else 0.0
