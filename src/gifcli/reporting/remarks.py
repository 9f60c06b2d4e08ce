"""What a run's report says in words: the goal, how it was made and with what, warnings, and what of a large run it shows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gifcli.formats import Lora
from gifcli.recipe.recipe import Recipe
from gifcli.report import Model
from gifcli.reporting.specimens import Layout
from gifcli.reporting.tally import Tally
from gifcli.wording import are, number_of

SPELLED = 2
"""Classes with too few images that a warning names."""


def goal(recipe: Recipe) -> str:
    """What was asked for, in a few words."""
    if recipe.per_class is not None:
        return f"{number_of(recipe.per_class, 'image')} a class"
    return f"{recipe.ratio_or_default:g}x" + (" balanced" if recipe.balance else "")


def models_used(facts: Mapping[str, Any], loras: Sequence[Lora]) -> list[Model]:
    """The source and every model, with its licence and content hash."""
    prior, encoder = facts["models"]
    return [
        Model("source images", facts["source"], facts["licence"]),
        Model("prior, which made the images", *prior),
        *(Model(f"LoRA, added to it times {each.scale:g}", each.name, "not stated", each.revision) for each in loras),
        Model("encoder, which guided and checked them", *encoder),
    ]


def recipe_facts(recipe: Recipe) -> list[tuple[str, str]]:
    """How it was made: setting -> value, as a person reads it."""
    guidance = recipe.guidance
    return [
        ("goal", goal(recipe)),
        ("strength", f"{float(recipe.prior.strength):g}"),
        (
            "guidance",
            f"{guidance.where}, {number_of(guidance.steps, 'step')} of {guidance.optimizer}"
            if guidance.steps
            else "off",
        ),
        ("guides", ", ".join(f"{guide.name} × {guide.weight:g}" for guide in recipe.guides)),
        ("attempts a slot", str(recipe.max_attempts)),
        ("random number", str(recipe.rng)),
        (
            "images",
            f"{recipe.image.format}" + (f", quality {recipe.image.quality}" if recipe.image.format != "png" else ""),
        ),
    ]


def warnings(root: Path, facts: Mapping[str, Any]) -> list[str]:
    """What is owed, what could not be read, what was not said of the licence."""
    path = root / "failures.jsonl"
    failed = len(path.read_text(encoding="utf-8").splitlines()) if path.is_file() else 0
    missing = {label: count for label, count in facts["missing"].items() if count}
    found = []
    if missing:
        worst = sorted(missing, key=lambda label: (-missing[label], label))[:SPELLED]
        named = ", ".join(f"{facts['classes'][label]} {missing[label]}" for label in worst)
        owed = sum(missing.values())
        found.append(f"{number_of(owed, 'image')} {are(owed)} still owed: too few passed the checks (most: {named}).")
    if failed:
        found.append(f"{number_of(failed, 'source file')} could not be used; failures.jsonl says why.")
    if facts["licence"] == "unknown":
        found.append(
            "Nobody stated under which terms the originals may be used, and generated images derive from them: "
            "settle it before you share this dataset (gif export RUN --license cc-by-4.0)."
        )
    return found


def caps(room: Layout, facts: Mapping[str, Any], counted: Tally) -> list[str]:
    classes, shown = len(facts["classes"]), min(room.classes, len(facts["classes"]))
    which = f"the {shown} of {classes} classes of which least was kept" if shown < classes else "every class"
    return [
        (
            f"Pictures: of {which}, {number_of(room.seeds, 'seed')} at most, drawn by the hash of their key, not by hand; "
            "the last is the seed with the most rejected images."
        ),
        (
            f"Features and histograms: of {len(counted.seeds.rows):,} of {counted.seeds.seen:,} originals and "
            f"{len(counted.kept.rows):,} of {counted.kept.seen:,} kept images, drawn the same way."
        ),
    ]
