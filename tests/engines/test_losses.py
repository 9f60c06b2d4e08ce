import pytest
import torch

from gifcli.engines import Job
from gifcli.engines.losses import MOST, Losses, is_device_fault
from gifcli.errors import EnvironmentFault
from gifcli.state.shards import ShardId

JOBS = [Job(ShardId(n)) for n in range(4)]


def test_what_was_lost_comes_next_in_the_old_order() -> None:
    heard: list[str] = []
    losses = Losses(JOBS, heard.append)
    begun, reserved = losses.waiting.popleft(), losses.waiting.popleft()
    losses.lose("cuda:1", "was killed", [begun], [reserved])
    assert list(losses.waiting) == JOBS
    assert heard == ["the worker on cuda:1 was killed; another one takes over its work"]


def test_a_shard_that_is_lost_too_often_is_named() -> None:
    losses = Losses(JOBS[:1], lambda _: None)
    for place in ("cuda:0", "cuda:1"):
        losses.lose(place, "hangs", [losses.waiting.popleft()])
    with pytest.raises(EnvironmentFault, match=r"shard 00000 was lost 3 times: the worker on cuda:2 hangs; try"):
        losses.lose("cuda:2", "hangs", [losses.waiting.popleft()])


def test_a_place_is_given_up_after_losses_in_a_row_only() -> None:
    losses = Losses(JOBS, lambda _: None)
    for _ in range(MOST - 1):
        losses.lose("cuda:0", "died", [], [])
    losses.done("cuda:0")
    losses.lose("cuda:0", "died", [], [])
    assert not losses.gone("cuda:0")
    for _ in range(MOST - 1):
        losses.lose("cuda:0", "died", [], [])
    assert losses.gone("cuda:0")
    assert not losses.gone("cuda:1")


def test_a_bug_and_a_full_memory_are_no_device_faults() -> None:
    assert is_device_fault(RuntimeError("CUDA error: device-side assert triggered"))
    assert not is_device_fault(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"))
    assert not is_device_fault(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_device_fault(ValueError("CUDA error"))
