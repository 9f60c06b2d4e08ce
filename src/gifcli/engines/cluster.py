"""The Ray cluster itself: joining one, and what it has. Ray is imported where it is used, for it may not be installed."""

import os
from typing import Any

from gifcli.compute.devices import Device
from gifcli.errors import EnvironmentFault, UsageError


def connect(address: str | None) -> None:
    """Joins a cluster, or makes one of this machine; once a process.

    Raises:
        UsageError: Ray is not installed.
        EnvironmentFault: nobody answers at that address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to its makers
    try:
        import ray
    except ImportError:
        raise UsageError("--engine ray: Ray is not installed; run: pip install 'gifcli[ray]'") from None
    if ray.is_initialized():
        return
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if address:
            ray.init(address=address, **quiet)
        else:
            ray.init(include_dashboard=False, **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise EnvironmentFault(
            f"--ray-address {address}: no Ray cluster can be joined there: {reason}; start one with: ray start --head"
        ) from error


def on_gpus(wanted: str) -> bool:
    """Whether workers get a GPU each: as asked, or (auto) where the cluster has any."""
    import ray

    return wanted != "cpu" and (wanted != "auto" or ray.cluster_resources().get("GPU", 0) >= 1)


def remote_device(address: str | None, wanted: str) -> Device:
    """The device and dtype of a worker in the cluster: of the first that answers; the run then keeps to that dtype."""
    from gifcli.compute.devices import choose_device

    connect(address)
    import ray  # which may not be installed: `connect` says so

    gpu = on_gpus(wanted)
    asked = ray.remote(choose_device).options(num_cpus=1, num_gpus=int(gpu), max_retries=3)
    device: Device = ray.get(asked.remote("cuda:0" if gpu else "cpu", "auto"))
    return device


def devices_in_cluster(device: str) -> int:
    """How many workers the cluster has devices for."""
    import ray

    return max(1, int(ray.cluster_resources().get("GPU" if device != "cpu" else "CPU", 1)))


def resources() -> str:
    """What the cluster has, for people."""
    import ray

    return ", ".join(f"{amount:g} {name}" for name, amount in ray.cluster_resources().items() if name in ("CPU", "GPU"))
