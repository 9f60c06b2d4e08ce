"""A real Ray of two nodes on this machine, as small as it can be; started once."""

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gifcli import session
from gifcli.engines import EngineSettings, Job
from gifcli.errors import InputError, UsageError
from gifcli.state.shards import ShardId, ShardStore
from runs import tiny, tree

STORE = 100 * 1024**2


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes with a CPU each; the processes of gifcli find the tests' modules."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        folders = [str(Path(__file__).parents[1]), str(Path(session.__file__).parents[1])]
        patch.setenv("PYTHONPATH", os.pathsep.join(folders))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        node = {"num_cpus": 1, "object_store_memory": STORE, "include_dashboard": False}
        made = Cluster(initialize_head=True, head_node_args=node)
        made.second = made.add_node(**{key: node[key] for key in ("num_cpus", "object_store_memory")})
        try:
            yield made
        finally:
            import ray

            ray.shutdown()
            made.shutdown()


@pytest.mark.slow
def test_a_run_on_two_nodes_one_of_which_is_killed_equals_one_in_this_process(
    cluster: Any, photos: Path, reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node goes when half of the third stage is there."""
    heard: list[str] = []
    write, root = ShardStore.write, tmp_path / "out"

    def write_and_kill(store: ShardStore, stage: str, shard: ShardId, *rest: Any) -> None:
        write(store, stage, shard, *rest)
        if cluster.second and stage == "generate" and len(store.done("generate")) == 2:
            cluster.remove_node(cluster.second, allow_graceful=False)
            cluster.second = None

    monkeypatch.setattr(ShardStore, "write", write_and_kill)
    reporter = session.Silent()
    reporter.warn = heard.append
    recipe = tiny(run__engine="ray", run__ray_address=cluster.address, run__workers=2)
    session.expand(photos, root, recipe, session.Access(reporter=reporter))
    assert cluster.second is None
    assert any("is lost with its process or node" in text for text in heard), heard
    assert tree(root) == tree(reference)


@pytest.mark.slow
def test_what_goes_wrong_in_a_task_is_raised_and_not_tried_again(cluster: Any, tmp_path: Path) -> None:
    import shard_tasks
    from gifcli.engines.ray import RayEngine

    engine = RayEngine(EngineSettings("ray", workers=1, address=cluster.address))
    with pytest.raises(InputError, match="shard 00007 cannot be read"):
        list(engine.run(shard_tasks.fail, [Job(ShardId(7))]))
    with pytest.raises(KeyError, match="no such key") as caught:
        list(engine.run(shard_tasks.trip, [Job(ShardId(0))]))
    assert "shard_tasks.py" in caught.value.__notes__[0]
    start = time.monotonic()
    (result,) = engine.run(shard_tasks.die_once, [Job(ShardId(1), (str(tmp_path / "1"),))])
    assert result.images != os.getpid()
    assert time.monotonic() - start < 60
    engine.close()


@pytest.mark.slow
def test_a_hung_worker_is_replaced_and_one_too_busy_to_answer_is_not(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shard_tasks
    from gifcli.engines import ray as engine_module

    monkeypatch.setattr(engine_module, "POLL", 1.0)
    heard: list[str] = []
    settings = EngineSettings("ray", workers=1, address=cluster.address, tell=heard.append)
    engine = engine_module.RayEngine(settings)
    list(engine.run(shard_tasks.finish, [Job(ShardId(0))]))  # is up
    engine.settings = replace(settings, timeout=6.0)
    (busy,) = engine.run(shard_tasks.hold_the_interpreter, [Job(ShardId(1))])
    assert heard == []
    start = time.monotonic()
    (result,) = engine.run(shard_tasks.hang_once, [Job(ShardId(2), (str(tmp_path / "2"),))])
    engine.close()
    assert 6 < time.monotonic() - start < 60
    assert result.images != busy.images
    [said] = heard
    assert said.endswith("gave no sign of life for 6 s (run.timeout); another one takes over its work")


def test_without_ray_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from gifcli.engines import make_engine

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError) as caught:
        make_engine(EngineSettings("ray"))
    assert str(caught.value) == "--engine ray: Ray is not installed; run: pip install 'gifcli[ray]'"
