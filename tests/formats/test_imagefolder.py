"""The tree that export leaves: complete, minimal, and never at the expense of the user's files."""

import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchvision

import gifcli
from gifcli.errors import UsageError
from gifcli.formats import Item, make_format
from gifcli.formats.imagefolder import ImageFolder
from gifcli.formats.ledger import FileLedger

Make = Callable[..., Any]


def tree(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def metadata(root: Path, split: str = "train") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (root / split / "metadata.jsonl").read_text("utf-8").splitlines()]


def test_every_item_is_a_file_and_a_line(tmp_path: Path, make_item: Make, make_info: Make) -> None:
    items = [
        make_item("a"),
        make_item("a-k0", made=True, n=1, weight=0.5),
        make_item("b", "dog", split="test", label_id=1),
    ]
    written = make_format("imagefolder").write(iter(items), tmp_path, make_info(["cat", "dog"]), set())
    images = ["train/cat/a.jpg", "train/cat/a-k0.jpg", "test/dog/b.jpg"]
    assert written == [*images, "test/metadata.jsonl", "train/metadata.jsonl"]
    assert sorted(written) == list(tree(tmp_path))
    assert (tmp_path / "train/cat/a.jpg").read_bytes() == items[0].load()
    first, second = metadata(tmp_path)
    assert first == {
        "file_name": "cat/a.jpg",
        "label": "cat",
        "is_synthetic": False,
        "key": items[0].row["key"],
        "parent_key": items[0].row["key"],
        "parent_path": "cat/a.jpg",
        "prior": "",
        "weight": 1.0,
    }
    assert (second["is_synthetic"], second["weight"], second["prior"]) == (True, 0.5, "x")
    assert not any(value is None for line in metadata(tmp_path) + metadata(tmp_path, "test") for value in line.values())


def test_torchvision_sees_the_same_classes(tmp_path: Path, make_item: Make, make_info: Make) -> None:
    labels = ["Zebra", "ant", "été", "🐈"]
    items = [make_item("x", label, n=i) for i, label in enumerate(labels)]
    ImageFolder().write(iter(items), tmp_path, make_info(labels), set())
    assert torchvision.datasets.ImageFolder(str(tmp_path / "train")).classes == labels


def test_names_that_some_disk_takes_for_one_are_kept_apart(tmp_path: Path, make_item: Make, make_info: Make) -> None:
    names = [("a", ".jpg"), ("A", ".jpg"), ("a", ".png"), ("é", ".jpg"), ("e\u0301", ".jpg"), ("straße", ".jpg")]
    names += [
        ("STRASSE", ".jpg"),
        ("-rf", ".jpg"),
        (" ", ".jpg"),
        ("x\ny", ".jpg"),
        ("b\\c", ".jpg"),
        ("ÿ" * 120, ".jpg"),
    ]
    names += [("n" * 251, ".jpg"), ("n" * 260, ".jpg"), ("bad\udcff", ".jpg"), ("🐈", ".webp")]
    items = [make_item(name, suffix=suffix, n=i) for i, (name, suffix) in enumerate(names)]
    written = ImageFolder().write(iter(items), tmp_path, make_info(["cat"]), set())
    assert len(written) == len({name.casefold() for name in written}) == len(items) + 1
    for item, line in zip(items, metadata(tmp_path), strict=True):
        assert (tmp_path / "train" / line["file_name"]).read_bytes() == item.load()
    plain = [line["file_name"].removeprefix("cat/") for line in metadata(tmp_path)]
    assert plain[:4] == ["a.jpg", f"A-{items[1].row['key']}.jpg", "a.png", "é.jpg"]


def test_labels_that_some_disk_takes_for_one_get_folders_of_their_own(
    tmp_path: Path, make_item: Make, make_info: Make
) -> None:
    labels = ["Cat", "cat", "metadata.jsonl"]
    written = ImageFolder().write((make_item("x", label) for label in labels), tmp_path, make_info(labels), set())
    assert written == ["train/Cat/x.jpg", "train/cat-2/x.jpg", "train/metadata.jsonl-2/x.jpg", "train/metadata.jsonl"]
    assert [line["label"] for line in metadata(tmp_path)] == labels


