"""Tars that webdataset and `datasets` read, offline; the same bytes every time, and no file of the user's touched."""

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import pytest
import webdataset
from PIL import Image

from gifcli.errors import UsageError
from gifcli.formats import Count, DatasetInfo, Item, make_format
from gifcli.formats.card import write_card
from gifcli.formats.containers import split_name
from gifcli.formats.webdataset import KEY, WebDataset

Make = Callable[..., Any]
LABELS = ["zebra", "ant", "été"]


@pytest.fixture
def items(make_item: Make) -> list[Item]:
    """Three classes, two splits, two kinds of file, equal names in all classes."""
    made = [
        make_item("a", label, label_id=i, n=i, suffix=[".jpg", ".png", ".webp"][i]) for i, label in enumerate(LABELS)
    ]
    made += [
        make_item(f"a-k{k}", label, label_id=i, n=k, made=True) for k in range(3) for i, label in enumerate(LABELS)
    ]
    return [*made, make_item("a", "ant", split="test", label_id=1, n=7)]


@pytest.fixture
def info(make_info: Make) -> DatasetInfo:
    counts = {"train": dict.fromkeys(LABELS, Count(1, 3)), "test": {"ant": Count(1, 0)}}
    return make_info(LABELS, counts, to="webdataset")


def test_webdataset_reads_every_sample(tmp_path: Path, items: list[Item], info: DatasetInfo) -> None:
    files = WebDataset(max_bytes=20_000).write(iter(items), tmp_path, info, set())[: len(items)]
    tars = sorted(str(path) for path in (tmp_path / "data").glob("train-*.tar"))
    assert len(tars) > 1
    loaded = (
        webdataset.WebDataset(tars, shardshuffle=False, empty_check=False)
        .decode("pil")
        .to_tuple("__key__", "jpg", "cls", "json")
    )
    samples = {key: (image, label, told) for key, image, label, told in loaded}
    assert len(samples) == 12
    for item in items[:12]:
        image, label, told = samples[item.row["key"]]
        with Image.open(io.BytesIO(item.load())) as original:
            assert image.tobytes() == original.convert("RGB").tobytes()
        assert (label, told["label"], told["is_synthetic"]) == (item.label_id, item.label, item.is_synthetic)
        assert told["file_name"] == item.name + item.suffix
    for item, file in zip(items, files, strict=True):
        path, member = split_name(file)
        with tarfile.open(tmp_path / path) as archive:
            content = archive.extractfile(member)
            assert content is not None
            assert content.read() == item.load()


def test_datasets_loads_it_typed(tmp_path: Path, items: list[Item], info: DatasetInfo) -> None:
    WebDataset(max_bytes=20_000).write(iter(items), tmp_path / "out", info, set())
    write_card(tmp_path / "out", info)
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in loaded.items()} == {"train": 12, "test": 1}
    assert loaded["train"].features["cls"].names == LABELS
    ids = {item.row["key"]: item.label_id for item in items}
    for row in loaded["train"]:
        assert row["cls"] == ids[row["__key__"]]
        assert row["jpg"].size == (80, 64)
        assert set(row["json"]) >= {"is_synthetic", "label", "parent_key", "weight"}


def test_tars_are_sorted_timeless_and_the_same_every_time(tmp_path: Path, items: list[Item], info: DatasetInfo) -> None:
    trees = []
    for name, order in (("one", items), ("two", list(reversed(items)))):
        WebDataset(max_bytes=20_000).write(iter(order), tmp_path / name, info, set())
        trees.append({path.name: path.read_bytes() for path in (tmp_path / name / "data").iterdir()})
    assert trees[0] == trees[1]
    assert json.loads(trees[0]["classes.json"])["class_to_idx"] == {"zebra": 0, "ant": 1, "été": 2}
    keys = []
    for name in sorted(trees[0])[2:]:
        with tarfile.open(fileobj=io.BytesIO(trees[0][name])) as archive:
            members = archive.getmembers()
        assert len(trees[0][name]) % 10_240 == 0
        assert [member.name for member in members] == sorted(member.name for member in members)
        assert {(member.mtime, member.uid, member.uname, member.mode) for member in members} == {(0, 0, "", 0o644)}
        keys += [member.name.partition(".")[0] for member in members]
    assert len(keys) == 3 * 12
    assert all(KEY.fullmatch(key) for key in keys)


def test_a_later_export_leaves_nothing_behind_and_the_users_files_alone(
    tmp_path: Path, items: list[Item], info: DatasetInfo
) -> None:
    ledger: set[str] = set()
    WebDataset(max_bytes=20_000).write(iter(items), tmp_path, info, ledger)
    (tmp_path / "data" / "notes.txt").write_text("mine")
    before = (tmp_path / "data" / "test-00000.tar").stat().st_ino
    WebDataset().write(iter(items), tmp_path, info, ledger)
    assert (tmp_path / "data" / "test-00000.tar").stat().st_ino == before
    names = {path.name for path in (tmp_path / "data").iterdir()}
    assert names == {"train-00000.tar", "test-00000.tar", "classes.json", "notes.txt"}
    make_format("imagefolder").write(iter(items), tmp_path, info, ledger)
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("to", ["webdataset", "parquet", "imagefolder"])
@pytest.mark.parametrize("then", ["webdataset", "parquet", "imagefolder"])
def test_an_export_that_died_half_way_ends_as_if_it_had_not(
    tmp_path: Path, items: list[Item], info: DatasetInfo, to: str, then: str
) -> None:
    def dying() -> Iterator[Item]:
        yield from items[:5]
        raise KeyboardInterrupt

    ledger: set[str] = set()
    with pytest.raises(KeyboardInterrupt):
        make_format(to).write(dying(), tmp_path / "out", info, ledger)
    make_format(then).write(iter(items), tmp_path / "out", info, ledger)
    make_format(then).write(iter(items), tmp_path / "whole", info, set())
    one, other = (
        {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name).rglob("*.*")
            if path.is_file()
        }
        for name in ("out", "whole")
    )
    assert one == other


def test_a_users_file_in_its_place_is_not_overwritten(tmp_path: Path, items: list[Item], info: DatasetInfo) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train-00000.tar").write_text("mine")
    with pytest.raises(UsageError, match="move it away"):
        WebDataset().write(iter(items), tmp_path, info, set())
    assert (tmp_path / "data" / "train-00000.tar").read_text() == "mine"
    assert not (tmp_path / "data" / ".export.tmp").exists()


def test_a_key_that_readers_would_cut_is_refused(make_item: Make, info: DatasetInfo, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"found 'a.b'"):
        WebDataset().write(iter([make_item("x", "ant", row=1, key="a.b")]), tmp_path, info, set())
