"""What a run's report says in figures: attempts, scores, nearest neighbours, safety, evaluations."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gifcli.errors import GifError
from gifcli.evaluate.record import read_evaluations
from gifcli.judge.checklist import enabled, memory_file
from gifcli.judge.nearness import to_lines
from gifcli.recipe.recipe import Recipe
from gifcli.report import Attempt, Histogram, ScoreChange
from gifcli.report.histogram import histogram
from gifcli.reporting.tally import Tally
from gifcli.rules.rules import load as load_rules
from gifcli.state.owed import VERDICTS
from gifcli.state.shards import ShardStore


def checks_used(recipe: Recipe) -> list[str]:
    """Those that judged: `memorised` does only where the prior's training images are known."""
    return [name for name in enabled(recipe) if name != "memorised" or memory_file(recipe)]


def attempts(counted: Tally) -> list[Attempt]:
    rows = sorted(counted.attempts.items())
    return [
        Attempt(attempt, verdicts[""], {check: count for check, count in sorted(verdicts.items()) if check})
        for attempt, verdicts in rows
    ]


def scores(counted: Tally) -> list[ScoreChange]:
    """Of every guide, and their weighted sum last."""
    return [
        ScoreChange(name, float(start / images), float(end / images), float(rose / images))
        for name, (start, end, images, rose) in sorted(counted.scores.items(), key=lambda each: each[0] == "total")
    ]


def similarity(root: Path, counted: Tally) -> list[Histogram]:
    """Nearest neighbours: cosines in the encoder's space, of generated images and, to compare with, of the originals."""
    kept = counted.kept.rows
    return histograms(
        {
            "generated image, its own seed": [row.nn_seed for row in kept],
            "generated image, nearest other seed": [row.nn_set for row in kept],
            "original, nearest other original": _quantiles(root, "nearest"),
            "generated image, nearest training image of the prior": [row.nn_prior for row in kept],
        }
    )


def nearness_lines(store: ShardStore) -> list[str]:
    """How near the prior's training images lie, and what is usual, in words; nothing where that is not known."""
    found = (store.load(VERDICTS) or {}).get("nearness", {})
    return [line[0].upper() + line[1:] + "." for line in to_lines(found)]


def _quantiles(root: Path, name: str) -> list[float]:
    """The percentiles 0 to 100 over the seeds of what the rules say of them."""
    try:
        found: list[float] = load_rules(ShardStore(root).state / "rules").quantiles[name].tolist()
    except (GifError, KeyError):
        return []
    return found


def histograms(groups: Mapping[str, Sequence[float | None]]) -> list[Histogram]:
    """Of each group that has figures; all over the same range."""
    figures = {of: np.array([value for value in values if value is not None]) for of, values in groups.items()}
    there = {of: values[np.isfinite(values)] for of, values in figures.items() if np.isfinite(values).any()}
    low = min((float(values.min()) for values in there.values()), default=0.0)
    return [histogram(of, values, min(low, 0.95), 1.0) for of, values in there.items()]


def evaluations(root: Path) -> list[dict[str, Any]]:
    """What gif eval measured of this dataset; none where its file is damaged."""
    try:
        return [entry for entry in read_evaluations(root) if entry["arms"]]
    except (ValueError, KeyError, TypeError):
        return []
