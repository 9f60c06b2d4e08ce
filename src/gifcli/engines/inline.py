"""One shard after another, in this process."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gifcli.engines import Job, ShardResult, ShardTask


@dataclass(frozen=True, slots=True)
class InlineEngine:
    """Runs jobs in order on one device."""

    device: str

    def run(self, task: ShardTask, jobs: Sequence[Job]) -> Iterator[ShardResult]:
        """Yields one result a job, in order."""
        for job in jobs:
            yield task(job, self.device)
