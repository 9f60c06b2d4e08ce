"""What a run has come to: counts, shares, rates; as lines for people and as data for programs."""

import shlex
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from gifcli import pipeline
from gifcli.judge.judging import known_sources, nearness_of
from gifcli.judge.nearness import to_lines
from gifcli.state import owed
from gifcli.state.run import Run
from gifcli.state.unusable import failures, usable
from gifcli.wording import number_of


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts of a run as it stands.

    originals  seeds of train      generated  kept samples in the dataset      wanted  samples the ratio asks for
    judged     samples that have a verdict; `rejected` by the check that rejected them
    shortfall  label -> samples that are missing
    rates      stage -> images/s in this invocation; `seconds` is the time of all stages together
    failures   files of the source, of any split, that could not be used; `usable` are all others, planned or not
    report     where to look, once the dataset is written
    flagged    source image -> its safety score, of those that look unsafe
    leaking    training image -> the validation or test image that shows the same
    nearness   how near the kept samples lie to seeds and to what the prior was trained on: see `nearness.nearness`
    exported   whether the dataset was just brought up to these; after another stage it may hold others
    """

    output: str
    originals: int
    generated: int
    wanted: int
    judged: int
    rejected: dict[str, int]
    shortfall: dict[str, int]
    failures: int
    rates: dict[str, float]
    seconds: float
    usable: int = 0
    report: str | None = None
    flagged: dict[str, float] = field(default_factory=dict)
    leaking: dict[str, str] = field(default_factory=dict)
    nearness: dict[str, Any] = field(default_factory=dict)
    exported: bool = True

    @property
    def kept_share(self) -> float:
        """Of all judged samples, the share that passed."""
        return 1 - sum(self.rejected.values()) / self.judged if self.judged else 0.0

    def to_data(self) -> dict[str, object]:
        """For `--json`."""
        return {**asdict(self), "kept_share": round(self.kept_share, 4)}

    def to_lines(self) -> list[str]:
        """For people."""
        total = self.originals + self.generated
        place = (
            f"in {self.output}" if self.exported else f"so far; gif status {shlex.quote(self.output)} says what is next"
        )
        lines = [
            f"{number_of(self.originals, 'original')} + {self.generated} generated = {number_of(total, 'image')} {place}"
        ]
        if self.judged:
            kept = f"checks kept {self.kept_share:.0%} of {number_of(self.judged, 'sample')}"
            lines.append(f"{kept}{_listed(self.rejected, ' rejected: ')}")
        if not self.seconds and not self.shortfall:
            lines.append("nothing was owed")
        if self.rates:
            rates = ", ".join(f"{stage} {rate:.1f}" for stage, rate in self.rates.items())
            lines.append(f"images/s: {rates}; {self.seconds:.0f} s in all")
        if self.shortfall:
            missing = sum(self.shortfall.values())
            lines.append(
                f"{'short of the ratio by' if self.exported else 'not there yet:'} {missing} of {number_of(self.wanted, 'sample')}"
                + _listed(self.shortfall, " class: ")
            )
        if self.failures:
            lines.append(f"{number_of(self.failures, 'file')} could not be used; {self.output}/failures.jsonl says why")
        lines += to_lines(self.nearness)
        if self.flagged:
            lines.append(f"source images that look unsafe, still in the dataset: {_some(self.flagged)}")
        if self.leaking:
            lines.append(f"training images shown again for validation or test: {_some(self.leaking)}")
        if self.report:
            lines.append(f"look at {self.report}")
        return lines


def summarise(run: Run, done: Sequence[pipeline.Done] = ()) -> Summary:
    """Reads the state of a run; `done` is what was done just now, export last where that was part of it."""
    seeds = run.seeds()
    targets = run.targets()
    progress = owed.read_progress(run.store)
    shortfall: Counter[str] = Counter()
    generated = 0
    for seed in seeds:
        have = sum(progress.kept((seed.key, k)) is not None for k in range(targets[seed.key]))
        generated += have
        shortfall[seed.label] += targets[seed.key] - have
    reasons = [reason for attempts in progress.verdicts.values() for reason in attempts.values()]
    rejected = Counter(reason.partition(":")[0] for reason in reasons if reason is not None)
    page = run.root / "report" / "index.html"
    known = known_sources(run.store)
    exported = bool(done) and done[-1].stage == "export"
    return Summary(
        output=str(run.root),
        originals=len(seeds),
        generated=generated,
        wanted=sum(targets.values()),
        judged=len(reasons),
        rejected=dict(sorted(rejected.items())),
        shortfall={label: count for label, count in sorted(shortfall.items()) if count},
        failures=len(failures(run)),
        usable=usable(run),
        rates=_rates(done),
        seconds=round(sum(step.seconds for step in done), 3),
        report=str(page) if exported and page.is_file() else None,
        flagged=known.flagged,
        leaking=known.leaking,
        nearness=nearness_of(run.store),
        exported=exported,
    )


def _rates(done: Sequence[pipeline.Done]) -> dict[str, float]:
    images: defaultdict[str, int] = defaultdict(int)
    seconds: defaultdict[str, float] = defaultdict(float)
    for step in done:
        images[step.stage] += step.images
        seconds[step.stage] += step.seconds
    return {stage: round(images[stage] / seconds[stage], 2) for stage in images if seconds[stage]}


def _some(names: Collection[str]) -> str:
    """How many there are, and the first of them."""
    return f"{len(names)}, such as {next(iter(names))}"


def _listed(counts: dict[str, int], lead: str) -> str:
    return f";{lead}{', '.join(f'{name} {count}' for name, count in counts.items())}" if counts else ""
