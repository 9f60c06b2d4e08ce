"""Verdicts over the whole run: all measured samples, in the one order that never changes, under the thresholds of now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from gifcli.judge import checklist
from gifcli.judge.nearness import nearness
from gifcli.judge.survey import Surveyed, others, read_survey
from gifcli.judge.survey import done as surveyed
from gifcli.records import Array, Seed
from gifcli.rules.rules import Rules
from gifcli.state import packing
from gifcli.state.owed import VERDICTS
from gifcli.state.run import Run
from gifcli.state.shards import ShardId, ShardStore, digest

if TYPE_CHECKING:
    from gifcli.checks import Check, Table

Columns = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sources:
    """What is to be said of source images, by path: their safety score where that is flagged; which one they show again."""

    flagged: dict[str, float] = field(default_factory=dict)
    leaking: dict[str, str] = field(default_factory=dict)


def judge(run: Run, shards: Sequence[ShardId]) -> bool:
    """Judges the samples of the given shards, unless the verdicts that are there say the same; whether it did."""
    marks = run.store.done("filter")
    fingerprint = digest([*_decided_by(run), [[str(shard), marks[shard].get("measured")] for shard in shards]])
    state = run.store.load(VERDICTS)
    if not shards or (state and state["fingerprint"] == fingerprint):
        return False
    slots = [slot for shard in shards for slot in marks[shard]["slots"]]
    with threadpool_limits(1):  # sums of floats depend on the number of threads
        found = _judge(run, [measures(run.store, shard) for shard in shards])
    verdicts = [[*slot, reason] for slot, reason in zip(slots, found.pop("reasons"), strict=True)]
    run.save_settings("filter")
    names = [str(shard) for shard in shards]
    run.store.save(VERDICTS, {"fingerprint": fingerprint, "shards": names, "verdicts": verdicts, **found})
    return True


def judged_shards(store: ShardStore) -> list[ShardId]:
    """The shards that were judged last, in judging order."""
    return [ShardId.parse(name) for name in (store.load(VERDICTS) or {"shards": []})["shards"]]


def measures(store: ShardStore, shard: ShardId) -> Columns:
    """What the checks measured of a shard's samples, in slot order."""
    return packing.unpack_columns(store.read("filter", shard, (".npy",)))


def features(store: ShardStore, shard: ShardId) -> Array | None:
    """Features (n d) float32 of a shard's samples, in slot order; None where no check measured them."""
    return packing.unpack_features(store.read("filter", shard, (packing.FEATURES,)))


def nearest_seeds(store: ShardStore) -> dict[tuple[str, int, int], float]:
    """(seed, k, attempt) of each judged sample -> similarity to the nearest seed that is not its own."""
    state = store.load(VERDICTS) or {"verdicts": [], "nn_set": []}
    near = zip(state["verdicts"], state.get("nn_set", []), strict=False)
    return {(seed, k, attempt): value for (seed, k, attempt, _), value in near if value is not None}


def known_sources(store: ShardStore) -> Sources:
    """What the last judging said of source images."""
    state = store.load(VERDICTS) or {}
    return Sources(state.get("flagged", {}), state.get("leaking", {}))


def nearness_of(store: ShardStore) -> dict[str, Any]:
    """How near the kept samples lay to other images at the last judging, see `nearness.nearness`; {} before the first."""
    found: dict[str, Any] = (store.load(VERDICTS) or {}).get("nearness", {})
    return found


def sources(run: Run) -> Sources:
    """What the checks that are on say of source images, as far as those are surveyed."""
    from gifcli.tasks.parts import make_checks
    from gifcli.tasks.reading import load_rules

    rules = load_rules(run.store)
    known = read_survey(run)
    return look_at_sources(run, seed_columns(run, rules, known), known, make_checks(run.recipe, rules))


