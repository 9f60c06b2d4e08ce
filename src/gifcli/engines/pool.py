"""What every pool of workers does until all jobs are done, whoever its workers are."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from typing import Protocol, TypeVar

from gifcli.engines import Job, ShardResult, ShardTask
from gifcli.engines.losses import Losses

STARTING = 300.0
"""Seconds that a worker may take to come up and import torch before it says its first word, whatever run.timeout is."""


class Pool(Protocol):
    """Workers that are hired, given jobs, heard and dismissed; what is lost with one goes back to `losses`."""

    def busy(self) -> bool:
        """Whether a worker has a job."""
        ...

    def hire(self, losses: Losses) -> None:
        """Fills empty places, as far as there is work for them."""
        ...

    def hand_out(self, task: ShardTask, losses: Losses) -> None:
        """Gives out jobs, see `handed_out`."""
        ...

    def hear(self, losses: Losses) -> Iterator[ShardResult]:
        """Waits a little for what workers have to say."""
        ...

    def dismiss(self, losses: Losses) -> None:
        """Lets those go that have given no sign of life for too long."""
        ...

    def close(self) -> None:
        """Lets all go."""
        ...


class Hand(Protocol):
    """A worker: its jobs, and when it was last heard."""

    heard: float

    @property
    def jobs(self) -> Sized: ...


W = TypeVar("W", bound=Hand)


def work_off(pool: Pool, task: ShardTask, jobs: Sequence[Job], tell: Callable[[str], None]) -> Iterator[ShardResult]:
    """Yields one result a job, as they finish.

    Raises:
        EnvironmentFault: a shard, or every device, lost its worker too often.
    """
    losses = Losses(jobs, tell)
    try:
        while losses.waiting or pool.busy():
            pool.hire(losses)
            pool.hand_out(task, losses)
            yield from pool.hear(losses)
            pool.dismiss(losses)
    except BaseException:
        pool.close()
        raise


def handed_out(losses: Losses, workers: Iterable[W], lanes: Callable[[W], int]) -> Iterator[tuple[W, Job]]:
    """A job for each free lane, then one in reserve for each, so that no worker waits for what is committed here.

    The caller gives each to its worker before it asks for the next.
    """
    hands = list(workers)
    for reserve in (0, 1):
        for worker in hands:
            while losses.waiting and len(worker.jobs) < lanes(worker) + reserve:
                if not worker.jobs:
                    worker.heard = time.monotonic()
                yield worker, losses.waiting.popleft()
