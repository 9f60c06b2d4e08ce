"""Which checks a run uses, and what its sample shards must have measured for them. No torch, no model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gifcli import models
from gifcli.judge import memory_index, safety
from gifcli.recipe.recipe import Recipe

Wanted = dict[str, str | None]
"""What is to be measured -> the content hash of the model it takes: "" for none, None where that is not on this machine, so
that what another machine measured is to be trusted."""

SEEDS, OTHERS = 0, 1
"""Rounds of the survey's shards: seeds, and images that are not expanded."""
COSTLY = ("safety", "memorised")
"""Checks that need a model of their own: measured only where they are on. All others always are."""


def enabled(recipe: Recipe) -> list[str]:
    """The checks that judge."""
    sections = recipe.checks.model_dump()
    return [name for name, section in sections.items() if section["enabled"] is True]


def to_measure(recipe: Recipe) -> Wanted:
    """The checks that measure, with the content hash of what they measure with."""
    on = enabled(recipe)
    names: Wanted = {name: "" for name in recipe.checks.model_dump() if name not in COSTLY}
    if "safety" in on:
        names["safety"] = _safety_revision()
    index = memory_file(recipe)
    if "memorised" in on and index is not None:
        names["memorised"] = models.revision([index])
    return names


def to_survey(recipe: Recipe) -> dict[int, Wanted]:
    """SEEDS and OTHERS -> what those source images are to be surveyed for: "looks", "safety"."""
    on = enabled(recipe)
    safe: Wanted = {"safety": _safety_revision()} if "safety" in on else {}
    return {SEEDS: safe, OTHERS: {**({"looks": ""} if "leak" in on else {}), **safe}}


def _safety_revision() -> str | None:
    file = safety.model_file()
    return models.revision([file]) if file else None


def memory_file(recipe: Recipe) -> Path | None:
    """The index of the images that the recipe's prior was trained on, where that ships and the encoder is the one it needs."""
    if recipe.encoder.name != "embedded" or recipe.prior.name != "embedded":
        return None
    path = models.EMBEDDED_FOLDER / memory_index.FILE
    return path if path.is_file() else None


def is_measured(mark: Mapping[str, Any], wanted: Mapping[str, str | None]) -> bool:
    """Whether a shard's done mark says that all that is wanted was measured, with the same models."""
    measured = mark.get("measured", {})
    return all(name in measured and revision in (measured[name], None) for name, revision in wanted.items())
