"""Which files of a run's source cannot be used, why, and how many can."""

from gifcli.state.files import CHECKED
from gifcli.state.run import Run


def failures(run: Run) -> list[tuple[str, str]]:
    """Files that could not be used, and why, by path."""
    broken = _broken(run)
    from_pixels = [(source.path, broken[source.key]) for source in run.scan.sources if source.key in broken]
    return sorted({*((failure.path, failure.reason) for failure in run.scan.failures), *from_pixels})


def usable(run: Run) -> int:
    """All other images of the source: of every split, held out and beyond --limit too, as `failures` counts those as well."""
    broken = _broken(run)
    return sum(source.key not in broken for source in run.scan.sources)


def _broken(run: Run) -> dict[str, str]:
    """The images whose pixels could not be read when that was tried, by key: a file mended since has another key."""
    checked: dict[str, str | None] = run.store.load(CHECKED) or {}
    reasons = {key: reason for key, reason in checked.items() if reason}
    for shard, mark in run.store.done("extract").items():
        told, read = dict(mark["failures"]), set(mark["seeds"])
        for source in run.plan.shards[shard.n]:
            if source.key not in read and source.path in told:
                reasons[source.key] = told[source.path]
    return reasons
