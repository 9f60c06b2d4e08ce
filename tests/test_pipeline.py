"""The stages over shards: refill, attempts, and what batch size has no part in."""

from collections import Counter
from pathlib import Path

import numpy as np

from gifcli import pipeline, session
from gifcli.state import owed, packing
from gifcli.state.files import RULES
from gifcli.state.shards import ShardStore
from runs import tiny


def test_rejected_slots_are_filled_by_later_attempts(reference: Path) -> None:
    progress = owed.read_progress(ShardStore(reference))
    attempts = Counter(progress.kept(slot) for slot in progress.sampled)
    assert set(attempts) == {0, 1} or set(attempts) == {0, 1, 2}
    for slot, tried in progress.sampled.items():
        kept = progress.kept(slot)
        assert tried == set(range(kept + 1))
        assert all(progress.verdicts[slot][attempt] for attempt in range(kept))


def test_max_attempts_bounds_the_work_and_more_of_them_go_on(photos: Path, tmp_path: Path) -> None:
    root = tmp_path / "out"
    strict = {"input__limit": 1, "ratio": 1, "checks__unchanged__max_similarity": -1}
    session.expand(photos, root, tiny(max_attempts=1, **strict))
    store = ShardStore(root)
    assert {shard.attempt for shard in store.done("generate")} == {0}
    session.expand(photos, root, tiny(max_attempts=2, **strict))
    assert {shard.attempt for shard in store.done("generate")} == {0, 1}
    assert owed.generate_jobs(*_plan(photos, root), 2) == []


def _plan(photos: Path, root: Path):
    with session.opened(
        photos, root, tiny(input__limit=1, ratio=1, checks__unchanged__max_similarity=-1), session.Access()
    ) as run:
        return run.plan, run.targets(), owed.read_progress(run.store)


def test_the_batch_size_changes_no_noise_and_hardly_a_result(photos: Path, reference: Path, tmp_path: Path) -> None:
    session.expand(photos, tmp_path / "out", tiny(run__batch_size=3, guidance__steps=0))
    session.expand(photos, tmp_path / "more", tiny(run__batch_size=16, guidance__steps=0))
    few, many = (ShardStore(tmp_path / name) for name in ("out", "more"))
    for shard in few.done("optimize"):
        pairs = zip(*(packing.unpack_noises(store.read("optimize", shard)) for store in (few, many)), strict=True)
        for a, b in pairs:
            assert np.array_equal(a.b, b.b)
            assert np.array_equal(a.z, b.z)


def test_the_rules_are_stored_with_their_accuracy(reference: Path) -> None:
    store = ShardStore(reference)
    rules = store.load(RULES)
    assert rules["classes"] == ["brick", "cat", "coffee"]
    assert rules["accuracy"]["prototype"] > rules["accuracy"]["chance"]
    assert {path.suffix for path in (store.state / "rules").iterdir()} == {".safetensors", ".yaml"}


def test_the_events_tell_how_fast_each_stage_was(reference: Path) -> None:
    events = ShardStore(reference).events()
    assert [event["stage"] for event in events[:4]] == ["extract", "optimize", "generate", "filter"]
    assert [event["images"] for event in events[:4]] == [12, 24, 24, 24]
    assert all(event["seconds"] > 0 for event in events)


def test_a_finished_pipeline_does_nothing(photos: Path, finished: Path) -> None:
    with session.opened(photos, finished, tiny(), session.Access()) as run:
        assert not any(done.shards or done.judged for done in pipeline.expand(run))


def test_every_verdict_was_given_once_in_the_one_order(reference: Path) -> None:
    state = ShardStore(reference).load(owed.VERDICTS)
    slots = [tuple(verdict[:3]) for verdict in state["verdicts"]]
    assert len(set(slots)) == len(slots)
    assert [attempt for _, _, attempt in slots] == sorted(attempt for _, _, attempt in slots)
