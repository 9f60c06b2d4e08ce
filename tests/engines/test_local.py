"""Real processes: each pool costs seconds, so there are few."""

import os
import time
from pathlib import Path

import psutil
import pytest

import shard_tasks
from gifcli.engines import EngineSettings, Job, losses
from gifcli.engines.local import LocalEngine
from gifcli.errors import EnvironmentFault, InputError
from gifcli.state.shards import ShardId
from processes import finish, fresh
from runs import FLAGS, tree


def jobs(folder: Path, numbers: range) -> list[Job]:
    """Each with the path of a marker that is not there."""
    return [Job(ShardId(n), (str(folder / str(n)),)) for n in numbers]


@pytest.mark.slow
def test_a_lost_worker_is_replaced_and_workers_live_from_run_to_run(tmp_path: Path) -> None:
    heard: list[str] = []
    engine = LocalEngine(EngineSettings("local", tell=heard.append))
    for path in (0, 1, 3):
        (tmp_path / str(path)).touch()
    results = list(engine.run(shard_tasks.die_once, jobs(tmp_path, range(4))))
    assert sorted(result.shard.n for result in results) == [0, 1, 2, 3]
    assert heard == ["the worker on cpu was killed by signal 9 (out of memory?); another one takes over its work"]
    (later,) = engine.run(shard_tasks.finish, jobs(tmp_path, range(4, 5)))
    assert later.images == results[-1].images != os.getpid()
    (again,) = engine.run(shard_tasks.lose_device_once, jobs(tmp_path, range(5, 6)))
    assert again.images != later.images
    assert heard[1].startswith("the worker on cpu lost its device (CUDA error: unspecified launch failure); another")
    with pytest.raises(InputError, match="shard 00007 cannot be read"):
        list(engine.run(shard_tasks.fail, [Job(ShardId(7))]))
    assert engine.team == {}


@pytest.mark.slow
def test_a_bug_is_not_tried_again_and_keeps_its_traceback(tmp_path: Path) -> None:
    engine = LocalEngine(EngineSettings("local"))
    with pytest.raises(KeyError, match="no such key") as caught:
        list(engine.run(shard_tasks.trip, jobs(tmp_path, range(1))))
    assert "shard_tasks.py" in caught.value.__notes__[0]


@pytest.mark.slow
def test_a_hung_worker_is_replaced_and_a_slow_one_is_not(tmp_path: Path) -> None:
    heard: list[str] = []
    engine = LocalEngine(EngineSettings("local", timeout=3.0, tell=heard.append))
    (slow,) = engine.run(shard_tasks.work_slowly, jobs(tmp_path, range(1)))
    assert heard == []
    start = time.monotonic()
    (result,) = engine.run(shard_tasks.hang_once, jobs(tmp_path, range(9, 10)))
    engine.close()
    assert 3 < time.monotonic() - start < 60
    assert result.images != slow.images
    assert heard[0] == "the worker on cpu gave no sign of life for 3 s (run.timeout); another one takes over its work"


@pytest.mark.slow
def test_workers_that_keep_dying_are_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(losses, "MOST", 2)
    engine = LocalEngine(EngineSettings("local"))
    with pytest.raises(EnvironmentFault, match=r"shard 00000 was lost 2 times: .* signal 9 .*--workers"):
        list(engine.run(shard_tasks.die, jobs(tmp_path, range(1))))
    assert engine.team == {}


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
    assert "takes over its work" in end.err
    assert tree(root) == tree(reference)


def until_shards(root: Path, pid: int, folder: str) -> list[psutil.Process]:
    """Waits for the first shard of a stage; the processes that the run has started."""
    process = psutil.Process(pid)
    while process.status() != psutil.STATUS_ZOMBIE and not list((root / ".gifcli" / "stages" / folder).glob("*.json")):
        time.sleep(0.005)
    return process.children()
