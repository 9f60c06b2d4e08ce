from pathlib import Path

import numpy as np

from gifcli import session
from gifcli.judge import judging
from gifcli.state import owed, packing
from gifcli.state.owed import judging_order
from gifcli.state.shards import ShardStore
from runs import tiny


def test_it_judges_once_and_again_when_a_threshold_or_the_samples_change(photos: Path, finished: Path) -> None:
    store = ShardStore(finished)
    shards = sorted(store.done("filter"), key=judging_order)
    assert judging.judged_shards(store) == shards
    with session.opened(photos, finished, tiny(), session.Access()) as run:
        assert not judging.judge(run, shards)
        assert judging.judge(run, shards[:-1])
        assert judging.judged_shards(store) == shards[:-1]
        assert judging.judge(run, shards)
    with session.opened(photos, finished, tiny(checks__drift__quantile=0.5), session.Access()) as run:
        assert judging.judge(run, shards)
        assert not judging.judge(run, shards)
        assert not judging.judge(run, [])


def test_what_was_judged_before_never_changes_because_more_was_made(photos: Path, finished: Path) -> None:
    before = ShardStore(finished).load(owed.VERDICTS)["verdicts"]
    session.expand(photos, finished, tiny(ratio=4))
    after = ShardStore(finished).load(owed.VERDICTS)["verdicts"]
    assert len(after) > len(before)
    assert [verdict for verdict in after if verdict in before] == before


def test_a_check_that_is_off_rejects_nothing(photos: Path, finished: Path) -> None:
    tight = {"checks__unchanged__max_similarity": -1.0}
    with session.opened(photos, finished, tiny(**tight), session.Access()) as run:
        shards = judging.judged_shards(run.store)
        judging.judge(run, shards)
        assert all(reason for *_, reason in run.store.load(owed.VERDICTS)["verdicts"])
    with session.opened(photos, finished, tiny(checks__unchanged__enabled=False, **tight), session.Access()) as run:
        judging.judge(run, shards)
        reasons = {(reason or "kept").partition(":")[0] for *_, reason in run.store.load(owed.VERDICTS)["verdicts"]}
        assert "kept" in reasons
        assert "unchanged" not in reasons


def test_measures_are_in_the_order_of_the_samples(reference: Path) -> None:
    store = ShardStore(reference)
    for shard in store.done("generate"):
        samples = list(packing.unpack_samples(store.read("generate", shard)))
        measured = judging.measures(store, shard)
        assert measured["seed"].tolist() == [sample.seed for sample in samples]
        assert measured["k"].tolist() == [sample.k for sample in samples]
        assert np.isfinite(measured["drift"]).all()
