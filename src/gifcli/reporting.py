"""A run's report: contact sheets drawn from its shards, and the figures that its state holds."""

import io
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from PIL import Image

from gifcli import packing
from gifcli.judging import judged_shards
from gifcli.owed import Progress
from gifcli.records import Array, Source
from gifcli.report import Attempt, ClassReport, Guide, Report, ScoreChange
from gifcli.report.contact_sheet import contact_sheet
from gifcli.report.page import write_report
from gifcli.run import RULES, Run
from gifcli.shards import ShardId

SHOWN = 12
"""Seeds on a class's contact sheet."""

Shown = list[tuple[Array, str | None]]


def write_run_report(run: Run, progress: Progress, targets: Mapping[str, int]) -> None:
    """Writes `report/index.html` and a contact sheet for each class."""
    write_report(run.root / "report", _report(run, progress, targets))


def _report(run: Run, progress: Progress, targets: Mapping[str, int]) -> Report:
    classes: defaultdict[str, list[Source]] = defaultdict(list)
    for source in run.seeds():
        classes[source.label].append(source)
    rules = run.store.load(RULES)
    recipe = run.recipe
    return Report(
        title=run.root.resolve().name,
        ratio=_goal(run),
        classes=[_class(run, progress, targets, label, classes[label]) for label in run.scan.classes],
        attempts=_attempts(progress),
        guide=Guide(rules["classifier"], rules["accuracy"]) if rules["accuracy"] else None,
        scores=_scores(run),
        facts=[
            ("prior", recipe.prior.name),
            ("encoder", recipe.encoder.name),
            (
                "guidance",
                f"{recipe.guidance.steps} {recipe.guidance.optimizer} steps" if recipe.guidance.steps else "off",
            ),
            ("random number", str(recipe.rng)),
        ],
        warnings=[*run.scan.warnings, *rules["notes"]],
    )


def _goal(run: Run) -> str:
    if run.recipe.per_class is not None:
        return f"{run.recipe.per_class} images a class"
    return f"{run.recipe.ratio_or_default:g}x" + (" balanced" if run.recipe.balance else "")


def _class(
    run: Run, progress: Progress, targets: Mapping[str, int], label: str, seeds: Sequence[Source]
) -> ClassReport:
    wanted = sum(targets[seed.key] for seed in seeds)
    have = sum(progress.kept((seed.key, k)) is not None for seed in seeds for k in range(targets[seed.key]))
    sheet = partial(_sheet, run, progress, [seed.key for seed in seeds[:SHOWN]]) if seeds else None
    return ClassReport(label, run.scan.classes[label], len(seeds), have, wanted - have, sheet)


def _sheet(run: Run, progress: Progress, keys: Sequence[str]) -> Image.Image:
    """Draws seeds in the given order, each with its samples by k and attempt."""
    homes = {source.key: n for n, shard in enumerate(run.plan.shards) for source in shard}
    shards = sorted({homes[key] for key in keys})
    pixels: dict[str, Array] = {}
    samples: defaultdict[str, list[tuple[int, int, Array]]] = defaultdict(list)
    for n in shards:
        members = run.store.read("extract", ShardId(n), (".json", ".pixels.png"))
        pixels |= {seed.key: seed.pixels for seed in packing.unpack_seeds(members) if seed.key in keys}
        for shard in judged_shards(run.store):
            if shard.n == n:
                for sample in packing.unpack_samples(run.store.read("generate", shard)):
                    if sample.seed in keys:
                        samples[sample.seed].append((sample.k, sample.attempt, _thumbnail(sample.image)))
    rows = [(pixels[key], _shown(key, samples[key], progress)) for key in keys]
    return contact_sheet(rows, limit=SHOWN)


def _shown(key: str, samples: list[tuple[int, int, Array]], progress: Progress) -> Shown:
    """Kept samples first, by k; then the rejected ones with their reasons."""
    verdicts = [(progress.verdicts[key, k][attempt], k, attempt, image) for k, attempt, image in samples]
    order = sorted(range(len(verdicts)), key=lambda i: (verdicts[i][0] is not None, verdicts[i][1], verdicts[i][2]))
    return [(verdicts[i][3], verdicts[i][0]) for i in order]


def _thumbnail(data: bytes) -> Array:
    with Image.open(io.BytesIO(data)) as image:
        image.thumbnail((256, 256))
        return np.asarray(image.convert("RGB"))


def _attempts(progress: Progress) -> list[Attempt]:
    kept: Counter[int] = Counter()
    rejected: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for verdicts in progress.verdicts.values():
        for attempt, reason in verdicts.items():
            if reason is None:
                kept[attempt] += 1
            else:
                rejected[attempt][reason.partition(":")[0]] += 1
    attempts = sorted({*kept, *rejected})
    return [Attempt(attempt, kept[attempt], dict(sorted(rejected[attempt].items()))) for attempt in attempts]


def _scores(run: Run) -> list[ScoreChange]:
    """Means over all noises of each guide's score, at the start and at the end."""
    sums: defaultdict[tuple[str, str], float] = defaultdict(float)
    count = 0
    for shard in run.store.done("optimize"):
        for noise in packing.unpack_noises(run.store.read("optimize", shard, (".json",))):
            count += 1
            for when, scores in (("start", noise.scores_start), ("end", noise.scores_end)):
                for name, value in scores.items():
                    sums[name, when] += value
    names = dict.fromkeys(name for name, _ in sums)
    return [ScoreChange(name, sums[name, "start"] / count, sums[name, "end"] / count) for name in names]
