import threading
import time

import pytest
import torch

from gifcli.engines import EngineSettings, Job, ShardResult, make_engine
from gifcli.engines.inline import InlineEngine
from gifcli.errors import InputError, UsageError
from gifcli.state.shards import ShardId

JOBS = [Job(ShardId(n), (n,)) for n in range(6)]


def test_every_job_gives_one_result_on_its_device() -> None:
    def task(job: Job, device: str) -> ShardResult:
        return ShardResult(job.shard, [(device, b"")], job.items[0])

    for workers in (1, 3):
        results = list(InlineEngine("cpu", workers).run(task, JOBS))
        assert sorted(result.shard.n for result in results) == list(range(6))
        assert all(result.members == [("cpu", b"")] and result.images == result.shard.n for result in results)
    assert list(InlineEngine("cpu").run(task, [])) == []


def test_jobs_run_side_by_side_each_on_one_thread() -> None:
    together = threading.Barrier(3, timeout=30)

    def task(job: Job, device: str) -> ShardResult:
        together.wait()
        return ShardResult(job.shard, [], torch.get_num_threads())

    before = torch.get_num_threads()
    assert [result.images for result in InlineEngine("cpu", 3).run(task, JOBS)] == [1] * 6
    assert torch.get_num_threads() == before


def test_what_goes_wrong_in_a_job_comes_out_and_no_other_is_started() -> None:
    started = []

    def task(job: Job, device: str) -> ShardResult:
        started.append(job)
        time.sleep(0.05)
        raise InputError("no such image")

    with pytest.raises(InputError, match="no such image"):
        list(InlineEngine("cpu", 2).run(task, JOBS))
    time.sleep(0.2)
    assert len(started) <= 4


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(UsageError, match="--engine: expected inline, local or ray, found 'spark'"):
        make_engine(EngineSettings("spark"))
