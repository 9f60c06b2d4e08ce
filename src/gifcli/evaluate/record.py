"""evaluation.json: what was measured, kept with the dataset for as long as that stays as it is. No torch."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gifcli.recipe.recipe import read_recipe
from gifcli.state.budget import BUDGET
from gifcli.state.files import RECIPE
from gifcli.state.owed import VERDICTS
from gifcli.state.seals import to_json
from gifcli.state.shards import ShardStore, digest, write_atomic
from gifcli.wording import number_of

EVALUATION = "evaluation.json"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One learner's evaluation of a run; `data` is its entry in evaluation.json (figures in percent)."""

    run: str
    data: dict[str, Any] = field(default_factory=dict)

    def arm(self, name: str) -> dict[str, Any]:
        """The arm of that name."""
        found: dict[str, Any] = next(arm for arm in self.data["arms"] if arm["name"] == name)
        return found

    @property
    def chosen(self) -> dict[str, Any]:
        """The arm with generated images that inner validation chose."""
        return self.arm(self.data["chosen"])

    def to_data(self) -> dict[str, Any]:
        """For `--json`."""
        return {"run": self.run, **self.data}

    def to_lines(self) -> list[str]:
        """For people."""
        return [f"{self.run}: {self.data['test']}; {how(self.data)}", "", *table(self.data), "", *sentences(self.data)]


def table(data: dict[str, Any]) -> list[str]:
    """The arms as a Markdown table; brackets hold 90% intervals."""
    marks = {data["baseline"]: " (baseline)", data["plain"]: " (as it is)", data["chosen"]: " (chosen)"}
    corrupted = any(arm["corrupted"] for arm in data["arms"])
    head = ["arm", "accuracy %", "against the baseline", "ECE %", *(["corrupted %"] if corrupted else [])]
    rows = []
    for arm in data["arms"]:
        gain = (
            f"{arm['gain']:+.1f} [{arm['gain_low']:+.1f}, {arm['gain_high']:+.1f}]" if arm["gain"] is not None else ""
        )
        accuracy = f"{arm['accuracy']:.1f} [{arm['low']:.1f}, {arm['high']:.1f}]"
        row = [arm["name"] + marks.get(arm["name"], ""), accuracy, gain, f"{arm['ece']:.1f}"]
        rows.append([*row, *([f"{arm['corrupted']['mean']:.1f}"] if corrupted else [])])
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in [head, *rows]
    ]
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]


def sentences(data: dict[str, Any]) -> list[str]:
    """The verdict, the classes that change most, the real-data equivalent, and the notes."""
    arms = {arm["name"]: arm for arm in data["arms"]}
    lines = [
        f"verdict: {data['verdict']}; against {data['baseline']}",
        f"at the share that inner validation splits chose: {_gain(arms[data['chosen']])}",
        f"the folder as it is: {_gain(arms[data['plain']])}",
    ]
    if data["verdict"] == "hurts":
        lines.append("expansion hurts here: train on the originals alone (advice.yaml), and look at the report")
    changes = data["classes"]
    if changes:
        worst, best = changes[0], changes[-1]
        lines.append(
            f"classes: best {best['label']} {best['change']:+.1f} points, worst {worst['label']} {worst['change']:+.1f}"
        )
    if data["equivalent"]:
        same = data["equivalent"]
        lines.append(
            f"worth about {same['more_real']:.0f}% more real images [{same['low']:.0f}, {same['high']:.0f}],"
            " by the learning curve of the originals"
        )
    return lines + [f"note: {note}" for note in data["notes"]]


def _gain(arm: dict[str, Any]) -> str:
    span = f"[{arm['gain_low']:+.1f}, {arm['gain_high']:+.1f}]"
    return f"{arm['name']}: {arm['verdict']}, {arm['gain']:+.1f} points {span}"


def read_evaluations(root: Path) -> list[dict[str, Any]]:
    """What was measured of the dataset as it is now, one entry a learner; [] where nothing was."""
    path = root / EVALUATION
    if not path.is_file():
        return []
    state = json.loads(path.read_bytes())
    found: list[dict[str, Any]] = state["evaluations"] if state["dataset"] == dataset_mark(root) else []
    return found


def measured_text(root: Path) -> str:
    """Markdown for the dataset card; "" where nothing was measured."""
    parts = []
    for data in read_evaluations(root):
        lead = f"Measured by `gif eval` on {data['test']} ({how(data)}). Brackets hold 90% intervals; losses are told like gains."
        parts.append("\n".join([lead, "", *table(data), "", *(f"- {line}" for line in sentences(data))]))
    return "\n\n".join(parts)


def keep_evaluation(root: Path, data: dict[str, Any]) -> None:
    """Adds an entry, in the place of an earlier one of the same learner."""
    others = [each for each in read_evaluations(root) if each["learner"] != data["learner"]]
    entries = sorted([*others, data], key=lambda each: str(each["learner"]))
    write_atomic(root / EVALUATION, to_json({"version": 1, "dataset": dataset_mark(root), "evaluations": entries}))


def dataset_mark(root: Path) -> str:
    """What stands for the images of a run's dataset: it changes when they do."""
    store = ShardStore(root)
    verdicts = store.load(VERDICTS)
    recipe = read_recipe(root / RECIPE, {})
    goal = [recipe.ratio_or_default, recipe.per_class, recipe.balance, store.load(BUDGET)]
    return digest([verdicts["fingerprint"] if verdicts else "", goal])


def how(data: dict[str, Any]) -> str:
    """The learner and how it was trained, in a few words."""
    return (
        f"{data['learner']}, {number_of(data['steps'], 'step')}, {data['rngs']} random numbers, "
        f"{number_of(data['originals'], 'original')}, {data['generated']} generated"
    )
