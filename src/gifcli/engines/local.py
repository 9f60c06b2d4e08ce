"""A pool of spawned processes on this machine: one per GPU, or several sharing the CPU."""

import multiprocessing
import os
import signal
import threading
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


@dataclass(slots=True)
class LocalEngine:
    """`workers` processes over `devices` in turn; when one is killed all are replaced and their shards redone, thrice.

    The processes live as long as the engine, so that each loads its models once.
    """

    devices: list[str]
    workers: int
    pool: ProcessPoolExecutor | None = None

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
        """All jobs on one pool; at most two jobs a worker are under way, so that results don't pile up."""
        self.pool = pool = self.pool or self._start_pool()
        waiting = list(reversed(jobs))
        running: set[Future[ShardResult]] = set()
        try:
            while waiting or running:
                while waiting and len(running) < 2 * self.workers:
                    running.add(pool.submit(_run_job, task, waiting.pop()))
                finished, running = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    yield future.result()
        except BaseException:
            self._stop()
            raise

    def _start_pool(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        places = context.SimpleQueue()
        for index in range(self.workers):
            places.put(self.devices[index % len(self.devices)])
        return ProcessPoolExecutor(self.workers, context, _start_worker, (places,))

    def _stop(self) -> None:
        """Drops the pool at once, whatever its processes are in the middle of."""
        pool, self.pool = self.pool, None
        processes = list((pool._processes or {}).values()) if pool else []  # noqa: SLF001 - public from Python 3.14 on
        for process in processes:
            process.kill()
        if pool:
            pool.shutdown(wait=True, cancel_futures=True)


def _start_worker(places: Any) -> None:
    global _device  # noqa: PLW0603 - a worker process has one device for life
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all of us; the parent stops its workers
    threading.Thread(target=_die_with_parent, daemon=True).start()
    _device = places.get()
    set_thread_policy()
    import torch

    torch.set_num_threads(1)  # see InlineEngine


def _die_with_parent() -> None:
    """Nobody would ever collect what an orphan makes."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _run_job(task: ShardTask, job: Job) -> ShardResult:
    return task(job, _device)
