"""Tars, Parquet files and label files as a source: what was exported comes back, in the same order of classes."""

import csv
import io
import json
import shutil
import tarfile
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from archive_files import write_parquet, write_tars
from gifcli import session
from gifcli.errors import InputError
from gifcli.sources.source import Scan, scan
from gifcli.sources.unpacking import unpack
from runs import tiny, tree


def read(source: Path, tmp_path: Path, **more: Path) -> Scan:
    """The scan of a source, unpacked where that is needed."""
    return scan(unpack(source, tmp_path / "unpacked"), **more)


def contents(found: Scan) -> set[tuple[str, str, str]]:
    return {(source.sha256, source.label, source.split) for source in found.sources}


def picture(n: int, form: str = "PNG") -> bytes:
    """A small image file unlike any other of these tests."""
    buffer = io.BytesIO()
    noise = np.random.default_rng(n).integers(0, 255, (8, 8, 3), np.uint8)
    Image.fromarray(noise).resize((48, 40)).save(buffer, form)
    return buffer.getvalue()


@pytest.fixture
def split_photos(tmp_path: Path) -> Path:
    """Two splits, three classes, equal names in all."""
    folder = tmp_path / "photos"
    for n, place in enumerate(("train/ant", "train/bee", "train/cat fish", "test/ant", "val/bee")):
        (folder / place).mkdir(parents=True)
        for k, suffix in enumerate((".png", ".jpg")):
            (folder / place / f"{k}{suffix}").write_bytes(picture(10 * n + k, "PNG" if suffix == ".png" else "JPEG"))
    return folder


@pytest.mark.parametrize("to", ["imagefolder", "webdataset", "parquet"])
def test_what_was_exported_comes_back(reference: Path, finished: Path, tmp_path: Path, to: str) -> None:
    session.export_to(str(tmp_path / "there"), finished, {"export.to": to})
    rows = pq.read_table(reference / "manifest.parquet").to_pylist()
    exported = {(row["sha256"], row["label"], row["split"]) for row in rows if row["file"]}
    found = read(tmp_path / "there", tmp_path)
    assert contents(found) == exported
    assert list(found.classes) == ["brick", "cat", "coffee"]
    assert found.failures == []
    assert any("24 of 36 images" in warning for warning in found.warnings)


@pytest.mark.parametrize("to", ["webdataset", "parquet"])
def test_an_archive_is_expanded_as_its_folder_is(photos: Path, reference: Path, tmp_path: Path, to: str) -> None:
    make = {"webdataset": write_tars, "parquet": write_parquet}[to]
    make(photos, tmp_path / "packed", "train")
    session.expand(tmp_path / "packed", tmp_path / "out", tiny())
    rows, expected = (
        {
            row["key"]: (row["sha256"], row["verdict"], row["label_id"])
            for row in pq.read_table(root / "manifest.parquet").to_pylist()
        }
        for root in (tmp_path / "out", reference)
    )
    assert rows == expected
    before = tree(tmp_path / "out")
    session.run_stage("export", tmp_path / "out", {})
    assert tree(tmp_path / "out") == before


@pytest.mark.parametrize("to", ["webdataset", "parquet"])
def test_splits_are_told_by_names(split_photos: Path, tmp_path: Path, to: str) -> None:
    for split in ("train", "test", "val"):
        {"webdataset": write_tars, "parquet": write_parquet}[to](split_photos / split, tmp_path / split, split)
        (tmp_path / "all" / "data").mkdir(parents=True, exist_ok=True)
        for path in (tmp_path / split).glob("*-0*"):
            shutil.move(path, tmp_path / "all" / "data")
        if split == "train" and to == "webdataset":
            shutil.move(tmp_path / split / "classes.json", tmp_path / "all" / "data")
    found = read(tmp_path / "all", tmp_path)
    folder = scan(split_photos)
    assert found.splits == ["train", "test", "val"]
    if to == "parquet":  # the others' tars have ids of their own
        assert contents(found) == contents(folder)
    assert list(found.classes) == list(folder.classes)


