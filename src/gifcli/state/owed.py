"""What is still owed: from the plan, the done marks and the verdicts. Nothing is remembered that they don't say."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gifcli.engines import Job
from gifcli.state.plan import Plan, Siblings
from gifcli.state.shards import ShardId, ShardStore

VERDICTS = "verdicts.json"

SlotKey = tuple[str, int]


@dataclass(slots=True)
class Progress:
    """Where every slot stands.

    noised    (shard n, round, attempt) -> seeds whose siblings are optimised
    sampled   slot -> attempts that have an image
    verdicts  slot -> attempt -> the reason to reject it, or None
    parts     stage and (n, round, attempt) -> how many shards there are
    """

    noised: defaultdict[tuple[int, int, int], set[str]] = field(default_factory=lambda: defaultdict(set))
    sampled: defaultdict[SlotKey, set[int]] = field(default_factory=lambda: defaultdict(set))
    verdicts: defaultdict[SlotKey, dict[int, str | None]] = field(default_factory=lambda: defaultdict(dict))
    parts: defaultdict[tuple[str, int, int, int], int] = field(default_factory=lambda: defaultdict(int))

    def kept(self, slot: SlotKey) -> int | None:
        """The lowest attempt that passed the checks: the slot's image."""
        return min((a for a, reason in self.verdicts[slot].items() if reason is None), default=None)

    def owed(self, slot: SlotKey, max_attempts: int) -> int | None:
        """The attempt that the slot is owed next; None when it has its image, awaits a verdict, or is given up."""
        if self.kept(slot) is not None or self.sampled[slot] - set(self.verdicts[slot]):
            return None
        return next((a for a in range(max_attempts) if a not in self.sampled[slot]), None)


def read_progress(store: ShardStore) -> Progress:
    """Reads the done marks and the verdicts."""
    progress = Progress()
    for shard, mark in store.done("optimize").items():
        place = _place(shard)
        progress.noised[place] |= set(mark["seeds"])
        progress.parts["optimize", *place] += 1
    for shard, mark in store.done("generate").items():
        place = _place(shard)
        progress.parts["generate", *place] += 1
        for seed, k in mark["slots"]:
            progress.sampled[seed, k].add(place[2])
    for seed, k, attempt, reason in (store.load(VERDICTS) or {"verdicts": []})["verdicts"]:
        progress.verdicts[seed, k][attempt] = reason
    return progress


def optimize_jobs(plan: Plan, targets: Mapping[str, int], progress: Progress, max_attempts: int) -> list[Job]:
    """The sibling groups that owe a slot in an attempt for which they are not optimised yet, by shard."""
    jobs: defaultdict[tuple[int, int, int], list[tuple[str, int, int]]] = defaultdict(list)
    for group, owed in _owed_groups(plan, targets, progress, max_attempts):
        for attempt in sorted(set(owed.values())):
            if group.seed not in progress.noised[group.n, group.round, attempt]:
                jobs[group.n, group.round, attempt].append((group.seed, group.first, group.last))
    return _jobs("optimize", jobs, progress)


def generate_jobs(plan: Plan, targets: Mapping[str, int], progress: Progress, max_attempts: int) -> list[Job]:
    """The slots that are owed and whose siblings are optimised, by shard."""
    jobs: defaultdict[tuple[int, int, int], list[SlotKey]] = defaultdict(list)
    for group, owed in _owed_groups(plan, targets, progress, max_attempts):
        for k, attempt in owed.items():
            if group.seed in progress.noised[group.n, group.round, attempt]:
                jobs[group.n, group.round, attempt].append((group.seed, k))
    return _jobs("generate", jobs, progress)


def judging_order(shard: ShardId) -> tuple[int, ...]:
    """Earlier rounds and attempts first: what was judged before never changes because more was made."""
    return shard.round, shard.attempt or 0, shard.n, shard.part


def _owed_groups(
    plan: Plan, targets: Mapping[str, int], progress: Progress, max_attempts: int
) -> list[tuple[Siblings, dict[int, int]]]:
    """Each sibling group with its owed slots: k -> attempt."""
    result = []
    for group in plan.siblings:
        wanted = range(group.first, min(group.last, targets.get(group.seed, 0)))
        attempts = {k: progress.owed((group.seed, k), max_attempts) for k in wanted}
        owed = {k: attempt for k, attempt in attempts.items() if attempt is not None}
        if owed:
            result.append((group, owed))
    return result


def _jobs(stage: str, items: Mapping[tuple[int, int, int], list[Any]], progress: Progress) -> list[Job]:
    return [
        Job(ShardId(n, round_, attempt, progress.parts[stage, n, round_, attempt]), tuple(rows))
        for (n, round_, attempt), rows in sorted(items.items(), key=lambda item: (item[0][2], item[0][1], item[0][0]))
    ]


def _place(shard: ShardId) -> tuple[int, int, int]:
    assert shard.attempt is not None
    return shard.n, shard.round, shard.attempt
