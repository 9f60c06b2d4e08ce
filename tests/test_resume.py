"""A run that was killed, starved of room or interrupted, and then resumed, equals one that was not."""

import errno
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gifcli import session
from gifcli.errors import DiskFullError
from processes import Gif, finish, fresh, start
from runs import FLAGS, stamps, tiny, tree

STAGES = {"1-seeds": (1, 4), "2-noises": (1, 4, 7), "3-samples": (1, 4, 7), "4-verdicts": (1, 4, 7)}
"""Folder -> how many finished shards it has when the run is killed; there are six, and one or two of attempt 1."""

FILES = (".gifcli/plan.json", ".gifcli/rules.json", ".gifcli/verdicts.json", "manifest.parquet", "README.md")
"""Files that come to be at other moments; the last three in filter and export."""

RANDOM_KILLS = 12


def expand(photos: Path, root: Path) -> Gif:
    return start(root.parent / "log", "expand", photos, "-o", root, *FLAGS)


def kill_when(gif: Gif, moment: Callable[[], bool]) -> bool:
    """Waits for the moment and kills; whether that hit a live process."""
    while gif.alive and not moment():
        time.sleep(0.001)
    gif.signal(signal.SIGKILL)
    return gif.wait().code == -signal.SIGKILL


def assert_same(root: Path, reference: Path) -> None:
    """The same files with the same bytes; that leaves no room for temporary ones."""
    assert tree(root) == tree(reference)


def moments(root: Path) -> Iterator[tuple[str, Callable[[], bool]]]:
    """Places in the run, in the order in which they come, and how to see that one is reached."""
    for folder, counts in STAGES.items():
        for count in counts[:2]:
            yield f"{folder} {count}", lambda f=folder, n=count: done(root, f) >= n
    yield FILES[2], (root / FILES[2]).exists
    for folder, counts in STAGES.items():
        for count in counts[2:]:
            yield f"{folder} {count}", lambda f=folder, n=count: done(root, f) >= n
    yield "the third image", lambda: len(list((root / "train").rglob("*.png"))) >= 3
    for name in FILES[3:]:
        yield name, (root / name).exists


def done(root: Path, folder: str) -> int:
    return len(list((root / ".gifcli" / "stages" / folder).glob("*.json")))


