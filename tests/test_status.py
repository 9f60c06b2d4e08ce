"""How far a run is, told from its state alone."""

import shlex
import shutil
from pathlib import Path

import pytest

from gifcli.errors import UsageError
from gifcli.state.files import EXPORT
from gifcli.state.owed import VERDICTS
from gifcli.state.shards import ShardStore
from gifcli.status import run_status


def test_a_finished_run_owes_nothing(finished: Path, photos: Path) -> None:
    status = run_status(finished)
    assert (status.images, status.originals) == (12, 12)
    assert status.kept + status.given_up == status.wanted
    assert status.owed == 0
    assert status.exported
    assert status.source == str(photos)
    assert not any(line.startswith("next:") for line in status.to_lines())


def test_samples_that_are_gone_are_owed_again(finished: Path) -> None:
    before = run_status(finished)
    store = ShardStore(finished)
    store.clear("generate")
    store.clear("filter")
    (store.state / "verdicts.json").unlink()
    (store.state / EXPORT).unlink()
    status = run_status(finished)
    assert (status.kept, status.owed) == (0, before.wanted)
    assert status.shards["optimize"] == before.shards["optimize"]
    assert sum(status.shortfall.values()) == status.wanted
    assert status.to_lines()[-1].startswith(f"next: gif expand {status.source} -o {finished}")


def test_a_dataset_of_other_verdicts_is_not_written_yet(finished: Path) -> None:
    odd = finished.rename(finished.with_name("it's mine"))
    store = ShardStore(odd)
    store.save(VERDICTS, {**store.load(VERDICTS), "fingerprint": "another"})
    status = run_status(odd)
    assert not status.exported
    command = shlex.split(status.to_lines()[-1].removeprefix("next: "))
    assert command == ["gif", "expand", status.source, "-o", str(odd), "-r", str(odd / "recipe.yaml")]


def test_it_needs_no_source_and_no_lock(finished: Path, photos: Path, tmp_path: Path) -> None:
    with ShardStore(finished).lock():
        assert run_status(finished).to_data() == run_status(finished).to_data()
    moved = shutil.copytree(finished, tmp_path / "moved")
    assert run_status(Path(moved)).wanted == run_status(finished).wanted


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected a run folder of gif"):
        run_status(tmp_path)
