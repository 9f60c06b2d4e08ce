import os

import pytest
import torch

from gifcli.compute.devices import choose_device, choose_devices, set_thread_policy
from gifcli.errors import EnvironmentFault, UsageError


def test_the_cpu_takes_a_dtype_for_a_reason() -> None:
    device = choose_device("cpu", "auto")
    assert device.name == "cpu"
    assert device.dtype in ("float32", "bfloat16")
    assert "CPU" in device.why
    assert choose_device("cpu", "float32").dtype == "float32"


def test_auto_takes_what_is_there() -> None:
    assert choose_device("auto", "auto").name == ("cuda:0" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["abacus", "mps", "cuda:x", ""])
def test_what_is_no_device_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="--device: expected auto, cpu or cuda:N"):
        choose_device(name, "auto")


def test_a_device_that_is_not_there_is_named() -> None:
    with pytest.raises(EnvironmentFault, match="--device cuda:77"):
        choose_device("cuda:77", "auto")


def test_several_devices_are_for_several_processes() -> None:
    assert choose_devices("cpu", several=True) == choose_devices("cpu,cpu", several=True) == ("cpu",)
    with pytest.raises(UsageError, match=r"--device cpu,cpu: several devices need a process each; add --engine local"):
        choose_devices("cpu,cpu", several=False)
    with pytest.raises(EnvironmentFault, match="--device cuda:78"):
        choose_devices("cpu,cuda:78", several=True)


def test_idle_threads_sleep_unless_the_user_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    set_thread_policy()
    assert (os.environ["OMP_WAIT_POLICY"], os.environ["GOMP_SPINCOUNT"]) == ("PASSIVE", "7")