def make_table(run: Run, rules: Rules, measured: Sequence[Columns], known: Surveyed) -> "Table":
    """All that the checks judge by, in the order of the measured shards."""
    from gifcli.checks import Table
    from gifcli.checks.neighbours import nearest

    samples, seeds = _stack(measured), seed_columns(run, rules, known)
    if len(samples):
        place = {key: i for i, key in enumerate(seeds["key"].tolist())}
        samples["nn_set"], _ = nearest(
            samples, seeds, np.array([place.get(key, -1) for key in samples["seed"].tolist()])
        )
    return Table(samples, seeds, _others(run, known))


def seed_columns(run: Run, rules: Rules, known: Surveyed) -> Columns:
    """One row an extracted seed: key, label, sketch, phash, and safety, NaN where that is not known."""
    from gifcli.stages.filter import seed_rows

    extracted = sorted(run.store.done("extract"))
    rows = [row for shard in extracted for row in seed_rows(_heads(run.store, shard), rules.classes)]
    columns = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    return columns | {"safety": np.array([known.safety.get(str(key), np.nan) for key in columns["key"]])}


def look_at_sources(run: Run, seeds: Columns, known: Surveyed, checks: "Mapping[str, Check]") -> Sources:
    """Which images of the source the safety check flags, and which seeds are near an image that must not leak."""
    from gifcli.checks.leak import LeakCheck
    from gifcli.checks.safety import SafetyCheck

    on, found = checklist.enabled(run.recipe), Sources()
    paths = {source.key: source.path for source in run.scan.sources}
    safety, leak = checks["safety"], checks["leak"]
    if "safety" in on and isinstance(safety, SafetyCheck):
        scores = {"key": np.array(list(known.safety)), "safety": np.array(list(known.safety.values()))}
        flagged = safety.flagged(scores).items()
        found.flagged.update({paths[key]: round(score, 4) for key, score in flagged if key in paths})
    if "leak" in on and isinstance(leak, LeakCheck):
        near = leak.near(seeds, _others(run, known)).items()
        keys = seeds["key"].tolist()
        found.leaking.update({paths[keys[row]]: name for row, name in near if keys[row] in paths})
    return found


def _judge(run: Run, measured: Sequence[Columns]) -> dict[str, Any]:
    from gifcli.stages.filter import judge as judge_table
    from gifcli.tasks.parts import make_checks
    from gifcli.tasks.reading import load_rules

    rules, known = load_rules(run.store), read_survey(run)
    checks = make_checks(run.recipe, rules)
    table = make_table(run, rules, measured, known)
    reasons = judge_table(table, {name: checks[name] for name in checklist.enabled(run.recipe)})
    found = look_at_sources(run, table.seeds, known, checks)
    kept = np.array([reason is None for reason in reasons], bool)
    return {
        "reasons": reasons,
        "nn_set": [round(value, 4) if np.isfinite(value) else None for value in table.samples["nn_set"].tolist()],
        "nearness": nearness(table.samples, kept, rules),
        "flagged": found.flagged,
        "leaking": found.leaking,
    }


def _decided_by(run: Run) -> list[Any]:
    """What verdicts depend on beside the samples: settings, seeds, and what is known of source images."""
    images = sorted([source.key, source.path] for source in [*run.seeds(), *others(run)])
    return [run.fingerprint("filter"), images, [mark["sha256"] for mark in surveyed(run).values()]]


def _others(run: Run, known: Surveyed) -> Columns:
    """The images that must not leak, as far as they are surveyed: key (their path), sketch, phash."""
    seen = [(source.path, *known.looks[source.key]) for source in others(run) if source.key in known.looks]
    if not seen:
        return {}
    names, sketches, hashes = zip(*seen, strict=True)
    return {"key": np.array(names), "sketch": np.stack(sketches), "phash": np.stack(hashes)}


def _heads(store: ShardStore, shard: ShardId) -> list[Seed]:
    """The seeds of a shard without latents and pixels."""
    return list(packing.unpack_seeds(store.read("extract", shard, (".json", ".feature.npy"))))


def _stack(tables: Sequence[Columns]) -> Columns:
    """The columns that all tables have, one under the other."""
    filled = [table for table in tables if table]
    names = [name for name in (filled[0] if filled else {}) if all(name in table for table in filled)]
    return {name: np.concatenate([table[name] for table in filled]) for name in names}
