"""Parquet that `datasets` loads typed, offline, and that plain pyarrow reads; one schema over all shards."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq
import pytest
from PIL import Image

from gifcli.formats import Count, DatasetInfo, Item
from gifcli.formats.card import write_card
from gifcli.formats.containers import split_name
from gifcli.formats.parquet import Parquet

Make = Callable[..., Any]
LABELS = ["zebra", "on", "007"]


@pytest.fixture
def items(make_item: Make) -> list[Item]:
    made = [
        make_item("a", label, label_id=i, n=i, suffix=[".jpg", ".png", ".webp"][i]) for i, label in enumerate(LABELS)
    ]
    made += [
        make_item(f"a-k{k}", label, label_id=i, n=k, made=True) for k in range(3) for i, label in enumerate(LABELS)
    ]
    return [*made, make_item("bad\udcff", "on", split="test", label_id=1, n=7, parent_path="on/bad\udcff.jpg")]


@pytest.fixture
def info(make_info: Make) -> DatasetInfo:
    counts = {"train": dict.fromkeys(LABELS, Count(1, 3)), "test": {"on": Count(1, 0)}}
    return make_info(LABELS, counts, to="parquet")


@pytest.mark.parametrize("card", [True, False])
def test_datasets_loads_it_typed_with_or_without_the_card(
    tmp_path: Path, items: list[Item], info: DatasetInfo, card: bool
) -> None:
    Parquet(max_bytes=20_000).write(iter(items), tmp_path / "out", info, set())
    if card:
        write_card(tmp_path / "out", info)
        (tmp_path / "out" / "manifest.parquet").write_bytes(b"not a part of it")
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in loaded.items()} == {"train": 12, "test": 1}
    assert loaded["train"].features["label"].names == LABELS
    assert isinstance(loaded["train"].features["image"], datasets.Image)
    for item, row in zip(items, loaded["train"], strict=False):
        with Image.open(io.BytesIO(item.load())) as original:
            assert row["image"].convert("RGB").tobytes() == original.convert("RGB").tobytes()
        assert (row["label"], row["is_synthetic"], row["key"]) == (item.label_id, item.is_synthetic, item.row["key"])


def test_every_shard_has_the_same_schema_and_the_named_rows(
    tmp_path: Path, items: list[Item], info: DatasetInfo
) -> None:
    files = Parquet(max_bytes=20_000).write(iter(items), tmp_path, info, set())
    shards = sorted((tmp_path / "data").glob("*.parquet"))
    assert len(shards) > 2
    assert len({pq.read_schema(path).serialize().to_pybytes() for path in shards}) == 1
    for item, file in zip(items, files, strict=False):
        path, row = split_name(file)
        image = pq.read_table(tmp_path / path)["image"][int(row or 0)].as_py()
        assert image["bytes"] == item.load()
    assert sorted(files[len(items) :]) == [path.relative_to(tmp_path).as_posix() for path in shards]
    assert pq.read_table(shards[0], columns=["parent_path"])["parent_path"][0].as_py() == "on/bad\ufffd.jpg"


def test_same_items_same_bytes(tmp_path: Path, items: list[Item], info: DatasetInfo) -> None:
    for name in ("one", "two"):
        Parquet(max_bytes=20_000).write(iter(items), tmp_path / name, info, set())
    one, two = (
        {path.name: path.read_bytes() for path in (tmp_path / name / "data").iterdir()} for name in ("one", "two")
    )
    assert one == two


def test_fewer_shards_replace_more(tmp_path: Path, items: list[Item], info: DatasetInfo) -> None:
    ledger: set[str] = set()
    Parquet(max_bytes=20_000).write(iter(items), tmp_path, info, ledger)
    Parquet().write(iter(items), tmp_path, info, ledger)
    assert {path.name for path in (tmp_path / "data").iterdir()} == {
        "train-00000-of-00001.parquet",
        "test-00000-of-00001.parquet",
    }


def test_several_labels_are_a_list(tmp_path: Path, make_item: Make, make_info: Make) -> None:
    info = make_info(["cat", "cat+dog"], to="parquet", joined=True)
    items = [make_item("a", "cat"), make_item("b", "cat+dog", label_id=1)]
    Parquet().write(iter(items), tmp_path / "out", info, set())
    write_card(tmp_path / "out", info)
    loaded = datasets.load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded["labels"][:] == [["cat"], ["cat", "dog"]]
