"""The generate-assess loop on a small real run."""

from pathlib import Path

from gifcli.evaluate import EvaluationSettings, evaluate_run
from gifcli.state import budget
from gifcli.state.owed import read_progress
from gifcli.state.shards import ShardStore
from gifcli.status import run_status
from runs import save_crops


def test_the_same_budget_is_spent_another_way_and_the_note_says_how_that_went(finished: Path, tmp_path: Path):
    for label in ("brick", "cat", "coffee"):
        save_crops(tmp_path / "test" / label, label, 3, first=8)
    settings = EvaluationSettings(test=tmp_path / "test", rngs=2, steps=10)
    store = ShardStore(finished)
    before = set(read_progress(store).sampled)
    found = evaluate_run(finished, settings, iterate=1)
    note = found.data["notes"][-1]
    assert note.startswith("24 samples spent by need: this ")
    kept = store.load(budget.BUDGET)
    assert ("the dataset is the one spent by need" in note) == (kept is not None)
    status = run_status(finished)
    assert status.wanted == 24
    assert status.kept == found.data["generated"]
    assert len(set(read_progress(store).sampled) - before) <= 12, "half of the budget was there already"
    assert before <= set(read_progress(store).sampled)


def test_counts_by_need_hold_for_their_goal_alone(tmp_path: Path):
    store = ShardStore(tmp_path)
    store.state.mkdir()
    goal = {"a": 2, "b": 2}
    assert budget.spent(store, goal) == goal
    budget.keep(store, goal, {"a": 1, "b": 3})
    assert budget.spent(store, goal) == {"a": 1, "b": 3}
    assert budget.spent(store, {"a": 3, "b": 3}) == {"a": 3, "b": 3}
    budget.keep(store, goal, None)
    assert budget.spent(store, goal) == goal
