"""The stages of a run, each over the shards it still owes. What is owed is read from disk, so a kill costs one shard."""

import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gifcli.engines import Engine, EngineSettings, Job, make_engine
from gifcli.errors import InputError, UsageError
from gifcli.judge import survey
from gifcli.judge.checklist import checklist, is_measured, to_measure
from gifcli.judge.judging import judge, judged_shards, sources
from gifcli.models import prior_card
from gifcli.rules.induction import ensure_rules
from gifcli.state import owed
from gifcli.state.files import PLAN, RULES
from gifcli.state.owed import judging_order
from gifcli.state.run import Run
from gifcli.state.shards import ShardId
from gifcli.state.unusable import failures

MAX_AUTO_WORKERS = 8
"""Shards done side by side on a CPU unless stated: each takes up to a gigabyte."""
SHOWN_SIZES = 3


@dataclass(frozen=True, slots=True)
class Done:
    """What a stage did just now: shards made, images in them, the seconds it took; whether verdicts were made."""

    stage: str
    shards: int = 0
    images: int = 0
    seconds: float = 0.0
    judged: bool = False


def extract(run: Run) -> Done:
    """Images -> seeds, then the rules of each class.

    Raises:
        InputError: no image of the source can be read.
    """
    finished = run.store.done("extract")
    present = run.present
    jobs = []
    for n, shard in enumerate(run.plan.shards):
        if ShardId(n) not in finished:
            run.plan.shards[n] = [present[source.key] for source in shard if source.key in present]
            jobs.append(Job(ShardId(n), tuple(run.plan.shards[n])))
    if jobs:  # an image that is away now is not known to the plan: when it comes back it is new
        run.store.save(PLAN, run.plan.to_state())
    done = _run_shards(run, "extract", jobs, sum(len(job.items) for job in jobs))
    _tell_of_images(run, [job.shard for job in jobs])
    if not run.seeds():
        reasons = failures(run)
        first = f"; the first, {reasons[0][0]}: {reasons[0][1]}" if reasons else ""
        raise InputError(f"{run.source}: none of its images could be read{first}; see failures.jsonl")
    ensure_rules(run)
    _plan_slots(run)
    return replace(done, seconds=done.seconds + _survey(run))


def optimize(run: Run) -> Done:
    """Seeds -> guided perturbations, for the slots that owe one."""
    need_rules(run)
    _plan_slots(run)
    progress = owed.read_progress(run.store)
    jobs = owed.optimize_jobs(run.plan, run.targets(), progress, run.recipe.max_attempts)
    return _run_shards(run, "optimize", jobs, sum(last - first for job in jobs for _, first, last in job.items))


def generate(run: Run) -> Done:
    """Perturbations -> images, for the slots that owe one."""
    need_rules(run)
    progress = owed.read_progress(run.store)
    jobs = owed.generate_jobs(run.plan, run.targets(), progress, run.recipe.max_attempts)
    return _run_shards(run, "generate", jobs, sum(len(job.items) for job in jobs))


def filter_samples(run: Run) -> Done:
    """Images -> verdicts: measures the shards that are not measured yet, then judges all of them."""
    need_rules(run)
    return _filter(run, sorted(run.store.done("generate"), key=judging_order))


def expand(run: Run) -> list[Done]:
    """All that is owed, attempt after attempt, until every slot is filled or given up."""
    done = [extract(run)]
    _filter(run, judged_shards(run.store))  # under the thresholds of now, before anything is said to be owed
    while True:
        steps = [optimize(run), generate(run), filter_samples(run)]
        done += steps
        if not any(step.shards or step.judged for step in steps):
            return done


def need_rules(run: Run) -> None:
    """Refuses a run that is not extracted yet.

    Raises:
        UsageError: it has no rules.
    """
    if run.store.load(RULES) is None:
        raise UsageError(
            f"{run.root}: its seeds are not extracted yet; first run: gif extract {run.source} -o {run.root}"
        )


def _filter(run: Run, shards: Sequence[ShardId]) -> Done:
    """Measures those of the given sample shards that lack something a check wants now, then judges them all."""
    samples = run.store.done("generate")
    shards = [shard for shard in shards if shard in samples]  # one that was lost is made again
    wanted = to_measure(run.recipe)
    there = {shard for shard, mark in run.store.done("filter").items() if is_measured(mark, wanted)}
    jobs = [Job(shard) for shard in shards if shard not in there]
    done = _run_shards(run, "filter", jobs, sum(len(samples[job.shard]["slots"]) for job in jobs))
    seconds = done.seconds + _survey(run)
    return replace(done, seconds=seconds, judged=judge(run, shards))


