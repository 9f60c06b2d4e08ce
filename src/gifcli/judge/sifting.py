"""`gif filter RUN --dry-run`: how many samples each threshold would drop, under the settings of now; touches nothing."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gifcli.engines import Job
from gifcli.errors import UsageError
from gifcli.judge import checklist, judging, survey
from gifcli.reporter import Reporter
from gifcli.state import packing
from gifcli.state.files import RULES
from gifcli.state.owed import VERDICTS, judging_order
from gifcli.state.peek import peek_run
from gifcli.state.run import Run
from gifcli.state.shards import ShardId
from gifcli.wording import number_of

if TYPE_CHECKING:
    from gifcli.checks import Table
    from gifcli.rules.rules import Rules


@dataclass(frozen=True, slots=True)
class CheckForecast:
    """What one check would do.

    thresholds  those in force, asked for or calibrated
    drops       samples whose reason it would be      alone  samples that it would turn down if it were the only one
    """

    name: str
    enabled: bool
    thresholds: dict[str, float]
    drops: int
    alone: int


@dataclass(frozen=True, slots=True)
class FilterForecast:
    """What `gif filter` would do.

    kept_before  samples that are kept as the run stands; None where nothing was judged yet
    measured_now  samples that had to be measured for this, in memory
    """

    run: str
    samples: int
    kept: int
    kept_before: int | None
    measured_now: int
    checks: list[CheckForecast]

    def to_data(self) -> dict[str, object]:
        """For `--json`."""
        return asdict(self)

    def to_lines(self) -> list[str]:
        """For people: a table, the checks in the order in which they speak."""
        before = "" if self.kept_before is None else f" (now {self.kept_before})"
        measured = f"; {self.measured_now} of them measured for this" if self.measured_now else ""
        rows = [f"{'check':10} {'drops':>7} {'alone':>7}  thresholds"]
        for check in self.checks:
            limits = ", ".join(f"{name} {value:.4g}" for name, value in check.thresholds.items())
            drops = check.drops if check.enabled else "off"
            rows.append(f"{check.name:10} {drops:>7} {check.alone:>7}  {limits}".rstrip())
        return [
            f"{number_of(self.samples, 'sample')} of {self.run}{measured}",
            *rows,
            f"would keep {self.kept} of {self.samples}{before}; nothing was written",
        ]


def rehearse_filter(root: Path, overrides: Mapping[str, Any], reporter: Reporter) -> FilterForecast:
    """Judges a run's samples under its settings with `overrides`; what is not measured yet is measured in memory.

    Raises:
        UsageError: that is no run folder, or it has no samples yet.
    """
    run = peek_run(root, overrides, reporter)
    shards = sorted(run.store.done("generate"), key=judging_order)
    if not shards or run.store.load(RULES) is None:
        raise UsageError(f"{root}: expected samples to check, found none; first run: gif generate {root}")
    from gifcli.tasks.reading import load_rules

    rules = load_rules(run.store)
    columns, fresh = _measured(run, shards)
    known = survey.read_survey(run, _surveyed(run))
    checks = _forecast(run, rules, judging.make_table(run, rules, columns, known))
    samples = sum(len(each["seed"]) for each in columns if each)
    state = run.store.load(VERDICTS)
    before = sum(reason is None for *_, reason in state["verdicts"]) if state else None
    kept = samples - sum(check.drops for check in checks)
    return FilterForecast(str(root), samples, kept, before, fresh, checks)


def _forecast(run: Run, rules: "Rules", table: "Table") -> list[CheckForecast]:
    """Each check by itself, and all that are on together; those whose columns are not there are left out."""
    from gifcli.checks import NAMES
    from gifcli.stages.filter import judge
    from gifcli.tasks.parts import make_checks

    checks, on = make_checks(run.recipe, rules), checklist.enabled(run.recipe)
    reasons = judge(table, {name: checks[name] for name in on})
    drops = Counter(reason.partition(":")[0] for reason in reasons if reason is not None)
    ready = [name for name in NAMES if name not in checklist.COSTLY or name in checklist.to_measure(run.recipe)]
    return [
        CheckForecast(
            name, name in on, checks[name].thresholds(table), drops[name], sum(map(bool, checks[name].judge(table)))
        )
        for name in ready
    ]


def _measured(run: Run, shards: Sequence[ShardId]) -> tuple[list[judging.Columns], int]:
    """The columns of each shard, and how many samples were measured in memory because their shards lack some."""
    wanted, marks = checklist.to_measure(run.recipe), run.store.done("filter")
    ready = [shard in marks and checklist.is_measured(marks[shard], wanted) for shard in shards]
    if not all(ready):
        run.reporter.say(
            f"measuring anew, as a check wants something they lack: {number_of(ready.count(False), 'shard')} ..."
        )
    columns = [
        judging.measures(run.store, shard) if there else _in_memory(run, "filter", Job(shard))
        for shard, there in zip(shards, ready, strict=True)
    ]
    return columns, sum(len(each["seed"]) for each, there in zip(columns, ready, strict=True) if each and not there)


def _surveyed(run: Run) -> dict[ShardId, judging.Columns]:
    """What the survey lacks, made in memory."""
    return {job.shard: _in_memory(run, survey.STAGE, job) for job in survey.survey_jobs(run)}


def _in_memory(run: Run, stage: str, job: Job) -> judging.Columns:
    """One shard's columns, made in this process and not committed."""
    from gifcli.compute.devices import choose_device
    from gifcli.pipeline import batch_size_on, rule_classes
    from gifcli.tasks.task import StageTask

    device = choose_device(run.recipe.run.device, run.recipe.run.dtype).name
    root, source, size = run.root.resolve(), run.source.resolve(), batch_size_on(run, device)
    measured = checklist.checklist(run.recipe)
    task = StageTask(stage, root, source, run.recipe, rule_classes(run), size, measured)
    return packing.unpack_columns(member for member in task(job, device).members if member[0].endswith(".npy"))
