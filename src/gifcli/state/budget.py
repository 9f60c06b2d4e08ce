"""A run's budget of samples spent by need: counts that take the place of the goal's own for as long as the goal is the same."""

from collections.abc import Mapping

from gifcli.state.shards import ShardStore, digest

BUDGET = "budget.json"


def spent(store: ShardStore, goal: Mapping[str, int]) -> dict[str, int]:
    """How many samples each seed is to have: as `gif eval --iterate` found best for this very goal, else the goal itself."""
    state = store.load(BUDGET)
    if state is None or state["goal"] != digest(sorted(goal.items())):
        return dict(goal)
    return {key: int(state["targets"][key]) for key in goal}


def keep(store: ShardStore, goal: Mapping[str, int], targets: Mapping[str, int] | None) -> None:
    """Notes counts for this goal; None = the goal's own are the better ones."""
    if targets is None:
        (store.state / BUDGET).unlink(missing_ok=True)
    else:
        store.save(BUDGET, {"goal": digest(sorted(goal.items())), "targets": dict(sorted(targets.items()))})
