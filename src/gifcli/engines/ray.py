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
from gifcli.engines.pool import STARTING, handed_out, work_off
from gifcli.engines.ray_worker import RayWorker
from gifcli.errors import EnvironmentFault

OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
POLL = 5.0
"""Seconds between two looks at workers that say nothing."""


@dataclass(slots=True)
class Actor:
    """A worker somewhere in the cluster: its jobs by the reference to their result, and when it was last heard.

    ready     the reference to its first word, until that is heard
    question  the reference to how long it has been silent, asked at `asked`, until that is answered
    """

    place: str
    handle: Any
    ready: Any
    jobs: dict[Any, Job] = field(default_factory=dict)
    heard: float = field(default_factory=time.monotonic)
    question: Any = None
    asked: float = 0.0

    def awaited(self) -> list[Any]:
        """References to all that it may have to say."""
        return [each for each in (self.ready, *self.jobs, self.question) if each is not None]


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
        """Yields one result a job, as they finish; see `work_off`."""
        return work_off(self, task, jobs, self.settings.tell)

    def busy(self) -> bool:
        """Whether an actor has a job."""
        return any(actor.jobs for actor in self.team)

    def close(self) -> None:
        """Lets the actors go, and their devices with them; the cluster goes on."""
        import ray

        while self.team:
            ray.kill(self.team.pop().handle)

    def hire(self, losses: Losses) -> None:
        """Asks the cluster for as many actors as there is work for."""
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

    def hand_out(self, task: ShardTask, losses: Losses) -> None:
        """Calls the actors that are up; one that is not up yet gets nothing."""
        for actor, job in handed_out(losses, [each for each in self.team if each.ready is None], lambda _actor: 1):
            actor.jobs[actor.handle.make.remote(task, job, self.device)] = job

    def hear(self, losses: Losses) -> Iterator[ShardResult]:
        """Takes one answer, if there is any soon."""
        for actor, reference in self._ready():
            yield from self._listen(actor, reference, losses)

    def _ready(self) -> list[tuple[Actor, Any]]:
        """Workers with an answer, and the reference to it."""
        import ray

        asked = {reference: actor for actor in self.team for reference in actor.awaited()}
        if not asked:
            return []
        answered, _ = ray.wait(list(asked), num_returns=1, timeout=min(POLL, self.settings.timeout / 4))
        return [(asked[reference], reference) for reference in answered]

    def _listen(self, actor: Actor, reference: Any, losses: Losses) -> Iterator[ShardResult]:
        import ray

        try:
            content = ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            error.cause.add_note(f"on {actor.place}:\n{error}")
            raise error.cause from None
        except ray.exceptions.RayError as error:
            self._lose(actor, f"is lost with its process or node ({type(error).__name__})", losses)
            return
        if reference == actor.question:
            actor.question = None
            actor.heard = max(actor.heard, time.monotonic() - content)
            if self._is_silent(actor):  # it answers, but what it works on does not go on
                self._lose(actor, f"gave no sign of life for {self.settings.timeout:g} s (run.timeout)", losses)
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

    def dismiss(self, losses: Losses) -> None:
        """Asks workers that are silent for half of run.timeout when they last did something; one that does not answer for
        the other half is replaced. A process too busy to answer, or a slow network, has that long.
        """
        half = self.settings.timeout / 2
        for actor in list(self.team):
            now = time.monotonic()
            if actor.ready is not None:
                self._await(actor)
            elif not actor.jobs:
                actor.heard = now
            elif actor.question is not None:
                if now - actor.asked > half and self._is_silent(actor):
                    self._lose(actor, f"gave no sign of life for {self.settings.timeout:g} s (run.timeout)", losses)
            elif now - actor.heard > half and now - actor.asked > min(POLL, half / 2):
                actor.question, actor.asked = actor.handle.silence.remote(), now

    def _await(self, actor: Actor) -> None:
        """Has patience with a worker that is not up yet while others are: there may be no room for it.

        Raises:
            EnvironmentFault: the cluster gives none at all.
        """
        patience = max(self.settings.timeout, STARTING)
        if time.monotonic() - actor.heard <= patience:
            return
        if all(other.ready is not None for other in self.team):
            raise EnvironmentFault(
                f"the Ray cluster gave no worker within {patience:g} s: it has {resources()}; add "
                "nodes, or ask for fewer --workers; what is done stays done"
            )
        actor.heard = time.monotonic()

    def _is_silent(self, actor: Actor) -> bool:
        """Whether it has given no sign of life for run.timeout, and no result of it waits to be heard."""
        import ray

        if time.monotonic() - actor.heard <= self.settings.timeout:
            return False
        return not (actor.jobs and ray.wait(list(actor.jobs), timeout=0)[0])

    def _lose(self, actor: Actor, why: str, losses: Losses) -> None:
        import ray

        self.team.remove(actor)
        ray.kill(actor.handle)
        self.stillborn += not actor.jobs
        if self.stillborn > MOST * (len(self.team) + 1):
            raise EnvironmentFault(f"workers of the Ray cluster do not come up: the last one {why}; see ray status")
        begun, others = list(actor.jobs.values())[:1], list(actor.jobs.values())[1:]
        losses.lose(actor.place, why, begun, others)
