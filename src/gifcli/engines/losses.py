"""Which jobs are still to be done, and how often work was lost: retries for lost workers, within bounds, never for bugs."""

from collections import Counter, deque
from collections.abc import Callable, Sequence

from gifcli.engines import Job
from gifcli.errors import EnvironmentFault
from gifcli.state.shards import ShardId

MOST = 3
"""Times that one shard may be lost; and times in a row that a device may lose its worker."""
DEVICE_ERRORS = ("CUDA error", "HIP error", "CUDNN_STATUS_EXECUTION_FAILED", "CUBLAS_STATUS_EXECUTION_FAILED")


class Losses:
    """The jobs that wait; a lost one goes back to the front."""

    def __init__(self, jobs: Sequence[Job], tell: Callable[[str], None]) -> None:
        self.waiting = deque(jobs)
        self.tell = tell
        self._shards: Counter[ShardId] = Counter()
        self._in_a_row: Counter[str] = Counter()

    def done(self, place: str) -> None:
        """A worker at that place has finished a shard."""
        self._in_a_row[place] = 0

    def lose(self, place: str, why: str, begun: Sequence[Job], others: Sequence[Job] = ()) -> None:
        """The worker at that place is gone: what it had begun counts as lost once more, `others` only go back.

        Raises:
            EnvironmentFault: that shard, or that place, has lost too many.
        """
        self._in_a_row[place] += 1
        self._shards.update(job.shard for job in begun)
        self.waiting.extendleft(reversed([*begun, *others]))
        worst = max((job.shard for job in begun), key=lambda shard: self._shards[shard], default=None)
        if worst is not None and self._shards[worst] >= MOST:
            raise EnvironmentFault(
                f"shard {worst} was lost {MOST} times: the worker on {place} {why}; try fewer --workers, a smaller "
                "--batch-size or another --device; what is done stays done"
            )
        self.tell(f"the worker on {place} {why}; another one takes over its work")

    def gone(self, place: str) -> bool:
        """Whether so many workers in a row were lost there that it is not to be used any more."""
        return self._in_a_row[place] >= MOST


def is_device_fault(error: BaseException) -> bool:
    """Whether the device failed under the work: nothing that runs in that process can use it any more."""
    if type(error).__name__ == "AcceleratorError":
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in DEVICE_ERRORS)