def test_the_order_of_classes_is_that_of_the_file(tmp_path: Path) -> None:
    names = ["zebra", "ant", "nothing", "bee"]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=names)})
    rows = {"image": [{"bytes": picture(n), "path": None} for n in range(6)], "label": [0, 1, 3] * 2}
    datasets.Dataset.from_dict(rows, features).to_parquet(str(tmp_path / "pets.parquet"))
    found = read(tmp_path / "pets.parquet", tmp_path)
    assert list(found.classes) == ["zebra", "ant", "bee"]
    assert any("left out" in warning and "nothing" in warning for warning in found.warnings)
    assert session.default_output(tmp_path / "pets.parquet", tiny()) == tmp_path / "pets-2x"


def test_a_tar_of_class_folders_and_one_without_labels(split_photos: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        tar.add(split_photos / "train", "./photos")
    found = read(tmp_path / "a.tar.gz", tmp_path)
    assert list(found.classes) == ["ant", "bee", "cat fish"]
    with tarfile.open(tmp_path / "b.tar", "w") as tar:
        tar.add(split_photos / "train" / "ant" / "0.png", "0.png")
    found = scan(unpack(tmp_path / "b.tar", tmp_path / "b"))
    assert list(found.classes) == ["b"]


def test_several_labels_are_joined_whatever_says_so(tmp_path: Path) -> None:
    labels = [["cat"], ["dog", "cat"], ["dog"], []]
    folder = tmp_path / "folder"
    folder.mkdir()
    for n, several in enumerate(labels):
        (folder / f"{n}.png").write_bytes(picture(n))
        with (folder / "metadata.jsonl").open("a") as lines:
            lines.write(json.dumps({"file_name": f"{n}.png", "labels": several}) + "\n")
    names = datasets.List(datasets.ClassLabel(names=["cat", "dog"]))
    rows = {
        "image": [{"bytes": picture(n), "path": f"{n}.png"} for n in range(4)],
        "labels": [[["cat", "dog"].index(label) for label in several] for several in labels],
    }
    features = datasets.Features({"image": datasets.Image(), "labels": names})
    datasets.Dataset.from_dict(rows, features).to_parquet(str(tmp_path / "x.parquet"))
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        for n, several in enumerate(labels):
            for suffix, data in (("png", picture(n)), ("json", json.dumps({"labels": several}).encode())):
                head = tarfile.TarInfo(f"{n}.{suffix}")
                head.size = len(data)
                tar.addfile(head, io.BytesIO(data))
    hot = tmp_path / "hot.csv"
    hot.write_text("image_id,cat,dog\n0,1,0\n1,1,1\n2,0,1\n3,0,0\n")
    lines = tmp_path / "lines.csv"
    lines.write_text("filename,class\n0.png,cat\n1.png,dog|cat\n2.png,dog\n")
    sources = [(folder, {}), (tmp_path / "x.parquet", {}), (tmp_path / "x.tar", {}), (folder, {"labels_file": hot})]
    for n, (source, more) in enumerate(sources):
        found = scan(unpack(source, tmp_path / f"to{n}"), **more)
        assert found.joined
        assert found.classes == {"cat": "cat", "cat+dog": "cat and dog", "dog": "dog", "unlabelled": "unlabelled"}
    found = scan(folder, labels_file=lines)
    assert list(found.classes) == ["cat", "cat+dog", "dog"]


def test_a_run_on_several_labels_keeps_them(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "flat").mkdir()
    lines = []
    for path in sorted(photos.rglob("*.png")):
        name = f"{path.parent.name}-{path.name}"
        shutil.copy(path, tmp_path / "flat" / name)
        lines.append({"file_name": name, "labels": ["cat", "pet"] if path.parent.name == "cat" else [path.parent.name]})
    (tmp_path / "flat" / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    session.expand(tmp_path / "flat", tmp_path / "out", tiny(ratio=0.5))
    loaded = datasets.load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded.features["label"].names == ["brick", "cat+pet", "coffee"]
    assert {tuple(row) for row in loaded["labels"]} == {("brick",), ("cat", "pet"), ("coffee",)}
    session.export_to(str(tmp_path / "there"), tmp_path / "out", {"export.to": "webdataset"})
    again = read(tmp_path / "there", tmp_path)
    assert again.joined
    assert list(again.classes.values()) == ["brick", "cat and pet", "coffee"]


def test_a_csv_in_the_folder_labels_it(split_photos: Path, tmp_path: Path) -> None:
    train = split_photos / "train"
    rows = [(path.relative_to(train).as_posix(), path.parent.name[:1]) for path in sorted(train.rglob("*.*"))]
    with (train / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *rows[:-1], ("gone.png", "a"), ("ant/0.png", "a")])
    found = scan(train)
    assert list(found.classes) == ["a", "b", "c"]
    assert [(failure.path, failure.reason) for failure in found.failures] == [
        ("gone.png", "labels.csv lists it, but it is not there")
    ]
    assert len(found.sources) == 5  # the unlisted one is left alone


def test_metadata_in_each_split_labels_it(split_photos: Path) -> None:
    for split in ("train", "test", "val"):
        rows = [
            {"file_name": path.relative_to(split_photos / split).as_posix(), "label": path.parent.name.upper()}
            for path in sorted((split_photos / split).rglob("*.*"))
        ]
        (split_photos / split / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = scan(split_photos)
    assert list(found.classes) == ["ANT", "BEE", "CAT FISH"]
    assert found.splits == ["train", "test", "val"]


def test_metadata_without_labels_leaves_the_folders_theirs(split_photos: Path) -> None:
    rows = [{"file_name": "ant/0.png", "caption": "an ant"}]
    (split_photos / "train" / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert list(scan(split_photos).classes) == ["ant", "bee", "cat fish"]


def test_it_is_unpacked_once_and_again_when_the_archive_changes(photos: Path, tmp_path: Path) -> None:
    write_parquet(photos, tmp_path / "packed", "train")
    into = tmp_path / "into"
    unpack(tmp_path / "packed", into)
    one = next(into.rglob("*.png"))
    inode = one.stat().st_ino
    unpack(tmp_path / "packed", into)
    assert one.stat().st_ino == inode
    path = next((tmp_path / "packed").iterdir())
    table = pq.read_table(path)
    pq.write_table(table.slice(0, 5), path)
    unpack(tmp_path / "packed", into)
    assert len(list(into.rglob("*.png"))) == 5
    assert not any(path.name.startswith(".labels") and path.stat().st_size == 0 for path in into.iterdir())


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.tar", b"no tar at all", "readable archive"),
        ("a.tar", b"\0" * 10240, "found none"),
        ("labels.csv", b"a,b\n1,2\n", "column of file names"),
        ("labels.jsonl", b"{", "cannot be read"),
    ],
)
def test_what_is_no_archive_or_table_is_said(
    tmp_path: Path, split_photos: Path, name: str, data: bytes, says: str
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=says):
        read(tmp_path / name, tmp_path) if name.endswith(".tar") else scan(split_photos, labels_file=tmp_path / name)


def test_images_without_bytes_or_label_are_failures(tmp_path: Path) -> None:
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = [
        {"bytes": picture(0), "path": "a.png"},
        {"bytes": None, "path": "b.png"},
        {"bytes": b"<html>", "path": "c.png"},
    ]
    table = pa.table({"image": pa.array(rows, image), "label": ["x", "x", "x"]})
    pq.write_table(table, tmp_path / "a.parquet")
    found = read(tmp_path / "a.parquet", tmp_path)
    assert [(failure.path, failure.reason) for failure in found.failures] == [
        ("a.parquet/b.png", "the archive holds no bytes of it")
    ]
    assert len(found.sources) == 2  # what cannot be decoded is found in extract
