"""Which checks a run uses, and what its sample shards must have measured for them. No torch, no model."""

from collections.abc import Mapping
from pathlib import Path
from platform import node
from typing import Any

from gifcli import models
from gifcli.errors import EnvironmentFault
from gifcli.judge import memory_index, safety
from gifcli.recipe.recipe import Recipe

Wanted = dict[str, str | None]
"""What is to be measured -> the content hash of the model it takes: "" for none, None where that is not on this machine, so
that what another machine measured is to be trusted."""

SEEDS, OTHERS = 0, 1
"""Rounds of the survey's shards: seeds, and images that are not expanded."""
SAMPLES = 2
"""What filter looks at, beside those two in a `Checklist`."""
Checklist = Mapping[int, Wanted]
"""SEEDS, OTHERS, SAMPLES -> what is to be measured of them."""
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


def checklist(recipe: Recipe) -> Checklist:
    """All of it, as this machine's models have it: made once, where the run is, and handed to whoever measures."""
    return {**to_survey(recipe), SAMPLES: to_measure(recipe)}


def agreed(wanted: Wanted, own: Wanted) -> Wanted:
    """What a shard's done mark is to say: what was wanted where the run is, by models that are the same here (`own`).

    Raises:
        EnvironmentFault: this machine would measure with another model, so that the run would never find it measured.
    """
    for name, revision in wanted.items():
        here = own.get(name, "none")
        if None not in (revision, here) and here != revision:
            raise EnvironmentFault(
                f"checks.{name}: node {node()} has the model {here}, the run was started with {revision} (content hashes); "
                f"install the same version on all nodes, or turn the check off: --set checks.{name}.enabled=false"
            )
    return {name: own[name] if revision is None else revision for name, revision in wanted.items()}


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
