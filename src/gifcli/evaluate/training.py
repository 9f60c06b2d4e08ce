"""Trains many (arm, rng) jobs: side by side on a CPU's cores, one after another on a GPU. Results come in job order."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch

from gifcli.evaluate.arms import Arm
from gifcli.evaluate.pool import Pool
from gifcli.records import Array

MAX_THREADS = 8
"""Jobs side by side on a CPU: more would wait for Python."""

Predictions = dict[str, Array]


class Learner(Protocol):
    """What is trained. Its result depends on pool, arm and rng alone; always the last step's, never the best one's."""

    @property
    def name(self) -> str: ...

    @property
    def steps(self) -> int: ...

    def train(self, pool: Pool, arm: Arm, rng: int, classes: int, tests: Mapping[str, Array]) -> Predictions:
        """Probabilities (n C) of each test set (n ...) by its name."""
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """One training: what on, how, with which random number; and the test sets to predict afterwards."""

    pool: Pool
    arm: Arm
    rng: int
    tests: Mapping[str, Array]


def train_all(
    learner: Learner,
    jobs: Sequence[Job],
    classes: int,
    device: str = "cpu",
    advance: Callable[[int], None] | None = None,
) -> list[Predictions]:
    """The predictions of every job, in order; `advance` is told of each that is done."""

    def work(job: Job) -> Predictions:
        found = learner.train(job.pool, job.arm, job.rng, classes, job.tests)
        if advance:
            advance(1)
        return found

    if torch.device(device).type != "cpu":
        return [work(job) for job in jobs]
    workers = max(1, min(len(os.sched_getaffinity(0)), MAX_THREADS, len(jobs)))
    with one_thread_each(workers) as threads:
        return list(threads.map(work, jobs))


@contextmanager
def one_thread_each(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Threads in which torch uses one core each: two cores on one convolution's backward pass are slower than one."""
    before = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as threads:
            yield threads
    finally:
        torch.set_num_threads(before)
