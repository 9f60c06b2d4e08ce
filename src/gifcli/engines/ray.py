"""On a Ray cluster: actors with a device each, here or on other machines; the run folder lies on storage they all see."""

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gifcli import __version__
from gifcli.engines import EngineSettings, Job, ShardResult, ShardTask
from gifcli.engines.cluster import connect, devices_in_cluster, on_gpus, resources
from gifcli.engines.losses import MOST, Losses
from gifcli.engines.ray_worker import RayWorker
from gifcli.errors import EnvironmentFault

OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
POLL = 5.0
"""Seconds between two looks at workers that say nothing."""


@dataclass(slots=True)
class Actor:
    """A worker somewhere in the cluster: its jobs by the reference to their result, and when it was last heard."""

    place: str
    handle: Any
    ready: Any
    jobs: dict[Any, Job] = field(default_factory=dict)
    heard: float = field(default_factory=time.monotonic)


@dataclass(slots=True)
class RayEngine:
    """Workers are actors, as many as are asked for or as the cluster has devices; each loads its models once.

    A worker that is lost with its node, or hangs, is replaced, and its shard redone; what goes wrong in a task is raised.
    """

    settings: EngineSettings
    team: list[Actor] = field(default_factory=list)
    hired: int = 0
    stillborn: int = 0

    def __post_init__(self) -> None:
        connect(self.settings.address)

    @property
    def device(self) -> str:
        """cuda:0 where the cluster's GPUs are to be used: an actor sees only its own."""
        return "cuda:0" if on_gpus(self.settings.devices[0]) else "cpu"

    def run(self, task: ShardTask, jobs: Sequence[Job]) -> Iterator[ShardResult]:
        """Yields one result a job, as they finish.

        Raises:
            EnvironmentFault: a shard lost its worker too often, or the cluster gives no worker.
        """
        losses = Losses(jobs, self.settings.tell)
        try:
            while losses.waiting or any(actor.jobs for actor in self.team):
                self._hire(losses)
                self._hand_out(task, losses)
                for actor, reference in self._ready():
                    yield from self._hear(actor, reference, losses)
                self._dismiss_the_hung(losses)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Lets the actors go, and their devices with them; the cluster goes on."""
        import ray

        while self.team:
            ray.kill(self.team.pop().handle)

    def _hire(self, losses: Losses) -> None:
        count = self.settings.workers or devices_in_cluster(self.device)
        free = sum(not actor.jobs for actor in self.team)
        while len(self.team) < count and free < len(losses.waiting):
            self.hired += 1
            free += 1
            self.team.append(self._start(f"ray worker {self.hired}"))

    def _start(self, place: str) -> Actor:
        import ray

        gpus = 1 if self.device != "cpu" else 0
        options = {"num_cpus": 1, "num_gpus": gpus, "max_concurrency": 3, "max_restarts": 0, "max_task_retries": 0}
        handle: Any = ray.remote(RayWorker).options(**options).remote()
        environment = {name: os.environ[name] for name in OFFLINE if name in os.environ}
        return Actor(place, handle, handle.settle.remote(str(Path.cwd()), __version__, environment))

    def _hand_out(self, task: ShardTask, losses: Losses) -> None:
        """A job for each worker that is up, then one in reserve; one that is not up yet gets none."""
        for reserve in (0, 1):
            for actor in self.team:
                if actor.ready is None and losses.waiting and len(actor.jobs) <= reserve:
                    job = losses.waiting.popleft()
                    if not actor.jobs:
                        actor.heard = time.monotonic()
                    actor.jobs[actor.handle.make.remote(task, job, self.device)] = job

    def _ready(self) -> list[tuple[Actor, Any]]:
        """Workers with an answer, and the reference to it."""
        import ray

        asked = {ref: actor for actor in self.team for ref in ([actor.ready] if actor.ready else actor.jobs)}
        if not asked:
            return []
        answered, _ = ray.wait(list(asked), num_returns=1, timeout=min(POLL, self.settings.timeout))
        return [(asked[reference], reference) for reference in answered]

    def _hear(self, actor: Actor, reference: Any, losses: Losses) -> Iterator[ShardResult]:
        """Takes one answer."""
        import ray

        try:
            content = ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            error.cause.add_note(f"on {actor.place}:\n{error}")
            raise error.cause from None
        except ray.exceptions.RayError as error:
            self._lose(actor, f"is lost with its process or node ({type(error).__name__})", losses)
            return
        actor.heard = time.monotonic()
        if reference == actor.ready:
            actor.ready = None
            actor.place = f"{content} ({actor.place})"
            return
        del actor.jobs[reference]
        if isinstance(content, str):
            self._lose(actor, f"lost its device ({content})", losses)
            return
        losses.done(actor.place)
        self.stillborn = 0
        yield content

    def _dismiss_the_hung(self, losses: Losses) -> None:
        """Asks workers that have been silent for long when they last did something; one that cannot say so is hung."""
        for actor in list(self.team):
            if time.monotonic() - actor.heard <= self.settings.timeout:
                continue
            if actor.ready is not None and any(other.ready is None for other in self.team):
                actor.heard = time.monotonic()  # there may be no room for it; the others go on
                continue
            if actor.ready is not None:
                raise EnvironmentFault(
                    f"the Ray cluster gave no worker within {self.settings.timeout:g} s: it has {resources()}; add "
                    "nodes, or ask for fewer --workers; what is done stays done"
                )
            silent = _silence(actor)
            if not actor.jobs or silent <= self.settings.timeout:
                actor.heard = time.monotonic() - min(silent, self.settings.timeout)
            else:
                self._lose(actor, f"gave no sign of life for {self.settings.timeout:g} s (run.timeout)", losses)

    def _lose(self, actor: Actor, why: str, losses: Losses) -> None:
        import ray

        self.team.remove(actor)
        ray.kill(actor.handle)
        self.stillborn += not actor.jobs
        if self.stillborn > MOST * (len(self.team) + 1):
            raise EnvironmentFault(f"workers of the Ray cluster do not come up: the last one {why}; see ray status")
        begun, others = list(actor.jobs.values())[:1], list(actor.jobs.values())[1:]
        losses.lose(actor.place, why, begun, others)


def _silence(actor: Actor) -> float:
    """Seconds since the worker did something; endless where it does not answer."""
    import ray

    try:
        seconds: float = ray.get(actor.handle.silence.remote(), timeout=POLL)
    except ray.exceptions.RayError:
        return float("inf")
    return seconds
