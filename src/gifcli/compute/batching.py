"""How many rows go through a model together: a constant, or the most that fit; halved where memory runs out, floor 1."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeVar

import torch

from gifcli.errors import EnvironmentFault

Result = TypeVar("Result")
Beat = Callable[[], None]

PROBE = 4
"""Rows of the first batch on a GPU, from whose memory the next size is told."""
MOST = 256
SPARE = 0.9
"""Share of the free memory that is planned with; the rest is for fragments."""
NO_MEMORY = ("can't allocate memory", "not enough memory", "CUBLAS_STATUS_ALLOC_FAILED")


class Memory(Protocol):
    """What is asked about a device's memory, in bytes."""

    def start(self) -> None:
        """A batch begins."""
        ...

    def used(self) -> int:
        """The most that this batch held at a time."""
        ...

    def room(self) -> int:
        """What a batch may hold."""
        ...

    def release(self) -> None:
        """Gives back what only a cache holds."""
        ...


@dataclass(slots=True)
class BatchLimit:
    """The rows that go together, for one stage on one device; all threads of a process share it.

    rows    now                 most  never more than that; equal to `rows` for a constant
    memory  None for a constant; else `rows` follows what batches have taken, in powers of two
    beat    called after each batch: a sign of life
    turn    held while a batch is computed: on a GPU one thread at a time computes, while others read and write
    """

    rows: int
    most: int = 0
    memory: Memory | None = None
    beat: Beat = lambda: None
    turn: AbstractContextManager[object] = field(default_factory=nullcontext)
    _change: threading.Lock = field(default_factory=threading.Lock)

    def learn(self, rows: int) -> None:
        """A batch of so many rows fitted: what would fit by its memory is what the next one may have."""
        if self.memory is None:
            return
        each = max(1, self.memory.used() // rows)
        fit = min(int(SPARE * self.memory.room()) // each, self.most)
        with self._change:
            self.rows = max(self.rows, 1 << max(0, fit.bit_length() - 1))

    def halve(self, tried: int) -> None:
        """A batch of `tried` rows did not fit: from now on half as many, in this process.

        Raises:
            EnvironmentFault: a single row does not fit.
        """
        if tried <= 1:
            raise EnvironmentFault(
                "out of memory with a batch of one; try a smaller --size, another --device, or fewer --workers; "
                "what is done stays done"
            )
        with self._change:
            self.most = self.rows = max(1, min(self.rows, 1 << ((tried - 1).bit_length() - 1)))
        if self.memory:
            self.memory.release()


def batched(
    places: Sequence[int],
    limit: BatchLimit,
    work: Callable[[list[int], int], Result],
    *,
    rows_each: int = 1,
    most: int | None = None,
) -> Iterator[tuple[list[int], Result]]:
    """Yields (some places, work(those, rows)) until all places are done, each once and in order.

    A place stands for `rows_each` rows; `rows` is what `work` may put through a model together. Where memory runs out, the
    same places are tried again in smaller batches: nothing is lost, nothing is done twice.

    Raises:
        EnvironmentFault: a single row does not fit.
    """
    start = 0
    while start < len(places):
        rows = min(limit.rows, most or limit.rows)
        batch = list(places[start : start + max(1, rows // max(1, rows_each))])
        count = min(rows, len(batch) * rows_each)
        done = _attempt(limit, count, partial(work, batch, rows))
        limit.beat()
        if done is None:
            limit.halve(count)
            continue
        yield batch, done[0]
        start += len(batch)


def _attempt(limit: BatchLimit, count: int, work: Callable[[], Result]) -> tuple[Result] | None:
    """What the work came to; None where memory ran out. The error, whose frames hold tensors, is gone by then."""
    with limit.turn:
        if limit.memory:
            limit.memory.start()
        try:
            result = work()
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            return None
        limit.learn(count)
    return (result,)


def out_of_memory(error: BaseException) -> bool:
    """Whether that is what the error says; torch has several ways to say it."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(text in str(error) for text in NO_MEMORY)


@dataclass(frozen=True, slots=True)
class CudaMemory:
    """A GPU's memory, as torch's allocator counts it; asks without waiting for the GPU."""

    device: str
    base: list[int] = field(default_factory=lambda: [0])

    def start(self) -> None:
        """A batch begins."""
        torch.cuda.reset_peak_memory_stats(self.device)
        self.base[0] = torch.cuda.memory_allocated(self.device)

    def used(self) -> int:
        """The most that this batch held at a time."""
        return torch.cuda.max_memory_allocated(self.device) - self.base[0]

    def room(self) -> int:
        """What the driver has free, and what the allocator's cache holds."""
        free, _ = torch.cuda.mem_get_info(self.device)
        return free + torch.cuda.memory_reserved(self.device) - self.base[0]

    def release(self) -> None:
        """Empties the allocator's cache."""
        torch.cuda.empty_cache()
