from pathlib import Path

import pytest

from gifcli.records import Source
from gifcli.state.owed import VERDICTS, generate_jobs, judging_order, optimize_jobs, read_progress
from gifcli.state.plan import Plan
from gifcli.state.shards import ShardId, ShardStore

TARGETS = {"a": 2, "b": 2, "c": 1}


@pytest.fixture
def plan() -> Plan:
    plan = Plan()
    plan.add_sources([Source(key, "x", "train", f"x/{key}.png", key, 1) for key in "abc"], 2)
    plan.add_slots(TARGETS)
    return plan


@pytest.fixture
def store(tmp_path: Path) -> ShardStore:
    return ShardStore(tmp_path)


def owed(store: ShardStore, plan: Plan, targets: dict[str, int] = TARGETS, attempts: int = 2) -> tuple[dict, dict]:
    """What optimize and generate owe: shard -> items."""
    progress = read_progress(store)
    jobs = optimize_jobs(plan, targets, progress, attempts), generate_jobs(plan, targets, progress, attempts)
    return tuple({str(job.shard): job.items for job in found} for found in jobs)


def optimised(store: ShardStore, name: str, *seeds: str) -> None:
    store.write("optimize", ShardId.parse(name), [], {"seeds": list(seeds)})


def sampled(store: ShardStore, name: str, *slots: tuple[str, int]) -> None:
    store.write("generate", ShardId.parse(name), [], {"slots": [list(slot) for slot in slots]})


def judged(store: ShardStore, *verdicts: tuple[str, int, int, str | None]) -> None:
    store.save(VERDICTS, {"verdicts": [list(verdict) for verdict in verdicts]})


def test_at_first_everything_is_owed_and_nothing_can_be_sampled(store: ShardStore, plan: Plan) -> None:
    assert owed(store, plan) == ({"00000-a0": (("a", 0, 2), ("b", 0, 2)), "00001-a0": (("c", 0, 1),)}, {})


def test_what_is_optimised_can_be_sampled(store: ShardStore, plan: Plan) -> None:
    optimised(store, "00000-a0", "a", "b")
    assert owed(store, plan) == ({"00001-a0": (("c", 0, 1),)}, {"00000-a0": (("a", 0), ("a", 1), ("b", 0), ("b", 1))})


def test_what_awaits_its_verdict_is_not_owed(store: ShardStore, plan: Plan) -> None:
    optimised(store, "00000-a0", "a", "b")
    sampled(store, "00000-a0", ("a", 0), ("a", 1), ("b", 0), ("b", 1))
    assert owed(store, plan) == ({"00001-a0": (("c", 0, 1),)}, {})


def test_a_rejected_slot_is_owed_the_next_attempt_of_all_its_siblings(store: ShardStore, plan: Plan) -> None:
    optimised(store, "00000-a0", "a", "b")
    sampled(store, "00000-a0", ("a", 0), ("a", 1), ("b", 0), ("b", 1))
    judged(store, ("a", 0, 0, None), ("a", 1, 0, "broken: flat"), ("b", 0, 0, None), ("b", 1, 0, None))
    assert owed(store, plan)[0] == {"00001-a0": (("c", 0, 1),), "00000-a1": (("a", 0, 2),)}
    optimised(store, "00000-a1", "a")
    assert owed(store, plan)[1] == {"00000-a1": (("a", 1),)}


def test_a_slot_is_given_up_after_so_many_attempts(store: ShardStore, plan: Plan) -> None:
    for attempt in range(2):
        optimised(store, f"00001-a{attempt}", "c")
        sampled(store, f"00001-a{attempt}", ("c", 0))
    judged(store, ("c", 0, 0, "label"), ("c", 0, 1, "label"))
    assert owed(store, plan, {"c": 1}) == ({}, {})
    assert owed(store, plan, {"c": 1}, attempts=3)[0] == {"00001-a2": (("c", 0, 1),)}


def test_an_image_is_the_lowest_attempt_that_was_kept(store: ShardStore) -> None:
    judged(store, ("a", 0, 2, None), ("a", 0, 1, None), ("a", 0, 0, "label"))
    assert read_progress(store).kept(("a", 0)) == 1
    assert read_progress(store).kept(("a", 1)) is None


def test_what_comes_on_top_of_an_attempt_is_a_part_of_its_own(store: ShardStore, plan: Plan) -> None:
    optimised(store, "00000-a0", "a")
    sampled(store, "00000-a0", ("a", 0))
    jobs = owed(store, plan)
    assert jobs[0]["00000-a0-p1"] == (("b", 0, 2),)
    assert jobs[1]["00000-a0-p1"] == (("a", 1),)


def test_a_lower_target_owes_less_and_siblings_stay_together(store: ShardStore, plan: Plan) -> None:
    assert owed(store, plan, {"a": 1, "b": 0}) == ({"00000-a0": (("a", 0, 2),)}, {})
    optimised(store, "00000-a0", "a")
    assert owed(store, plan, {"a": 1, "b": 0})[1] == {"00000-a0": (("a", 0),)}


def test_earlier_rounds_and_attempts_are_judged_first() -> None:
    names = ["00001-g1-a0", "00001-a1", "00000-a1", "00002-a0-p1", "00002-a0", "00000-g1-a1", "00009-a0"]
    assert [str(shard) for shard in sorted(map(ShardId.parse, names), key=judging_order)] == [
        "00002-a0",
        "00002-a0-p1",
        "00009-a0",
        "00000-a1",
        "00001-a1",
        "00001-g1-a0",
        "00000-g1-a1",
    ]
