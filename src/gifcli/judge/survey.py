"""What the checks know of source images: of those that must not leak, how they look; of all, how safe they are.

Kept as shards of their own beside the stages' (`5-survey`), so that a check turned on later needs no new extraction. Those
of round 0 go with the shards of extract, those of round 1 with the images that are not expanded.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gifcli.engines import Job
from gifcli.judge.checklist import OTHERS, SEEDS, Wanted, is_measured, to_survey
from gifcli.records import Array, Source
from gifcli.state import packing
from gifcli.state.run import Run
from gifcli.state.shards import ShardId

STAGE = "survey"
CHUNK = 64
"""Images that are not expanded in a shard."""
CHUNKS = "survey.json"

Marks = Mapping[ShardId, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Surveyed:
    """What is known by now, by key; what is not known is absent.

    safety  in [0, 1], of seeds and others      looks  (sketch, phash) of the others
    """

    safety: dict[str, float] = field(default_factory=dict)
    looks: dict[str, tuple[Array, Any]] = field(default_factory=dict)


def survey_jobs(run: Run) -> list[Job]:
    """The shards that are owed: those that lack an image, or something that a check wants now."""
    marks, wants = done(run), to_survey(run.recipe)
    return [*_seed_jobs(run, marks, wants[SEEDS]), *_other_jobs(run, marks, wants[OTHERS])]


def done(run: Run) -> dict[ShardId, dict[str, Any]]:
    """The finished shards that fit the settings of extract."""
    fingerprint = run.fingerprint("extract")
    return {shard: mark for shard, mark in run.store.done(STAGE).items() if mark["fingerprint"] == fingerprint}


def read_survey(run: Run, extra: Mapping[ShardId, dict[str, Array]] | None = None) -> Surveyed:
    """All that is known; `extra` are the columns of shards that were made and not committed, and replace those that were."""
    known = Surveyed()
    fresh = extra or {}
    for shard in done(run):
        if shard not in fresh:
            _add(known, packing.unpack_columns(run.store.read(STAGE, shard)))
    for columns in fresh.values():
        _add(known, columns)
    return known


def chunks(run: Run) -> list[list[str]]:
    """Which images that are not expanded lie in which shard: as they were planned before, new ones in new shards."""
    planned: list[list[str]] = run.store.load(CHUNKS) or []
    known = {key for keys in planned for key in keys}
    new = [source.key for source in others(run) if source.key not in known]
    return planned + [new[start : start + CHUNK] for start in range(0, len(new), CHUNK)]


def others(run: Run) -> list[Source]:
    """The images of the source that are not expanded: validation, test, held out."""
    return [source for source in run.scan.sources if source.split != "train"]


def _seed_jobs(run: Run, marks: Marks, wants: Wanted) -> list[Job]:
    jobs = []
    for shard, mark in run.store.done("extract").items() if wants else ():
        there = marks.get(shard, {"keys": []})
        if set(mark["seeds"]) - set(there["keys"]) or not is_measured(there, wants):
            jobs.append(Job(ShardId(shard.n, SEEDS), tuple(mark["seeds"])))
    return jobs


def _other_jobs(run: Run, marks: Marks, wants: Wanted) -> list[Job]:
    present = {source.key: source for source in others(run)}
    jobs = []
    for n, keys in enumerate(chunks(run) if wants else ()):
        here = tuple(present[key] for key in keys if key in present)
        there = marks.get(ShardId(n, OTHERS), {"keys": []})
        if {source.key for source in here} - set(there["keys"]) or (here and not is_measured(there, wants)):
            jobs.append(Job(ShardId(n, OTHERS), here))
    return jobs


def _add(known: Surveyed, columns: dict[str, Array]) -> None:
    keys = [str(key) for key in columns.get("key", np.zeros(0, str))]
    if "safety" in columns:
        known.safety.update(zip(keys, columns["safety"].tolist(), strict=True))
    if "sketch" in columns:
        known.looks.update(zip(keys, zip(columns["sketch"], columns["phash"], strict=True), strict=True))
