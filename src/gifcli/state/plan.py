"""The plan: which seed lies in which shard, and which slots it owes. Append-only, so that done work stays valid."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import floor
from typing import Any, NamedTuple

from gifcli.recipe.recipe import Recipe
from gifcli.records import Source


class Siblings(NamedTuple):
    """Samples k = first..last-1 of one seed, optimised jointly; `round` is the planning that added them."""

    round: int
    n: int
    seed: str
    first: int
    last: int


@dataclass(slots=True)
class Plan:
    """Shard n holds `shards[n]`; `siblings` lists every slot that was ever owed, in the order of planning."""

    shards: list[list[Source]] = field(default_factory=list)
    siblings: list[Siblings] = field(default_factory=list)

    @property
    def sources(self) -> list[Source]:
        """All planned sources, in plan order."""
        return [source for shard in self.shards for source in shard]

    def add_sources(self, sources: Iterable[Source], shard_seeds: int) -> int:
        """Puts the sources that the plan doesn't know into new shards; how many those are."""
        known = {source.key for source in self.sources}
        new = [source for source in sources if source.key not in known]
        self.shards += [new[i : i + shard_seeds] for i in range(0, len(new), shard_seeds)]
        return len(new)

    def add_slots(self, targets: Mapping[str, int]) -> int:
        """Adds a sibling group for each seed whose target is above what is planned for it; how many slots that is."""
        place = {source.key: n for n, shard in enumerate(self.shards) for source in shard}
        planned: Counter[str] = Counter()
        for group in self.siblings:
            planned[group.seed] = max(planned[group.seed], group.last)
        this_round = max((group.round for group in self.siblings), default=-1) + 1
        new = [
            Siblings(this_round, place[key], key, planned[key], target)
            for key, target in targets.items()
            if target > planned[key]
        ]
        self.siblings += sorted(new, key=lambda group: group.n)
        return sum(group.last - group.first for group in new)

    def to_state(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "shards": [[asdict(source) for source in shard] for shard in self.shards],
            "siblings": [list(group) for group in self.siblings],
        }

    @classmethod
    def from_state(cls, state: dict[str, Any] | None) -> "Plan":
        """Inverse of `to_state`; None is the empty plan."""
        if state is None:
            return cls()
        shards = [[Source(**source) for source in shard] for shard in state["shards"]]
        return cls(shards, [Siblings(*group) for group in state["siblings"]])


def targets(seeds: Sequence[Source], recipe: Recipe) -> dict[str, int]:
    """How many samples each seed is to have, from the ratio, `per_class` or `balance`. `seeds` in plan order."""
    if recipe.per_class is None and not recipe.balance:
        shares = spread(recipe.ratio_or_default * len(seeds), len(seeds))
        return {seed.key: share for seed, share in zip(seeds, shares, strict=True)}
    classes: defaultdict[str, list[str]] = defaultdict(list)
    for seed in seeds:
        classes[seed.label].append(seed.key)
    counts = {label: len(keys) for label, keys in classes.items()}
    if recipe.per_class is not None:
        needs = {label: max(0, recipe.per_class - count) for label, count in counts.items()}
    else:
        needs = fill_up(counts, round(recipe.ratio_or_default * len(seeds)))
    result = {seed.key: 0 for seed in seeds}
    for label, keys in classes.items():
        result |= dict(zip(keys, spread(needs[label], len(keys)), strict=True))
    return result


def spread(total: float, places: int) -> list[int]:
    """`total` over `places` as evenly as whole numbers allow; the first places never change when places are added at
    the same total per place.
    """
    each = total / places if places else 0.0
    return [floor((i + 1) * each + 1e-9) - floor(i * each + 1e-9) for i in range(places)]


def fill_up(counts: Mapping[str, int], budget: int) -> dict[str, int]:
    """Spends the budget one by one on whichever class is smallest: like water filling the lowest places first."""
    order = sorted(counts, key=lambda label: (counts[label], label))
    level, filled = (counts[order[0]] if order else 0), 0
    while filled < len(order) and budget > 0:
        filled = sum(counts[label] <= level for label in order)
        ceiling = counts[order[filled]] if filled < len(order) else level + budget // filled + 1
        step = min(ceiling - level, budget // filled)
        level, budget = level + step, budget - step * filled
        if step == 0 or filled == len(order):
            break
    extra = order[: min(budget, filled)] if filled else []
    return {label: max(0, level - counts[label]) + (label in extra) for label in counts}
