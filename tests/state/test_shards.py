import errno
import fcntl
import hashlib
import itertools
import os
import tarfile
from pathlib import Path

import pytest

from gifcli.errors import BusyError, DiskFullError, EnvironmentFault
from gifcli.state.shards import ShardId, ShardStore, free_room, pack, write_atomic

SHARD = ShardId(3, 0, 1)
MEMBERS = [("b.json", b"{}"), ("a.npy", b"\x00" * 700), ("a.json", b"1")]


@pytest.fixture
def store(tmp_path: Path) -> ShardStore:
    return ShardStore(tmp_path)


@pytest.mark.parametrize(
    ("n", "round_", "attempt", "part"), [*itertools.product((0, 7, 123456), (0, 2), (None, 0, 13), (0, 4))]
)
def test_names_are_read_back(n: int, round_: int, attempt: int | None, part: int) -> None:
    shard = ShardId(n, round_, attempt, part)
    assert ShardId.parse(str(shard)) == shard


def test_names_are_short() -> None:
    assert [str(ShardId(3)), str(SHARD), str(ShardId(3, 2, 0, 1))] == ["00003", "00003-a1", "00003-g2-a0-p1"]


def test_a_shard_is_a_tar_with_the_same_bytes_whatever_the_order_of_its_members() -> None:
    assert pack(MEMBERS) == pack(reversed(MEMBERS))
    assert (
        hashlib.sha256(pack(MEMBERS)).hexdigest() == "6d44bd8f272501d9ee4f0d9ebf22a7ff7421646916bdd6b42d466d3ef5601b72"
    )


def test_a_shard_is_read_back_by_suffix(store: ShardStore) -> None:
    store.write("generate", SHARD, MEMBERS, {"slots": [1]})
    assert list(store.read("generate", SHARD)) == sorted(MEMBERS)
    assert [name for name, _ in store.read("generate", SHARD, (".json",))] == ["a.json", "b.json"]
    (mark,) = store.done("generate").values()
    data = store.tar("generate", SHARD).read_bytes()
    assert mark == {"slots": [1], "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    with tarfile.open(store.tar("generate", SHARD)) as archive:
        assert {(member.mtime, member.uid, member.uname) for member in archive} == {(0, 0, "")}


def test_only_what_has_a_done_mark_is_there(store: ShardStore) -> None:
    assert store.done("filter") == {}
    store.write("filter", SHARD, MEMBERS, {})
    store.write("filter", SHARD._replace(part=1), MEMBERS, {})
    store.tar("filter", SHARD).with_suffix(".json").unlink()
    assert list(store.done("filter")) == [SHARD._replace(part=1)]
    assert store.parts("filter", SHARD) == [SHARD._replace(part=1)]


def test_shards_come_in_order_of_their_numbers_not_of_their_names(store: ShardStore) -> None:
    parts = [ShardId(0, 0, attempt, part) for attempt in (None, 2, 10) for part in (0, 2, 10)]
    order = [*parts, ShardId(0, 1, 0), ShardId(1), ShardId(100000)]
    for shard in reversed(order):
        store.write("optimize", shard, [], {})
    assert list(store.done("optimize")) == order
    assert store.parts("optimize", ShardId(0, 0, 2)) == parts[3:6]


def test_sweep_removes_what_a_killed_writer_left_and_nothing_else(store: ShardStore) -> None:
    for stage in ("optimize", "generate"):
        store.write(stage, SHARD, MEMBERS, {})
    store.tar("generate", SHARD).with_suffix(".json").unlink()
    leftover = store.folder("optimize") / "00004-a0.tar.gif-tmp"
    leftover.write_bytes(b"half")
    (store.root / "README.md.gif-tmp").write_bytes(b"half")
    (store.root / "train").mkdir()
    (store.root / "train" / "users.gif-tmp").write_bytes(b"mine")
    (store.root / "train" / "users.tar").write_bytes(b"mine")
    with store.lock():
        names = {path.name for path in store.root.rglob("*") if path.is_file()}
    assert names == {"lock", "00003-a1.tar", "00003-a1.json", "users.tar", "users.gif-tmp"}


def test_clear_and_remove_take_the_mark_with_the_shard(store: ShardStore) -> None:
    for n in range(3):
        store.write("optimize", ShardId(n, 0, 0), MEMBERS, {})
    store.remove("optimize", ShardId(1, 0, 0))
    assert [shard.n for shard in store.done("optimize")] == [0, 2]
    store.clear("optimize")
    assert not store.folder("optimize").exists()
    store.clear("optimize")


def test_the_lock_is_for_one(store: ShardStore) -> None:
    other = ShardStore(store.root)
    with store.lock(), pytest.raises(BusyError, match="--wait-lock"), other.lock(wait=0.15):
        pass
    with other.lock():
        pass


def test_a_lock_file_that_was_removed_meanwhile_locks_nobody(
    store: ShardStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock, path = fcntl.flock, store.state / "lock"
    removed = []

    def removed_first(handle: int, how: int) -> None:
        if not removed:
            removed.append(path.unlink())
        flock(handle, how)

    monkeypatch.setattr(fcntl, "flock", removed_first)
    with store.lock(), pytest.raises(BusyError), ShardStore(store.root).lock():
        pass
    assert removed


def test_a_file_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "deep" / "state.json"
    write_atomic(path, b"old")

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFullError, match=r"no room left to write .*state.json.*run the same command again"):
        write_atomic(path, b"new")
    assert [(p.name, p.read_bytes()) for p in path.parent.iterdir()] == [("state.json", b"old")]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ENOTDIR])
def test_a_place_that_cannot_be_written_to_is_the_machines_fault(number: int) -> None:
    with pytest.raises(EnvironmentFault, match=r"cannot write to /out/x: .*; mend that and run") as caught, free_room():
        raise OSError(number, os.strerror(number), "/out/x")
    assert caught.value.exit_code == 6
    assert not isinstance(caught.value, DiskFullError)


def test_other_errors_pass() -> None:
    with pytest.raises(FileNotFoundError), free_room():
        raise FileNotFoundError(errno.ENOENT, "no")


def test_state_is_written_only_where_it_differs(store: ShardStore) -> None:
    assert store.load("x.json") is None
    store.save("x.json", {"b": 1, "a": "é"})
    path = store.state / "x.json"
    os.utime(path, (1, 1))
    store.save("x.json", {"a": "é", "b": 1})
    assert path.stat().st_mtime == 1
    store.save("x.json", {"a": "é", "b": 2})
    assert store.load("x.json") == {"a": "é", "b": 2}


def test_a_torn_line_of_the_event_log_is_left_out(store: ShardStore) -> None:
    assert store.events() == []
    with store.lock():
        store.event(stage="extract", images=3)
        with (store.state / "events.jsonl").open("a") as log:
            log.write('{"time": 1, "sta')
    assert [event["stage"] for event in store.events()] == ["extract"]