def test_what_did_not_change_is_not_touched(tmp_path: Path, make_item: Make, make_info: Make) -> None:
    ledger: set[str] = set()
    items = [make_item("a"), make_item("b", n=1)]
    ImageFolder().write(iter(items), tmp_path, make_info(["cat"]), ledger)
    before = {name: (tmp_path / name).stat().st_ino for name in ledger}
    ImageFolder().write(iter([items[0], make_item("b", n=2)]), tmp_path, make_info(["cat"]), ledger)
    after = {name: (tmp_path / name).stat().st_ino for name in ledger}
    assert {name for name in after if after[name] != before[name]} == {"train/cat/b.jpg"}


def test_what_is_no_longer_listed_goes_and_the_users_files_stay(
    tmp_path: Path, make_item: Make, make_info: Make
) -> None:
    ledger: set[str] = set()
    items = [make_item("a"), make_item("b", n=1), make_item("c", "dog"), make_item("d", split="test")]
    ImageFolder().write(iter(items), tmp_path, make_info(["cat", "dog"]), ledger)
    (tmp_path / "train/cat/notes.txt").write_text("mine")
    (tmp_path / "train/cat/e.jpg").write_bytes(b"mine too")
    again = [make_item("b", n=1), make_item("e", n=3)]
    written = ImageFolder().write(iter(again), tmp_path, make_info(["cat"]), ledger)
    beside = f"train/cat/e-{again[1].row['key']}.jpg"
    assert written == ["train/cat/b.jpg", beside, "train/metadata.jsonl"]
    assert ledger == set(written)
    assert list(tree(tmp_path)) == sorted([*written, "train/cat/e.jpg", "train/cat/notes.txt"])
    assert (tmp_path / "train/cat/e.jpg").read_bytes() == b"mine too"
    assert not (tmp_path / "test").exists()


class Killed(BaseException):
    """Stands for the end of the process."""


def test_a_run_that_died_half_way_ends_as_if_it_had_not(tmp_path: Path, make_item: Make, make_info: Make) -> None:
    old = [make_item(name, n=i) for i, name in enumerate("abcd")] + [make_item("t", split="test")]
    new = [make_item(name, n=i + 3) for i, name in enumerate("bcdef")]
    info = make_info(["cat"])

    def dying(items: list[Item], after: int) -> Iterator[Item]:
        yield from items[:after]
        raise Killed

    clean = tmp_path / "clean"
    ImageFolder().write(iter(new), clean, info, set())
    for after in range(len(new) + 1):
        dest = tmp_path / str(after)
        state = tmp_path / f"{after}.ledger"
        with FileLedger(state) as ledger:
            ImageFolder().write(iter(old), dest, info, ledger)
        ledger = FileLedger(state)
        with pytest.raises(Killed):
            ImageFolder().write(dying(new, after), dest, info, ledger)
        (dest / "train/.export.tmp").write_bytes(b"half")
        (dest / "test/metadata.jsonl.tmp").write_bytes(b"half")
        with FileLedger(state) as ledger:
            ImageFolder().write(iter(new), dest, info, ledger)
        assert tree(dest) == tree(clean)


def test_memory_does_not_grow_with_the_images(tmp_path: Path, make_info: Make) -> None:
    def items(count: int) -> Iterator[Item]:
        for i in range(count):
            row = {"key": f"{i:016x}"}
            yield Item(f"{i}", ".png", "train", "cat", 0, False, lambda: np.full(1_000_000, 7, np.uint8).tobytes(), row)

    peaks = []
    for count in (4, 40):
        tracemalloc.start()
        ImageFolder().write(items(count), tmp_path / str(count), make_info(["cat"]), set())
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]


@pytest.mark.skipif(os.name != "posix", reason="links")
def test_a_path_that_leads_out_is_never_removed(tmp_path: Path, make_item: Make, make_info: Make) -> None:
    outside = tmp_path / "precious.jpg"
    outside.write_bytes(b"mine")
    ledger = {"../precious.jpg"}
    ImageFolder().write(iter([make_item("a")]), tmp_path / "out", make_info(["cat"]), ledger)
    assert outside.read_bytes() == b"mine"


def test_nothing_that_starts_the_program_loads_torch() -> None:
    modules = (
        "gifcli.formats.imagefolder gifcli.formats.card gifcli.formats.manifest gifcli.report.page gifcli.images.marks"
    )
    code = f"import sys, {modules.replace(' ', ', ')}; sys.exit('torch' in sys.modules)"
    source = str(Path(gifcli.__file__).parents[1])
    subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": source}, check=True)


def test_an_unknown_format_is_refused_with_the_list() -> None:
    with pytest.raises(UsageError, match="expected one of imagefolder, webdataset, parquet; found 'tfrecord'"):
        make_format("tfrecord")
