"""The manifest reads the same in pyarrow, pandas and `datasets`."""

from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from gifcli.formats.manifest import ROW_GROUP, read_class_to_idx, write_manifest

DESIGNED = """key file label label_id split is_synthetic parent_key parent_sha256 parent_path k attempt rng prompt prior
revision lora lora_scale lora_revision dtype steps strength guidance_scale z b scores_start scores_end label_prob nn_seed
nn_set nn_prior phash safety verdict reason
weight soft_label width height sha256 fingerprint""".split()  # noqa: SIM905 - as DESIGN lists them


def row(i: int, **more: Any) -> dict[str, Any]:
    scores = {"consistency": np.float32(0.5), "entropy": -0.25}
    noise = np.arange(4, dtype=np.float32).reshape(4, 1, 1) + i
    made = {"k": i, "attempt": 0, "rng": 2**40, "z": noise, "b": -noise, "scores_start": scores, "scores_end": scores}
    return (
        {"key": f"{i:016x}", "label": "cat", "label_id": 0, "is_synthetic": True, "width": np.int64(64)} | made | more
    )


def test_columns_are_the_designed_ones_in_order(tmp_path: Path) -> None:
    write_manifest([], tmp_path / "m.parquet", ["cat"])
    assert pq.read_schema(tmp_path / "m.parquet").names == DESIGNED


def test_values_come_back_in_pandas_and_datasets(tmp_path: Path) -> None:
    path = tmp_path / "m.parquet"
    original = {"key": "o", "label": "007", "label_id": 1, "is_synthetic": False, "parent_path": "a\udcff.jpg"}
    assert (
        write_manifest(
            [row(0), row(1, soft_label=[0.3, 0.7], phash=np.uint64(2**63 + 10)), original], path, ["cat", "007"]
        )
        == 3
    )
    frame = pd.read_parquet(path)
    assert frame["is_synthetic"].tolist() == [True, True, False]
    assert frame["z"][1].tolist() == [1, 2, 3, 4]
    assert frame["phash"][1] == "800000000000000a"
    assert frame["scores_end"][0] == {"consistency": 0.5, "entropy": -0.25, "diversity": None, "total": None}
    loaded = datasets.load_dataset("parquet", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded[1]["b"] == [-1, -2, -3, -4]
    assert loaded[1]["soft_label"] == pytest.approx([0.3, 0.7])
    assert loaded[2]["parent_path"] == "a\ufffd.jpg"
    assert loaded[2]["scores_start"] is None or set(loaded[2]["scores_start"].values()) == {None}


@pytest.mark.parametrize("classes", [["b", "a", "c"], ["on", "007", "🐈", 'q"uote']])
def test_class_order_is_proved_by_the_file(tmp_path: Path, classes: list[str]) -> None:
    write_manifest([row(0)], tmp_path / "m.parquet", classes)
    assert list(read_class_to_idx(tmp_path / "m.parquet").items()) == [(label, i) for i, label in enumerate(classes)]


def test_same_rows_same_bytes_in_several_groups(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_manifest((row(i) for i in range(2 * ROW_GROUP + 1)), tmp_path / name, ["cat"])
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert pq.ParquetFile(tmp_path / "one").num_row_groups == 3


def test_a_guide_of_another_name_adds_its_field(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such score in scores_end: style"):
        write_manifest([row(0, scores_end={"style": 1.0})], tmp_path / "m.parquet", ["cat"])
    write_manifest([row(0, scores_end={"style": 1.0})], tmp_path / "m.parquet", ["cat"], ["style"])
    assert pq.read_table(tmp_path / "m.parquet")["scores_end"][0]["style"].as_py() == 1.0


def test_a_failed_write_leaves_the_old_manifest(tmp_path: Path) -> None:
    path = tmp_path / "m.parquet"
    write_manifest([row(0)], path, ["cat"])
    before = path.read_bytes()
    with pytest.raises(ValueError, match="no such column: colour"):
        write_manifest([row(0), row(1, colour="red")], path, ["cat"])
    assert path.read_bytes() == before
