"""Tasks for engines, in a module that a process of its own can import; each does something to the worker it runs in."""

import os
import signal
import time
from pathlib import Path

from gifcli.engines import Job, ShardResult
from gifcli.engines.pulse import beat
from gifcli.errors import InputError


def first_time(job: Job) -> bool:
    """Whether the job's marker, the path in its first item, was not there yet; it is now."""
    marker = Path(job.items[0])
    there = marker.exists()
    marker.touch()
    return not there


def finish(job: Job, device: str) -> ShardResult:
    return ShardResult(job.shard, [(device, b"")], os.getpid())


def die_once(job: Job, device: str) -> ShardResult:
    if first_time(job):
        os.kill(os.getpid(), signal.SIGKILL)
    return finish(job, device)


def die(job: Job, device: str) -> ShardResult:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def fail(job: Job, device: str) -> ShardResult:
    raise InputError(f"shard {job.shard} cannot be read")


def trip(job: Job, device: str) -> ShardResult:
    """A bug."""
    return {}["no such key"]


def lose_device_once(job: Job, device: str) -> ShardResult:
    """What torch raises where a GPU has failed."""
    if first_time(job):
        raise RuntimeError("CUDA error: unspecified launch failure\nCUDA kernel errors might be ...")
    return finish(job, device)


def hang_once(job: Job, device: str) -> ShardResult:
    if first_time(job):
        time.sleep(600)
    return finish(job, device)


def hold_the_interpreter(job: Job, device: str) -> ShardResult:
    """Takes long, says now and then that it is alive, but lets no other thread of its process speak for three seconds."""
    import ctypes

    for _ in range(10):
        time.sleep(0.5)
        beat()
    ctypes.PyDLL(None).usleep(3_000_000)
    return work_slowly(job, device)


def work_slowly(job: Job, device: str) -> ShardResult:
    """Takes long, and says now and then that it is alive."""
    for _ in range(8):
        time.sleep(0.5)
        beat()
    return finish(job, device)
