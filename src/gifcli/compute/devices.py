"""Which device, which dtype, and why. Asks the hardware; never guesses."""

import os
from dataclasses import dataclass
from pathlib import Path

from gifcli.errors import EnvironmentFault, UsageError
from gifcli.wording import number_of


@dataclass(frozen=True, slots=True)
class Device:
    """A torch device with the dtype of its autocast regions."""

    name: str
    dtype: str
    why: str


def set_thread_policy() -> None:
    """Lets idle OpenMP threads sleep instead of spin; must run before torch is imported.

    With another process on the same cores, spinning makes two-thread calls many times slower.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")


def helper_threads(device: str) -> int:
    """Threads that decode and encode image files beside a worker: on a GPU its share of the cores, up to eight."""
    if not device.startswith("cuda"):
        return 2
    import torch

    return max(2, min(8, cores() // max(1, torch.cuda.device_count())))


def cores() -> int:
    """The CPU cores that this process may use."""
    return len(os.sched_getaffinity(0))


def choose_devices(wanted: str, *, several: bool) -> tuple[str, ...]:
    """The names of the devices that are meant; with `several`, `auto` means all GPUs.

    Raises:
        UsageError: not a device name, or several where one is expected.
        EnvironmentFault: one of them is not on this machine.
    """
    import torch

    if wanted == "auto" and several and torch.cuda.device_count() > 1:
        return tuple(f"cuda:{i}" for i in range(torch.cuda.device_count()))
    names = wanted.split(",")
    if len(names) > 1 and not several:
        raise UsageError(f"--device {wanted}: several devices need a process each; add --engine local")
    return tuple(dict.fromkeys(choose_device(name, "float32").name for name in names))


def choose_device(wanted: str, dtype: str) -> Device:
    """Resolves `auto`: the first GPU if there is one, else the CPU; bf16 only where the hardware is fast at it.

    Raises:
        UsageError: not a device name.
        EnvironmentFault: that device is not on this machine.
    """
    import torch

    first = wanted.partition(",")[0]
    name = ("cuda:0" if torch.cuda.is_available() else "cpu") if first == "auto" else first
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"--device: expected auto, cpu or cuda:N, found {wanted!r}") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise EnvironmentFault(
            f"--device {name}: this machine has {number_of(torch.cuda.device_count(), 'GPU')} that torch can use; try --device cpu"
        )
    if device.type not in {"cpu", "cuda"}:
        raise UsageError(f"--device: expected auto, cpu or cuda:N, found {wanted!r}")
    fast, why = _cuda_dtype(device.index or 0) if device.type == "cuda" else _cpu_dtype()
    return Device(name, fast, why) if dtype == "auto" else Device(name, dtype, "as asked")


def _cuda_dtype(index: int) -> tuple[str, str]:
    import torch

    major, minor = torch.cuda.get_device_capability(index)
    if major >= 8:
        return "bfloat16", f"compute capability {major}.{minor} has bf16 tensor cores"
    return "float16", f"compute capability {major}.{minor} has fp16 but no bf16 tensor cores"


def _cpu_dtype() -> tuple[str, str]:
    import torch

    if torch.cpu._is_amx_tile_supported():  # noqa: SLF001 - torch has no public name for it yet
        return "bfloat16", "the CPU has AMX tiles"
    if torch.cpu._is_avx512_bf16_supported() and _cpu_vendor() == "AuthenticAMD":  # noqa: SLF001
        return "bfloat16", "the CPU is an AMD with AVX512_BF16 (measured about twice as fast as float32)"
    return "float32", "the CPU has no fast bf16"


def _cpu_vendor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("vendor_id")), "")
