"""In this process: several shards at a time on a CPU, each on one thread; on a GPU two, one of which computes."""

from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from gifcli.engines import Job, ShardResult, ShardTask
from gifcli.engines.losses import is_device_fault
from gifcli.errors import EnvironmentFault

GPU_LANES = 2
"""Shards that share a GPU: while one computes (see `BatchLimit.turn`), the other reads, encodes or packs."""


@dataclass(frozen=True, slots=True)
class InlineEngine:
    """Runs `workers` jobs at a time on one device.

    On a CPU each job has torch to itself on one thread: how a sum is shared out among threads changes its last bits, and
    results are promised not to depend on how many cores or workers there are.
    """

    device: str
    workers: int = 1

    def run(self, task: ShardTask, jobs: Sequence[Job]) -> Iterator[ShardResult]:
        """Yields one result a job, as they finish.

        Raises:
            EnvironmentFault: the device failed.
        """
        if self.device != "cpu":
            yield from self._run_pool(ThreadPoolExecutor(GPU_LANES, "shard"), task, jobs, GPU_LANES)
            return
        import torch

        threads = torch.get_num_threads()
        try:
            pool = ThreadPoolExecutor(self.workers, "shard", torch.set_num_threads, (1,))
            yield from self._run_pool(pool, task, jobs, self.workers)
        finally:
            torch.set_num_threads(threads)

    def close(self) -> None:
        """There is nobody to let go."""

    def _run_pool(
        self, pool: ThreadPoolExecutor, task: ShardTask, jobs: Sequence[Job], together: int
    ) -> Iterator[ShardResult]:
        waiting = list(reversed(jobs))
        running: set[Future[ShardResult]] = set()
        try:
            while waiting or running:
                while waiting and len(running) < together:
                    running.add(pool.submit(task, waiting.pop(), self.device))
                finished, running = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    yield self._result(future)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _result(self, future: Future[ShardResult]) -> ShardResult:
        try:
            return future.result()
        except RuntimeError as error:
            if not is_device_fault(error):
                raise
            reason = str(error).strip().splitlines()[0]
            raise EnvironmentFault(
                f"{self.device} failed: {reason}; run the same command again, or try another --device: "
                "what is done stays done"
            ) from error
