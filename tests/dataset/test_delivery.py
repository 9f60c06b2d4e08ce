"""A dataset exported elsewhere: whole, the same every time, and never over what is not ours."""

import io
import subprocess
from collections import Counter
from pathlib import Path

import datasets
import fsspec
import pyarrow.parquet as pq
import pytest

from gifcli import session
from gifcli.dataset.sums import NAME, parse_sums, read_sums, render_sums
from gifcli.errors import CheckError, EnvironmentFault, UsageError
from runs import stamps, tree

FORMATS = ("imagefolder", "webdataset", "parquet")


@pytest.mark.parametrize("to", FORMATS)
def test_every_format_goes_to_a_url_and_to_a_folder_alike(finished: Path, tmp_path: Path, to: str) -> None:
    before = tree(finished)
    summary = session.export_to(f"memory://bucket/{to}", finished, {"export.to": to})
    session.export_to(str(tmp_path / "there"), finished, {"export.to": to})
    session.export_to(f"file://{tmp_path}/again", finished, {"export.to": to})
    assert (summary.output, summary.generated) == (f"memory://bucket/{to}", 24)
    assert tree(finished) == before  # the run keeps its own dataset, format and recipe
    assert tree(tmp_path / "there") == tree(tmp_path / "again")
    memory = fsspec.filesystem("memory")
    names = [name.removeprefix(f"/bucket/{to}/") for name in memory.find(f"/bucket/{to}")]
    local = {name for name, value in tree(tmp_path / "there").items() if value}
    assert set(names) == local
    for name in names:
        assert memory.cat_file(f"/bucket/{to}/{name}") == (tmp_path / "there" / name).read_bytes(), name
    assert not any(name.startswith(".") for name in local)
    done = subprocess.run(["sha256sum", "--check", "--quiet", NAME], cwd=tmp_path / "there", check=False)
    assert done.returncode == 0


@pytest.mark.parametrize("to", FORMATS)
def test_the_real_library_loads_what_was_exported(finished: Path, tmp_path: Path, to: str) -> None:
    session.export_to(str(tmp_path / "there"), finished, {"export.to": to})
    loaded = datasets.load_dataset(str(tmp_path / "there"), split="train", cache_dir=str(tmp_path / "cache"))
    column = "cls" if to == "webdataset" else "label"
    assert loaded.features[column].names == ["brick", "cat", "coffee"]
    assert Counter(loaded[column]) == {0: 12, 1: 12, 2: 12}
    rows = pq.read_table(tmp_path / "there" / "manifest.parquet").to_pylist()
    assert sum(row["file"] is not None for row in rows) == 36


def test_a_second_export_uploads_only_what_differs_and_removes_the_rest(finished: Path) -> None:
    url = "memory://second/out"
    session.export_to(url, finished, {})
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/second/out/notes.txt", b"mine")
    before = {name: memory.info(name)["created"] for name in memory.find("/second/out")}
    session.export_to(url, finished, {"export.licence": "cc0-1.0"})
    after = {name: memory.info(name)["created"] for name in memory.find("/second/out")}
    changed = {name.removeprefix("/second/out/") for name in after if after[name] != before.get(name)}
    assert changed == {"README.md", "recipe.yaml", "report/index.html", NAME}
    session.export_to(url, finished, {"export.to": "parquet"})
    names = {name.removeprefix("/second/out/") for name in memory.find("/second/out")}
    assert "notes.txt" in names
    assert not any(name.startswith("train") for name in names)
    assert set(parse_sums(memory.cat_file(f"/second/out/{NAME}"))) == names - {NAME, "notes.txt"}


def test_a_second_export_to_a_folder_touches_only_what_differs(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "there"
    session.export_to(str(out), finished, {})
    (out / "train" / "cat" / "notes.txt").write_text("mine")
    before = stamps(out / "train")
    session.export_to(str(out), finished, {})
    assert stamps(out / "train") == before
    session.export_to(str(out), finished, {"export.to": "webdataset"})
    assert [path.name for path in (out / "train").rglob("*") if path.is_file()] == ["notes.txt"]
    assert set(read_sums(out) or {}) >= {"data/train-00000.tar", "data/classes.json", "manifest.parquet", "README.md"}


def test_an_export_that_was_killed_is_taken_up_again(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "there"
    session.export_to(str(out), finished, {})
    whole = tree(out)
    (out / NAME).rename(out / ".gif-export.jsonl")  # as a kill leaves it: names in a ledger, no sums
    lines = [f'["+", "{name}"]\n' for name in whole if whole[name] and name.startswith("train/")]
    (out / ".gif-export.jsonl").write_text("".join(lines))
    (out / "train" / "cat" / "0.png").unlink()
    session.export_to(str(out), finished, {})
    assert tree(out) == whole


def test_places_that_are_taken_are_refused(finished: Path, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "x").write_text("x")
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/taken/x", b"mine")
    for target in (tmp_path / "mine", photos / "in", finished, finished / "in", "memory://taken", tmp_path / "mine/x"):
        with pytest.raises(UsageError):
            session.export_to(str(target), finished, {})
    with pytest.raises(UsageError, match=r"nosuch://x.*fsspec knows"):
        session.export_to("nosuch://x", finished, {})
    with pytest.raises(EnvironmentFault, match=r"s3://x.*install"):
        session.export_to("s3://x", finished, {})
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["x"]


def test_sums_are_those_of_sha256sum(tmp_path: Path) -> None:
    names = ["a", "b c", "d\\e", "f\ng", "h\\n", "\\"]
    for name in names:
        (tmp_path / name).write_text(name)
    done = subprocess.run(["sha256sum", *sorted(names)], cwd=tmp_path, capture_output=True, check=True)
    sums = parse_sums(done.stdout)
    assert set(sums) == set(names)
    assert render_sums(sums) == done.stdout
    assert io.BytesIO(done.stdout).readline()


def test_files_that_others_have_summed_are_not_ours(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    (tmp_path / NAME).write_bytes(render_sums({"x": "0" * 64}))
    with pytest.raises(UsageError, match="expected an empty folder"):
        session.export_to(str(tmp_path), finished, {})
    assert (tmp_path / "x").is_file()


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x"])
def test_sums_of_files_outside_are_damaged(name: str) -> None:
    with pytest.raises(CheckError):
        parse_sums(render_sums({name: "0" * 64}))
