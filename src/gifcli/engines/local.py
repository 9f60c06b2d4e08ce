"""A pool of spawned processes on this machine: one per GPU, or several sharing the CPU."""

import multiprocessing
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from gifcli.compute.devices import cores, set_thread_policy
from gifcli.engines import EngineSettings, Job, ShardResult, ShardTask
from gifcli.engines.losses import Losses
from gifcli.engines.pool import STARTING, handed_out, work_off
from gifcli.engines.worker import Message, lanes, serve
from gifcli.errors import EnvironmentFault


@dataclass(slots=True)
class Worker:
    """A process, the jobs it was given in that order, and when it was last heard; `awake`: whether it ever was."""

    place: str
    device: str
    process: SpawnProcess
    connection: "Connection[tuple[ShardTask, Job], Message]"
    jobs: list[Job] = field(default_factory=list)
    heard: float = 0.0
    awake: bool = False

    def deadline(self, timeout: float) -> float:
        """When it counts as hung, unless it is heard before."""
        return self.heard + (timeout if self.awake else max(timeout, STARTING))

    def stop(self) -> None:
        """Ends it at once, whatever it is in the middle of."""
        self.process.kill()
        self.process.join()
        self.connection.close()

    def end(self) -> str:
        """How a process that hung up has ended."""
        self.process.join(5)
        code = self.process.exitcode or 0
        return f"was killed by signal {-code} (out of memory?)" if code < 0 else f"ended with exit code {code}"


@dataclass(slots=True)
class LocalEngine:
    """`workers` processes over `devices` in turn, which live as long as the engine: each loads its models once.

    A worker that dies, hangs or loses its device is replaced, and its shard redone; how often, see `Losses`.
    """

    settings: EngineSettings
    team: dict[str, Worker] = field(default_factory=dict)

    @property
    def device(self) -> str:
        """The first; the others are of its kind."""
        return self.settings.devices[0]

    def run(self, task: ShardTask, jobs: Sequence[Job]) -> Iterator[ShardResult]:
        """Yields one result a job, as they finish; see `work_off`."""
        return work_off(self, task, jobs, self.settings.tell)

    def busy(self) -> bool:
        """Whether a worker has a job."""
        return any(worker.jobs for worker in self.team.values())

    def close(self) -> None:
        """Stops all workers."""
        while self.team:
            self.team.popitem()[1].stop()

    def hire(self, losses: Losses) -> None:
        """Fills the places that are empty and still good, as far as there is work for them.

        Raises:
            EnvironmentFault: none is good any more.
        """
        places = self._places()
        good = {place: device for place, device in places.items() if not losses.gone(place)}
        if losses.waiting and not good:
            raise EnvironmentFault(
                f"every device lost its worker too often: {', '.join(places)}; see that they work (gif doctor), or try "
                "another --device; what is done stays done"
            )
        for place, device in good.items():
            idle = sum(not worker.jobs for worker in self.team.values())
            if place not in self.team and len(losses.waiting) > idle:
                self.team[place] = self._start(place, device)

    def _places(self) -> dict[str, str]:
        """Place -> device; a place is named after its device where it has that for itself."""
        count, devices = self.settings.workers, self.settings.devices
        alone = count <= len(devices)
        taken = {i: devices[i % len(devices)] for i in range(count)}
        return {device if alone else f"{device} ({i + 1} of {count})": device for i, device in taken.items()}

    def _start(self, place: str, device: str) -> Worker:
        set_thread_policy()  # what a child inherits, before it imports torch
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        threads = 1 if device == "cpu" else max(1, cores() // self.settings.workers)  # one on a CPU: see InlineEngine
        process = context.Process(target=serve, args=(theirs, device, threads), name=f"gif {place}", daemon=True)
        process.start()
        theirs.close()
        return Worker(place, device, process, ours, heard=time.monotonic())

    def hand_out(self, task: ShardTask, losses: Losses) -> None:
        """Sends jobs down the workers' pipes."""
        for worker, job in handed_out(losses, self.team.values(), lambda worker: lanes(worker.device)):
            worker.jobs.append(job)
            with suppress(OSError):  # it is gone: `_listen` finds out
                worker.connection.send((task, job))

    def hear(self, losses: Losses) -> Iterator[ShardResult]:
        """Takes one message of each worker that has something to say."""
        for worker in self._ready():
            yield from self._listen(worker, losses)

    def _ready(self) -> list[Worker]:
        """Workers that have something to say, or are gone; waits for one until somebody counts as hung."""
        if not self.team:
            return []
        first = min(worker.deadline(self.settings.timeout) for worker in self.team.values())
        ready = wait([worker.connection for worker in self.team.values()], max(0.05, first - time.monotonic()))
        return [worker for worker in self.team.values() if worker.connection in ready]

    def _listen(self, worker: Worker, losses: Losses) -> Iterator[ShardResult]:
        try:
            kind, content = worker.connection.recv()
        except (EOFError, OSError):
            self._lose(worker, worker.end(), losses)
            return
        worker.heard, worker.awake = time.monotonic(), True
        if kind == "done":
            worker.jobs = [job for job in worker.jobs if job.shard != content.shard]
            losses.done(worker.place)
            yield content
        elif kind == "error":
            raise content
        elif kind == "fault":
            self._lose(worker, f"lost its device ({content})", losses)

    def dismiss(self, losses: Losses) -> None:
        """Replaces workers that are past their deadline and have sent nothing that is still unread."""
        now = time.monotonic()
        for worker in list(self.team.values()):
            if not worker.jobs:
                worker.heard = now
            elif now > worker.deadline(self.settings.timeout) and not worker.connection.poll():
                self._lose(worker, f"gave no sign of life for {self.settings.timeout:g} s (run.timeout)", losses)

    def _lose(self, worker: Worker, why: str, losses: Losses) -> None:
        del self.team[worker.place]
        worker.stop()
        begun = lanes(worker.device)
        losses.lose(worker.place, why, worker.jobs[:begun], worker.jobs[begun:])
