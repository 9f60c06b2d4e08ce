"""A pool of spawned processes on this machine: one per GPU, or several sharing the CPU."""

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

from gifcli.devices import set_thread_policy
from gifcli.engines import Job, ShardResult, ShardTask
from gifcli.errors import EnvironmentFault

MAX_RESTARTS = 3

_device = "cpu"


@dataclass(frozen=True, slots=True)
class LocalEngine:
    """`workers` processes over `devices` in turn; a killed worker is replaced and its shard redone, thrice at most."""

    devices: list[str]
    workers: int

    def run(self, task: ShardTask, jobs: Sequence[Job]) -> Iterator[ShardResult]:
        """Yields one result a job, as they finish.

        Raises:
            EnvironmentFault: workers kept dying.
        """
        left = {job.shard: job for job in jobs}
        for _ in range(MAX_RESTARTS + 1):
            try:
                for result in self._run_pool(task, list(left.values())):
                    del left[result.shard]
                    yield result
            except BrokenProcessPool:
                continue
            return
        raise EnvironmentFault(
            f"worker processes died {MAX_RESTARTS + 1} times (out of memory?); "
            "try fewer --workers or a smaller --batch-size; what is done stays done"
        )

    def _run_pool(self, task: ShardTask, jobs: list[Job]) -> Iterator[ShardResult]:
        """One pool; at most two jobs a worker are under way, so that results don't pile up."""
        context = multiprocessing.get_context("spawn")
        places = context.SimpleQueue()
        for index in range(self.workers):
            places.put(self.devices[index % len(self.devices)])
        waiting = list(reversed(jobs))
        running: set[Future[ShardResult]] = set()
        with ProcessPoolExecutor(self.workers, context, _start_worker, (places, self.workers)) as pool:
            try:
                while waiting or running:
                    while waiting and len(running) < 2 * self.workers:
                        running.add(pool.submit(_run_job, task, waiting.pop()))
                    finished, running = wait(running, return_when=FIRST_COMPLETED)
                    for future in finished:
                        yield future.result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)


def _start_worker(places: Any, workers: int) -> None:
    global _device  # noqa: PLW0603 - a worker process has one device for life
    _device = places.get()
    set_thread_policy()
    import torch

    torch.set_num_threads(max(1, (os.cpu_count() or 1) // workers))


def _run_job(task: ShardTask, job: Job) -> ShardResult:
    return task(job, _device)
