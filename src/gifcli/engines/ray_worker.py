"""What runs in the processes of a Ray cluster."""

import os
import threading
import time
from pathlib import Path
from platform import node

from gifcli import __version__
from gifcli.compute.devices import set_thread_policy
from gifcli.engines import Job, ShardResult, ShardTask
from gifcli.engines.losses import is_device_fault
from gifcli.engines.pulse import pulse
from gifcli.errors import EnvironmentFault


class RayWorker:
    """What runs in the cluster. Three calls may go on at a time: one makes a shard, one waits its turn, one asks how it is."""

    def __init__(self) -> None:
        set_thread_policy()
        self.turn = threading.Lock()

    def settle(self, folder: str, version: str, environment: dict[str, str]) -> str:
        """Goes to the folder that relative paths start from, where this node has it; -> the node's name, torch imported.

        `environment` says what the parent's does of the network, before any library reads it.

        Raises:
            EnvironmentFault: this node has another gifcli.
        """
        if version != __version__:
            raise EnvironmentFault(
                f"node {node()} has gifcli {__version__}, the run was started with {version}; install one on all nodes"
            )
        os.environ.update(environment)
        if Path(folder).is_dir():
            os.chdir(folder)
        import torch  # noqa: F401 - seconds that are none of the first job's, which is to show signs of life

        return node()

    def make(self, task: ShardTask, job: Job, device: str) -> ShardResult | str:
        """Makes one shard; a device that failed comes back as text."""
        import torch

        with self.turn:
            torch.set_num_threads(1)  # see InlineEngine
            try:
                return task(job, device)
            except RuntimeError as error:
                if is_device_fault(error):
                    return str(error).strip().splitlines()[0]
                raise

    def silence(self) -> float:
        """Seconds since something was last done here."""
        return time.monotonic() - pulse.last
