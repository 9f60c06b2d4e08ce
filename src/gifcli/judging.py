"""Verdicts over the whole run: all measured samples, in the one order that never changes, under the thresholds of now."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gifcli import packing
from gifcli.owed import VERDICTS
from gifcli.records import Seed
from gifcli.run import Run
from gifcli.shards import ShardId, ShardStore, digest

Columns = dict[str, Any]


def judge(run: Run, shards: Sequence[ShardId]) -> bool:
    """Judges the samples of the given shards, unless the verdicts that are there say the same; whether it did."""
    marks = run.store.done("filter")
    fingerprint = digest(
        [run.fingerprint("filter"), [str(shard) for shard in shards], sorted(seed.key for seed in run.seeds())]
    )
    state = run.store.load(VERDICTS)
    if not shards or (state and state["fingerprint"] == fingerprint):
        return False
    slots = [slot for shard in shards for slot in marks[shard]["slots"]]
    reasons = _reasons(run, shards)
    verdicts = [[*slot, reason] for slot, reason in zip(slots, reasons, strict=True)]
    run.save_settings("filter")
    names = [str(shard) for shard in shards]
    run.store.save(VERDICTS, {"fingerprint": fingerprint, "shards": names, "verdicts": verdicts})
    return True


def judged_shards(store: ShardStore) -> list[ShardId]:
    """The shards that were judged last, in judging order."""
    return [ShardId.parse(name) for name in (store.load(VERDICTS) or {"shards": []})["shards"]]


def measures(store: ShardStore, shard: ShardId) -> Columns:
    """What the checks measured of a shard's samples, in slot order."""
    return packing.unpack_columns(store.read("filter", shard))


def _reasons(run: Run, shards: Sequence[ShardId]) -> list[str | None]:
    from gifcli.checks import Table
    from gifcli.stages.filter import judge as judge_table
    from gifcli.stages.filter import seed_rows
    from gifcli.tasks import load_rules, make_checks

    rules = load_rules(run.store)
    samples = _stack([measures(run.store, shard) for shard in shards])
    extracted = sorted(run.store.done("extract"))
    seeds = [row for shard in extracted for row in seed_rows(_heads(run.store, shard), rules.classes)]
    columns = {name: np.stack([row[name] for row in seeds]) for name in seeds[0]}
    enabled = run.recipe.checks.model_dump()
    checks = {name: check for name, check in make_checks(run.recipe, rules).items() if enabled[name]["enabled"]}
    return judge_table(Table(samples, columns), checks)


def _heads(store: ShardStore, shard: ShardId) -> list[Seed]:
    """The seeds of a shard without latents and pixels."""
    return list(packing.unpack_seeds(store.read("extract", shard, (".json", ".feature.npy"))))


def _stack(tables: list[Columns]) -> Columns:
    filled = [table for table in tables if table]
    return {name: np.concatenate([table[name] for table in filled]) for name in (filled[0] if filled else {})}