@pytest.mark.slow
def test_a_run_killed_in_every_stage_ends_as_one_that_was_not(
    photos: Path, reference: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    root = tmp_path / "out"
    hits = [name for name, moment in moments(root) if kill_when(expand(photos, root), moment)]
    assert len(hits) >= 11, hits
    assert {name.split()[0] for name in hits} >= set(STAGES)
    record_property("kills", hits)
    assert expand(photos, root).wait().code == 0
    assert_same(root, reference)


@pytest.mark.slow
def test_a_run_killed_at_random_ends_as_one_that_was_not(
    photos: Path, reference: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    delays = random.Random(20)
    hits: list[float] = []
    chain = 0
    while len(hits) < RANDOM_KILLS:
        root = tmp_path / str(chain) / "out"
        code = -signal.SIGKILL
        while code == -signal.SIGKILL:
            delay = delays.uniform(0.1, 4.0)
            gif = expand(photos, root)
            gif.process.join(delay)
            gif.signal(signal.SIGKILL)
            code = gif.wait().code
            hits += [delay] * (code == -signal.SIGKILL)
        assert code == 0
        assert_same(root, reference)
        chain += 1
    record_property("kills", [round(delay, 3) for delay in hits])


@pytest.mark.slow
def test_a_fresh_process_killed_while_it_starts_leaves_a_run_that_resumes(
    photos: Path, reference: Path, tmp_path: Path
) -> None:
    root = tmp_path / "out"
    process = fresh("expand", photos, "-o", root, *FLAGS)
    while process.poll() is None and not (root / ".gifcli" / "lock").exists():
        time.sleep(0.001)
    process.kill()
    assert finish(process).code == -signal.SIGKILL
    assert expand(photos, root).wait().code == 0
    assert_same(root, reference)


def test_temporary_files_of_a_killed_writer_are_swept(photos: Path, finished: Path) -> None:
    before = tree(finished)
    shards = finished / ".gifcli" / "stages" / "3-samples"
    (shards / "00000-a0.tar.gif-tmp").write_bytes(b"half a shard")
    (shards / "00009-a0.tar").write_bytes(b"a shard whose done mark was never written")
    (finished / "README.md.gif-tmp").write_bytes(b"half a card")
    session.expand(photos, finished, tiny())
    assert tree(finished) == before


def test_a_finished_run_repeated_changes_nothing_and_loads_no_model(photos: Path, finished: Path) -> None:
    before = stamps(finished)
    done = finish(fresh("expand", photos, "-o", finished, *FLAGS, flags=("-X", "importtime")))
    assert done.code == 0
    assert "gifcli.pipeline" in done.err
    assert " torch" not in done.err
    assert stamps(finished) == before


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_says_how_to_resume_and_does(
    photos: Path, reference: Path, tmp_path: Path, number: int, code: int
) -> None:
    root = tmp_path / "out"
    gif = expand(photos, root)
    while gif.alive and done(root, "2-noises") < 2:
        time.sleep(0.001)
    gif.signal(number)
    end = gif.wait()
    assert end.code == code
    assert end.out == ""
    assert f"gif expand {photos} -o {root} --set " in end.err.splitlines()[-1]
    assert expand(photos, root).wait().code == 0
    assert_same(root, reference)


def test_a_second_process_is_turned_away_or_waits(photos: Path, tmp_path: Path) -> None:
    root = tmp_path / "out"
    first = expand(photos, root)
    while first.alive and done(root, "1-seeds") < 1:
        time.sleep(0.001)
    waiting = start(tmp_path / "waiting", "expand", photos, "-o", root, *FLAGS, "--wait-lock", "100")
    second = start(tmp_path / "second", "expand", photos, "-o", root, *FLAGS).wait()
    assert first.alive
    assert second.code == 75
    assert "another gif process" in second.err
    assert first.wait().code == 0
    assert waiting.wait().code == 0


@pytest.mark.slow
@pytest.mark.parametrize("room", ["64k", "400k", "1600k"])
def test_a_full_disk_gives_exit_6_and_the_run_resumes_once_there_is_room(
    photos: Path, reference: Path, tmp_path: Path, room: str
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if (
        os.geteuid()
        or subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={room}", "tmpfs", disk], check=False).returncode
    ):
        pytest.skip("mounting needs root; the injected test below goes everywhere")
    try:
        full = start(tmp_path / "log", "expand", photos, "-o", disk / "out", *FLAGS).wait()
        assert full.code == 6, full.err
        assert full.err.splitlines()[-1].startswith("error: no room left to write")
        assert not list(disk.rglob("*.gif-tmp"))
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        assert start(tmp_path / "log", "expand", photos, "-o", disk / "out", *FLAGS).wait().code == 0
        assert_same(disk / "out", reference)
    finally:
        subprocess.run(["umount", disk], check=True)


def test_no_room_at_any_write_is_our_own_error(
    photos: Path, reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every 15th write fails, until all are done."""
    sync = os.fsync
    writes = 0

    def sync_or_fail(handle: int) -> None:
        nonlocal writes
        writes += 1
        if writes % 15 == 0:
            raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path))
        sync(handle)

    monkeypatch.setattr(os, "fsync", sync_or_fail)
    failures = 0
    while True:
        try:
            session.expand(photos, tmp_path / "out", tiny())
            break
        except DiskFullError:
            failures += 1
    assert failures > 5
    assert_same(tmp_path / "out", reference)


def test_a_shard_that_is_lost_is_made_again(photos: Path, finished: Path, reference: Path) -> None:
    shutil.rmtree(finished / ".gifcli" / "stages" / "4-verdicts")
    for path in (finished / ".gifcli" / "stages" / "3-samples").glob("00002*"):
        path.unlink()
    session.expand(photos, finished, tiny())
    assert_same(finished, reference)
