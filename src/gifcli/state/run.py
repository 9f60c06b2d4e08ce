"""An open run: its state, source, recipe, plan and engine, and what follows from them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gifcli.engines import Engine
from gifcli.recipe import settings
from gifcli.recipe.recipe import Recipe, dump_recipe
from gifcli.records import Source
from gifcli.reporter import Reporter
from gifcli.sources.source import Scan
from gifcli.state.budget import spent
from gifcli.state.files import RECIPE, RULES, SETTINGS
from gifcli.state.plan import Plan, targets
from gifcli.state.seals import seal_text
from gifcli.state.shards import ShardStore, write_atomic


@dataclass(frozen=True, slots=True)
class Options:
    """How to treat a run folder that exists. `redo` is a stage name."""

    if_exists: str = "resume"
    redo: str | None = None
    refresh_rules: bool = False


@dataclass(slots=True)
class Run:
    """An open run.

    recipe    resolved: no `auto` is left in what stages use, but prior.mirror until the rules are induced
    scan      the source as it is now, with its holdout split off
    budget    while `gif eval --iterate` tries another way to spend the goal: how many samples each seed is to have
    engine    kept from stage to stage, with the models that its processes have loaded
    """

    store: ShardStore
    source: Path
    recipe: Recipe
    scan: Scan
    plan: Plan
    reporter: Reporter
    stages: dict[str, dict[str, Any]] = field(default_factory=dict)
    engine: Engine | None = None
    budget: dict[str, int] | None = None

    @property
    def root(self) -> Path:
        """The run folder."""
        return self.store.root

    @property
    def present(self) -> dict[str, Source]:
        """The planned seeds that are still in the source, by key, under the path they have now."""
        planned = {source.key for source in self.plan.sources}
        return {source.key: source for source in self.scan.sources if source.key in planned}

    def seeds(self) -> list[Source]:
        """The extracted seeds that are still in the source, in plan order."""
        present = self.present
        marks = self.store.done("extract")
        keys = [key for shard in sorted(marks) for key in marks[shard]["seeds"]]
        return [present[key] for key in keys if key in present]

    def targets(self) -> dict[str, int]:
        """How many samples each of those seeds is to have."""
        goal = targets(self.seeds(), self.recipe)
        return spent(self.store, goal) if self.budget is None else {key: self.budget.get(key, 0) for key in goal}

    def fingerprint(self, stage: str) -> str:
        """The hash of all that decides this stage's results."""
        rules = self.store.load(RULES)
        return settings.fingerprints(self.stages, rules["digest"] if rules else "")[stage]

    def save_settings(self, stage: str) -> None:
        """Notes the settings that this stage is about to run with."""
        stored = self.store.load(SETTINGS) or {}
        run = {"run.dtype": self.recipe.run.dtype}
        self.store.save(SETTINGS, {**stored, "run": run, stage: self.stages[stage]})

    def set_recipe(self, recipe: Recipe) -> None:
        """Takes a recipe in which more is resolved, and writes it out."""
        self.recipe = recipe
        self.stages = settings.stage_settings(recipe)
        data = recipe_bytes(recipe)
        path = self.root / RECIPE
        if not path.is_file() or path.read_bytes() != data:
            write_atomic(path, data)


def recipe_bytes(recipe: Recipe) -> bytes:
    """The file that says how a run was made, with a seal that `gif verify` looks at."""
    text = f"# The recipe of this run, every setting written out.\n{dump_recipe(recipe, 'run')}"
    return seal_text(text)
