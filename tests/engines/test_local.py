"""Real processes: each pool costs seconds, so there are few."""

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from gifcli.engines import Job, ShardResult, local
from gifcli.engines.local import LocalEngine
from gifcli.errors import EnvironmentFault, InputError
from gifcli.shards import ShardId
from processes import finish, fresh
from runs import FLAGS, tree


def die_once(job: Job, device: str) -> ShardResult:
    """Kills its own process where the job's marker is not there yet."""
    marker = Path(job.items[0])
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return ShardResult(job.shard, [(device, b"")], os.getpid())


def die(job: Job, device: str) -> ShardResult:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def fail(job: Job, device: str) -> ShardResult:
    raise InputError(f"shard {job.shard} cannot be read")


@pytest.mark.slow
def test_a_killed_worker_is_replaced_and_workers_live_from_run_to_run(tmp_path: Path) -> None:
    for n in (0, 1, 3, 4):
        (tmp_path / str(n)).touch()
    engine = LocalEngine(["cpu"], 1)
    results = list(engine.run(die_once, [Job(ShardId(n), (str(tmp_path / str(n)),)) for n in range(4)]))
    assert sorted(result.shard.n for result in results) == [0, 1, 2, 3]
    (later,) = engine.run(die_once, [Job(ShardId(4), (str(tmp_path / "4"),))])
    assert later.images == results[-1].images != os.getpid()
    with pytest.raises(InputError, match="shard 00007 cannot be read"):
        list(engine.run(fail, [Job(ShardId(7))]))


@pytest.mark.slow
def test_workers_that_keep_dying_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "MAX_RESTARTS", 1)
    with pytest.raises(EnvironmentFault, match=r"died 2 times .*--workers"):
        list(LocalEngine(["cpu"], 1).run(die, [Job(ShardId(0))]))


@pytest.mark.slow
def test_a_run_on_workers_that_are_killed_equals_one_in_this_process(
    photos: Path, reference: Path, tmp_path: Path
) -> None:
    root = tmp_path / "out"
    command = ("expand", photos, "-o", root, *FLAGS, "--engine", "local", "--workers")
    killed = fresh(*command, 1)
    children = until_shards(root, killed.pid, "1-seeds")
    killed.kill()
    killed.communicate()
    assert psutil.wait_procs(children, timeout=20)[1] == []  # orphans go away
    process = fresh(*command, 2)
    children = until_shards(root, process.pid, "2-noises")
    next(child for child in children if "spawn_main" in " ".join(child.cmdline())).kill()
    end = finish(process)
    assert end.code == 0, end.err
    assert tree(root) == {**tree(reference), "recipe.yaml": tree(root)["recipe.yaml"]}


def until_shards(root: Path, pid: int, folder: str) -> list[psutil.Process]:
    """Waits for the first shard of a stage; the processes that the run has started."""
    while psutil.pid_exists(pid) and not list((root / ".gifcli" / "stages" / folder).glob("*.json")):
        time.sleep(0.002)
    return psutil.Process(pid).children()
