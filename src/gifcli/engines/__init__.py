"""Engines: where shards run. One shard = one task; only the parent commits what comes back."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from gifcli.shards import ShardId


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
    """Runs a task over jobs; results come in any order."""

    def run(self, task: ShardTask, jobs: Sequence[Job]) -> Iterator[ShardResult]:
        """Yields one result a job."""
        ...


def make_engine(name: str, devices: list[str], workers: int) -> Engine:
    """Makes an engine for `workers` shards at a time: `inline` in this process, `local` in one spawned process each.

    Raises:
        UsageError: no engine has that name.
    """
    match name:
        case "inline":
            from gifcli.engines.inline import InlineEngine

            return InlineEngine(devices[0], workers)
        case "local":
            from gifcli.engines.local import LocalEngine

            return LocalEngine(devices, workers)
        case _:
            from gifcli.errors import UsageError

            raise UsageError(f"--engine: expected inline or local, found {name!r}")