def _survey(run: Run) -> float:
    """Looks at source images as far as a check that is on wants to know of them; warns of what it finds -> seconds."""
    jobs = survey.survey_jobs(run)
    if not jobs:
        return 0.0
    run.store.save(survey.CHUNKS, survey.chunks(run))
    done = _run_shards(run, survey.STAGE, jobs, sum(len(job.items) for job in jobs))
    found = sources(run)
    if found.flagged:
        first, score = next(iter(found.flagged.items()))
        run.reporter.warn(
            f"source images that look unsafe: {len(found.flagged)}, such as {first} (score {score:.2f}); they stay in the dataset"
        )
    if found.leaking:
        first, other = next(iter(found.leaking.items()))
        run.reporter.warn(
            f"training images that are shown again for validation or test: {len(found.leaking)}, such as {first} ({other}); "
            "samples like those are rejected as leaks"
        )
    return done.seconds


def _plan_slots(run: Run) -> None:
    """Brings the plan up to what the goal asks for now."""
    if run.plan.add_slots(run.targets()):
        run.store.save(PLAN, run.plan.to_state())


def _tell_of_images(run: Run, shards: Sequence[ShardId]) -> None:
    """Says at what size images are worked on, and warns of what was lost in reading them."""
    marks = run.store.done("extract")
    sizes: Counter[str] = Counter()
    notes: defaultdict[str, list[str]] = defaultdict(list)
    for shard in shards:
        sizes.update(marks[shard]["sizes"])
        for path, note in marks[shard]["notes"]:
            notes[note].append(path)
    if sizes:
        listed = ", ".join(f"{size} ({count})" for size, count in sizes.most_common(SHOWN_SIZES))
        more = f" and {len(sizes) - SHOWN_SIZES} other sizes" if len(sizes) > SHOWN_SIZES else ""
        run.reporter.say(f"working size, width x height (images): {listed}{more}")
    for note, paths in notes.items():
        run.reporter.warn(f"{note}: {len(paths)} {'image' if len(paths) == 1 else 'images'}, such as {paths[0]}")


def _run_shards(run: Run, stage: str, jobs: Sequence[Job], images: int) -> Done:
    """Runs jobs on the engine and commits what comes back, shard by shard."""
    if not jobs:
        return Done(stage)
    if stage != survey.STAGE:
        run.save_settings(stage)
    _load(run)
    start = time.perf_counter()
    run.reporter.start(stage, images)
    try:
        _commit_all(run, stage, jobs)
    finally:
        run.reporter.finish()
    seconds = time.perf_counter() - start
    run.store.event(stage=stage, shards=len(jobs), images=images, seconds=round(seconds, 3))
    return Done(stage, len(jobs), images, seconds)


def _commit_all(run: Run, stage: str, jobs: Sequence[Job]) -> None:
    from gifcli.tasks.task import StageTask

    classes = run.scan.classes if stage == "extract" else rule_classes(run)
    engine = _engine(run)
    batch_size = batch_size_on(run, engine.device)
    measured = checklist(run.recipe) if stage in ("filter", survey.STAGE) else {}
    task = StageTask(stage, run.root.resolve(), run.source.resolve(), run.recipe, classes, batch_size, measured)
    fingerprint = run.fingerprint("extract" if stage == survey.STAGE else stage)
    for result in engine.run(task, jobs):
        run.store.write(stage, result.shard, result.members, {**result.mark, "fingerprint": fingerprint})
        run.reporter.advance(result.images)


def _load(run: Run) -> None:
    """Loads the models that this process is going to use, so that no stage's speed has that in it."""
    if run.recipe.run.engine == "inline":
        from gifcli.tasks.models import load_models

        load_models(run.recipe, _engine(run).device)


def _engine(run: Run) -> Engine:
    if run.engine is None:
        run.engine = _make_engine(run)
    return run.engine


def _make_engine(run: Run) -> Engine:
    wanted = run.recipe.run
    devices: tuple[str, ...] = (wanted.device,)
    count = 0
    if wanted.engine != "ray":  # whose machines are others
        from gifcli.compute.devices import choose_devices, cores

        devices = choose_devices(wanted.device, several=wanted.engine == "local")
        count = min(cores(), MAX_AUTO_WORKERS) if devices == ("cpu",) else len(devices)
    count = count if wanted.workers == "auto" else int(wanted.workers)
    tell = run.reporter.warn
    return make_engine(EngineSettings(wanted.engine, devices, count, wanted.timeout, wanted.ray_address, tell))


def batch_size_on(run: Run, device: str) -> int:
    """`auto` is a constant on a CPU, so that the same run gives the same bytes; on a GPU 0: as many as fit."""
    if run.recipe.run.batch_size != "auto":
        return int(run.recipe.run.batch_size)
    return prior_card(run.recipe.prior.name).batch_size if device == "cpu" else 0


def rule_classes(run: Run) -> dict[str, str]:
    """The classes in the order that the rules know them, under the names they have now."""
    return {label: run.scan.classes.get(label, label) for label in run.store.load(RULES)["classes"]}
