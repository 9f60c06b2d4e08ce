"""How far a run is: read from its state, without the lock and without the source."""

import shlex
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from gifcli.dataset.sums import lost
from gifcli.recipe.recipe import read_recipe
from gifcli.state import owed
from gifcli.state.budget import spent
from gifcli.state.files import EXPORT, PLAN, SUMS
from gifcli.state.plan import Plan, targets
from gifcli.state.resolving import source_of
from gifcli.state.shards import FOLDERS, ShardStore
from gifcli.wording import number_of


@dataclass(frozen=True, slots=True)
class Status:
    """A run as its state tells it.

    shards     stage -> shards done
    wanted     samples the ratio asks for; `kept` are there, `owed` can still be made, `given_up` had all their attempts
    shortfall  label -> samples that are not there yet
    exported   whether the dataset was written since the last change; `gone` of its files are no longer there
    """

    run: str
    source: str
    images: int
    originals: int
    shards: dict[str, int]
    wanted: int
    kept: int
    owed: int
    given_up: int
    shortfall: dict[str, int]
    exported: bool
    gone: int = 0

    def to_data(self) -> dict[str, object]:
        """For `--json`."""
        return asdict(self)

    def to_lines(self) -> list[str]:
        """For people."""
        shards = ", ".join(f"{stage} {count}" for stage, count in self.shards.items())
        written = "written" if self.exported else "not written yet"
        lines = [
            f"{self.run}: {number_of(self.originals, 'original')} of {number_of(self.images, 'planned image')} in {self.source}",
            f"samples: {self.kept} of {self.wanted} kept, {self.owed} owed, {self.given_up} given up",
            f"shards done: {shards}; dataset {written}",
        ]
        if self.shortfall:
            lines.append("missing: " + ", ".join(f"{label} {count}" for label, count in self.shortfall.items()))
        if self.gone:
            lines.append(f"files of the dataset that are gone or damaged: {self.gone}; gif expand writes them again")
        if self.owed or self.gone or not self.exported:
            command = ["gif", "expand", self.source, "-o", self.run, "-r", str(Path(self.run) / "recipe.yaml")]
            lines.append(f"next: {shlex.join(command)}")
        return lines


def run_status(root: Path) -> Status:
    """Reads a run folder.

    Raises:
        UsageError: that is not a run folder.
    """
    source = source_of(root)
    store = ShardStore(root)
    recipe = read_recipe(root / "recipe.yaml", {})
    plan = Plan.from_state(store.load(PLAN))
    marks = store.done("extract")
    extracted = {key for mark in marks.values() for key in mark["seeds"]}
    seeds = [planned for planned in plan.sources if planned.key in extracted]
    goal = spent(store, targets(seeds, recipe))
    progress = owed.read_progress(store)
    slots = [(seed, k) for seed in seeds for k in range(goal[seed.key])]
    missing = [(seed, k) for seed, k in slots if progress.kept((seed.key, k)) is None]
    open_ = [slot for slot in missing if not _given_up(progress, (slot[0].key, slot[1]), recipe.max_attempts)]
    return Status(
        run=str(root),
        source=str(source),
        images=len(plan.sources),
        originals=len(seeds),
        shards={stage: len(store.done(stage)) for stage in FOLDERS},
        wanted=len(slots),
        kept=len(slots) - len(missing),
        owed=len(open_),
        given_up=len(missing) - len(open_),
        shortfall=dict(sorted(Counter(seed.label for seed, _ in missing).items())),
        exported=_is_exported(store),
        gone=len(lost(root)),
    )


def _is_exported(store: ShardStore) -> bool:
    """Whether the dataset was written, to its end, from the verdicts of now."""
    export = store.load(EXPORT) if (store.root / SUMS).is_file() else None
    verdicts = store.load(owed.VERDICTS)
    return export is not None and export.get("verdicts") == (verdicts["fingerprint"] if verdicts else "")


def _given_up(progress: owed.Progress, slot: owed.SlotKey, max_attempts: int) -> bool:
    judged = not progress.sampled[slot] - set(progress.verdicts[slot])
    return judged and progress.owed(slot, max_attempts) is None
