import random

import pytest

from gifcli.recipe.schema import Recipe
from gifcli.records import Source
from gifcli.state.plan import Plan, Siblings, fill_up, spread, targets


def source(key: str, label: str = "a") -> Source:
    return Source(key, label, "train", f"{label}/{key}.png", key * 2, 1)


def sources(**counts: int) -> list[Source]:
    return [source(f"{label}{i}", label) for label, count in counts.items() for i in range(count)]


@pytest.mark.parametrize("places", [1, 2, 3, 7, 100, 997])
@pytest.mark.parametrize("each", [0.1, 1 / 3, 1.0, 2.5, 4.9, 5.0])
def test_spread_is_even_and_adds_up(places: int, each: float) -> None:
    shares = spread(each * places, places)
    assert max(shares) - min(shares) <= 1
    assert sum(shares) == int(each * places + 1e-6)


def test_spread_gives_the_first_places_the_same_when_places_are_added() -> None:
    rng = random.Random(0)
    for _ in range(200):
        each, few, more = rng.uniform(0.05, 9), rng.randint(1, 50), rng.randint(1, 50)
        assert spread(each * (few + more), few + more)[:few] == spread(each * few, few)


def test_spread_of_nothing() -> None:
    assert spread(3.0, 0) == []
    assert spread(0.0, 3) == [0, 0, 0]


def test_fill_up_equals_one_by_one_into_the_smallest() -> None:
    rng = random.Random(0)
    for _ in range(500):
        counts = {f"c{i}": rng.choice([1, 2, 3, 5, 8, rng.randint(1, 60)]) for i in range(rng.randint(1, 8))}
        budget = rng.randint(0, 150)
        sizes = dict(counts)
        for _ in range(budget):
            smallest = min(sizes, key=lambda label: (sizes[label], counts[label], label))
            sizes[smallest] += 1
        assert fill_up(counts, budget) == {label: sizes[label] - counts[label] for label in counts}, (counts, budget)


def test_fill_up_of_nothing() -> None:
    assert fill_up({}, 5) == {}
    assert fill_up({"a": 1, "b": 3}, 0) == {"a": 0, "b": 0}


def test_targets_by_ratio() -> None:
    assert targets(sources(a=2, b=1), Recipe(ratio=3)) == {"a0": 3, "a1": 3, "b0": 3}
    assert list(targets(sources(a=4), Recipe(ratio=0.5)).values()) == [0, 1, 0, 1]
    assert set(targets(sources(a=2), Recipe()).values()) == {5}


def test_targets_per_class_fill_each_class_up_and_never_below_its_originals() -> None:
    found = targets(sources(a=4, b=1, c=9), Recipe(per_class=7))
    assert [sum(value for key, value in found.items() if key[0] == label) for label in "abc"] == [3, 6, 0]
    assert [found[key] for key in ("a0", "a1", "a2", "a3")] == [0, 1, 1, 1]


def test_targets_of_balance_spend_the_ratio_on_the_smallest_classes() -> None:
    found = targets(sources(a=8, b=2, c=1), Recipe(ratio=2, balance=True))
    sums = [sum(value for key, value in found.items() if key[0] == label) for label in "abc"]
    assert sum(sums) == 22
    assert [8 + sums[0], 2 + sums[1], 1 + sums[2]] == [11, 11, 11]


def test_sources_fill_new_shards_and_old_ones_stay() -> None:
    plan = Plan()
    assert plan.add_sources(sources(a=5), 2) == 5
    before = [list(shard) for shard in plan.shards]
    assert [len(shard) for shard in before] == [2, 2, 1]
    assert plan.add_sources(sources(a=6, b=2), 2) == 3
    assert plan.shards[:3] == before
    assert [s.key for shard in plan.shards[3:] for s in shard] == ["a5", "b0", "b1"]
    assert plan.add_sources(sources(a=6, b=2), 2) == 0


def test_slots_come_in_rounds_that_only_add() -> None:
    plan = Plan()
    plan.add_sources(sources(a=3), 2)
    assert plan.add_slots({"a0": 2, "a1": 0, "a2": 1}) == 3
    first = list(plan.siblings)
    assert first == [Siblings(0, 0, "a0", 0, 2), Siblings(0, 1, "a2", 0, 1)]
    assert plan.add_slots({"a0": 1, "a1": 0, "a2": 1}) == 0
    assert plan.add_slots({"a2": 4, "a1": 1, "a0": 2}) == 4
    assert plan.siblings == [*first, Siblings(1, 0, "a1", 0, 1), Siblings(1, 1, "a2", 1, 4)]


def test_a_plan_is_read_back_as_it_was() -> None:
    plan = Plan()
    plan.add_sources(sources(a=3, b=1), 2)
    plan.add_slots({"a0": 2, "b0": 1})
    assert Plan.from_state(plan.to_state()) == plan
    assert Plan.from_state(None) == Plan()
