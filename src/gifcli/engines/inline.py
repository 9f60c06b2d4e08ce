"""In this process: several shards at a time on a CPU, each on one thread; one after another on a GPU."""

from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from gifcli.engines import Job, ShardResult, ShardTask


@dataclass(frozen=True, slots=True)
class InlineEngine:
    """Runs `workers` jobs at a time on one device.

    On a CPU each job has torch to itself on one thread: how a sum is shared out among threads changes its last bits, and
    results are promised not to depend on how many cores or workers there are.
    """

    device: str
    workers: int = 1

    def run(self, task: ShardTask, jobs: Sequence[Job]) -> Iterator[ShardResult]:
        """Yields one result a job, as they finish."""
        if self.device != "cpu":
            yield from (task(job, self.device) for job in jobs)
            return
        import torch

        threads = torch.get_num_threads()
        pool = ThreadPoolExecutor(self.workers, "shard", torch.set_num_threads, (1,))
        try:
            yield from self._run_pool(pool, task, jobs)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            torch.set_num_threads(threads)

    def _run_pool(self, pool: ThreadPoolExecutor, task: ShardTask, jobs: Sequence[Job]) -> Iterator[ShardResult]:
        waiting = list(reversed(jobs))
        running: set[Future[ShardResult]] = set()
        while waiting or running:
            while waiting and len(running) < self.workers:
                running.add(pool.submit(task, waiting.pop(), self.device))
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                yield future.result()
