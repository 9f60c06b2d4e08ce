"""The process of one worker: jobs come in, results and signs of life go out, over one pipe."""

import os
import pickle
import signal
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Any

from gifcli.compute.devices import set_thread_policy
from gifcli.engines import Job, ShardTask
from gifcli.engines.inline import GPU_LANES
from gifcli.engines.losses import is_device_fault
from gifcli.engines.pulse import pulse
from gifcli.errors import GifError

Message = tuple[str, Any]
"""("beat", None), ("done", ShardResult), ("error", exception) or ("fault", why), the last words of a process."""


def lanes(device: str) -> int:
    """Jobs that a worker does side by side."""
    return 1 if device == "cpu" else GPU_LANES


def serve(connection: "Connection[Message, tuple[ShardTask, Job]]", device: str, threads: int) -> None:
    """Does jobs until the parent is gone; models stay loaded from job to job."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all of us; the parent stops its workers
    set_thread_policy()
    import torch

    torch.set_num_threads(threads)
    line = _Line(connection)
    pulse.listener = lambda: line.send(("beat", None))
    pulse.beat()
    pool = ThreadPoolExecutor(lanes(device), "shard", torch.set_num_threads, (threads,))
    while True:
        try:
            task, job = connection.recv()
        except (EOFError, OSError):
            os._exit(1)  # nobody would ever collect what an orphan makes
        pool.submit(_do, line, task, job, device)


class _Line:
    """The way back; several threads use it."""

    def __init__(self, connection: "Connection[Message, tuple[ShardTask, Job]]") -> None:
        self.connection = connection
        self.free = threading.Lock()

    def send(self, message: Message) -> None:
        try:
            with self.free:
                self.connection.send(message)
        except OSError:
            os._exit(1)


def _do(line: _Line, task: ShardTask, job: Job, device: str) -> None:
    try:
        line.send(("done", task(job, device)))
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent raises it
        if is_device_fault(error):
            line.send(("fault", str(error).strip().splitlines()[0]))
            os._exit(1)
        line.send(("error", portable(error, device)))


def portable(error: Exception, device: str) -> Exception:
    """The error as one that crosses to another process, with the traceback as a note."""
    if not isinstance(error, GifError):
        error.add_note(f"in the worker on {device}:\n{''.join(traceback.format_exception(error))}")
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    except Exception:  # noqa: BLE001 - an error whose constructor asks for more than its text
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
