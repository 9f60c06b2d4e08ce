"""Engines: where shards run. One shard = one task; only the parent commits what comes back."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from gifcli.state.shards import ShardId


@dataclass(frozen=True, slots=True)
class Job:
    """One shard to make: `items` are the records or slots that the stage needs to be told of."""

    shard: ShardId
    items: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class ShardResult:
    """What a shard came to: its members, how many images those are, and what its done mark is to say."""

    shard: ShardId
    members: list[tuple[str, bytes]]
    images: int
    mark: dict[str, Any] = field(default_factory=dict)


ShardTask = Callable[[Job, str], ShardResult]
"""(job, device) -> result; picklable, and the same result wherever it runs."""


class Engine(Protocol):
    """Runs a task over jobs; results come in any order. `device` is the kind of device: cpu, cuda:0, ..."""

    @property
    def device(self) -> str: ...

    def run(self, task: ShardTask, jobs: Sequence[Job]) -> Iterator[ShardResult]:
        """Yields one result a job."""
        ...

    def close(self) -> None:
        """Lets its workers go."""
        ...


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Where shards run.

    devices  taken in turn by `workers`; shards at a time
    timeout  seconds without a sign of life after which a worker counts as hung
    address  of a Ray cluster; None = one on this machine
    tell     who hears of lost workers
    """

    name: str
    devices: tuple[str, ...] = ("cpu",)
    workers: int = 1
    timeout: float = 1800.0
    address: str | None = None
    tell: Callable[[str], None] = lambda _text: None


def make_engine(settings: EngineSettings) -> Engine:
    """Makes an engine: `inline` in this process, `local` in one spawned process a worker, `ray` on a cluster.

    Raises:
        UsageError: no engine has that name.
        EnvironmentFault: Ray is not installed, or cannot be reached.
    """
    match settings.name:
        case "inline":
            from gifcli.engines.inline import InlineEngine

            return InlineEngine(settings.devices[0], settings.workers)
        case "local":
            from gifcli.engines.local import LocalEngine

            return LocalEngine(settings)
        case "ray":
            from gifcli.engines.ray import RayEngine

            return RayEngine(settings)
        case name:
            from gifcli.errors import UsageError

            raise UsageError(f"--engine: expected inline, local or ray, found {name!r}")
