"""A bit flipped in any file is found, in a run folder and in a dataset of any format, and named; nothing else is."""

import json
import random
from pathlib import Path

import pytest

from documents import gif
from gifcli import session
from gifcli.dataset.sums import amending
from gifcli.dataset.verify import assert_whole, verify
from gifcli.errors import CheckError, UsageError
from gifcli.state.seals import is_whole, seal, unseal
from runs import VOLATILE


def flip(path: Path, rng: random.Random) -> None:
    """Flips one bit, wherever it falls."""
    data = bytearray(path.read_bytes())
    place = rng.randrange(len(data))
    data[place] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def assert_every_flip_is_found(root: Path) -> int:
    """Flips a bit in one file after another; each time that file is named, and without it nothing differs."""
    assert verify(root).differences == {}
    rng = random.Random(0)
    names = [path.relative_to(root).as_posix() for path in sorted(root.rglob("*")) if path.is_file()]
    for name in (name for name in names if name not in VOLATILE):
        whole = (root / name).read_bytes()
        flip(root / name, rng)
        found = verify(root).differences
        assert any(path in name or name in path for path in found), f"{name}: {found}"
        with pytest.raises(CheckError, match="not as gif wrote it"):
            assert_whole(verify(root))
        (root / name).write_bytes(whole)
    assert verify(root).differences == {}
    return len(names)


def test_every_flipped_bit_of_a_run_is_found(finished: Path) -> None:
    kinds = {".tar", ".json", ".png", ".jpg", ".jsonl", ".parquet", ".md", ".yaml", ".html", ".safetensors", ""}
    assert {path.suffix for path in finished.rglob("*") if path.is_file()} >= kinds
    assert assert_every_flip_is_found(finished) > 80


@pytest.mark.parametrize("to", ["imagefolder", "webdataset", "parquet"])
def test_every_flipped_bit_of_a_dataset_elsewhere_is_found(finished: Path, tmp_path: Path, to: str) -> None:
    session.export_to(str(tmp_path / "there"), finished, {"export.to": to})
    found = verify(tmp_path / "there")
    assert (found.images, found.notes) == (36, [])
    assert assert_every_flip_is_found(tmp_path / "there") >= 7


@pytest.mark.parametrize("to", ["webdataset", "parquet"])
def test_an_image_inside_another_file_is_named(finished: Path, tmp_path: Path, to: str) -> None:
    session.export_to(str(tmp_path / "there"), finished, {"export.to": to})
    (path,) = (tmp_path / "there" / "data").glob("train*")
    data = path.read_bytes()
    jpeg = data.index(b"\xff\xd8\xff") + 400
    path.write_bytes(data[:jpeg] + bytes([data[jpeg] ^ 1]) + data[jpeg + 1 :])
    (tmp_path / "there" / "SHA256SUMS").unlink()
    (tmp_path / "there" / ".gifcli").mkdir()
    assert verify(tmp_path / "there").notes
    session.export_to(str(tmp_path / "other"), finished, {"export.to": to})
    with amending(tmp_path / "other", "data/"):
        (tmp_path / "other" / "data" / path.name).write_bytes(path.read_bytes())
    (name,) = verify(tmp_path / "other").differences
    assert name.startswith(f"data/{path.name}#")


def test_the_command_exits_with_5_and_lists_what_differs(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gif("verify", str(finished)) == 0
    (finished / "train" / "cat" / "0.png").write_bytes(b"other")
    capsys.readouterr()
    assert gif("verify", str(finished), "--json") == 5
    assert json.loads(capsys.readouterr().out)["differences"] == {"train/cat/0.png": "is not what was written"}


def test_what_is_missing_is_named(finished: Path) -> None:
    gone = next((finished / "train" / "cat").glob("*.jpg"))
    gone.unlink()
    tar = next((finished / ".gifcli" / "stages").rglob("*.tar"))
    tar.unlink()
    found = verify(finished).differences
    assert found == {
        gone.relative_to(finished).as_posix(): "is missing",
        tar.relative_to(finished).as_posix(): "is missing, though its done mark is there",
    }


def test_files_that_somebody_added_are_named_and_no_difference(finished: Path) -> None:
    (finished / "train" / "cat" / "mine.jpg").write_bytes(b"mine")
    found = verify(finished)
    assert found.differences == {}
    assert found.notes == ["files that gif did not write, and nothing vouches for: train/cat/mine.jpg"]


def test_a_run_that_went_on_is_no_difference(finished: Path) -> None:
    session.run_stage("filter", finished, {"checks.label.quantile": 0.2})
    assert verify(finished).differences == {}
    session.run_stage("export", finished, {})
    assert verify(finished).differences == {}
    with amending(finished, "report/"):
        (finished / "report" / "index.html").write_text("made anew")
    assert verify(finished).differences == {}


def test_a_run_that_is_not_exported_yet_is_looked_at_as_far_as_it_is(own_photos: Path, tmp_path: Path) -> None:
    from runs import tiny

    session.extract(own_photos, tmp_path / "out", tiny())
    found = verify(tmp_path / "out")
    assert found.differences == {}
    assert "not exported" in found.notes[0]
    with pytest.raises(UsageError, match="expected a run folder or an exported dataset"):
        verify(own_photos)


@pytest.mark.parametrize("value", [{"b": 1, "a": ["é", None]}, [1, 2], [], {}])
def test_a_seal_holds_any_value_and_no_flip(value: object) -> None:
    data = seal(value)
    assert unseal(data) == value
    assert is_whole(data)
    for place in range(len(data)):
        for bit in range(8):
            broken = bytearray(data)
            broken[place] ^= 1 << bit
            assert not is_whole(bytes(broken))
