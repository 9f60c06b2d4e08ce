"""The card makes `datasets.load_dataset(folder)` right, offline, whatever the classes are called."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from gifcli import session
from gifcli.checks import NAMES
from gifcli.formats import Count, DatasetInfo, Item
from gifcli.formats.card import REJECTS, render_card, write_card
from gifcli.formats.imagefolder import ImageFolder
from runs import tiny

Make = Callable[..., Any]
MANGLED = [
    "on",
    "no",
    "1e3",
    "007",
    "null",
    "a: b",
    "🐈",
    "-x",
    "~",
    "#tag",
    "1_000",
    "0x1F",
    "y|n",
    " lead",
    "'q'",
    'd"q',
]
DATES = ["2024-01-31", "2024-02-01 10:00:00"]


def load(folder: Path, cache: Path) -> datasets.DatasetDict:
    return datasets.load_dataset(str(folder), cache_dir=str(cache))


def export(dest: Path, items: list[Item], info: DatasetInfo) -> None:
    ImageFolder().write(iter(items), dest, info, set())
    write_card(dest, info)
    (dest / "manifest.parquet").write_bytes(b"not images")
    (dest / "report").mkdir()
    (dest / "report" / "cat.jpg").write_bytes(items[0].load())


@pytest.mark.parametrize("names", [MANGLED, DATES, [*DATES, "cat"], ["only"]], ids=["yaml", "dates", "date", "one"])
def test_load_dataset_gives_names_order_and_counts(
    tmp_path: Path, make_item: Make, make_info: Make, names: list[str]
) -> None:
    labels = names[::-1]  # an order that sorting would not give
    items = [make_item("o", label, label_id=i, n=i) for i, label in enumerate(labels)]
    items += [make_item("o-k0", label, label_id=i, n=i + 1, made=True) for i, label in enumerate(labels)]
    items += [
        make_item("v", labels[0], split="val", n=5),
        make_item("t", labels[-1], split="test", label_id=len(labels) - 1),
    ]
    counts = {
        "train": dict.fromkeys(labels, Count(1, 1)),
        "val": {labels[0]: Count(1, 0)},
        "test": {labels[-1]: Count(1, 0)},
    }
    export(tmp_path / "out", items, make_info(labels, counts))
    dataset = load(tmp_path / "out", tmp_path / "cache")
    assert {split: len(rows) for split, rows in dataset.items()} == {"train": 2 * len(labels), "val": 1, "test": 1}
    for split, rows in dataset.items():
        assert rows.features["label"].names == labels
        expected = [item for item in items if item.split == split]
        assert rows["label"][:] == [item.label_id for item in expected]
        assert rows["is_synthetic"][:] == [item.is_synthetic for item in expected]
        for item, row in zip(expected, rows, strict=True):
            with Image.open(io.BytesIO(item.load())) as image:
                assert row["image"].convert("RGB").tobytes() == image.convert("RGB").tobytes()


def test_it_loads_with_no_network_allowed(tmp_path: Path, make_item: Make, make_info: Make) -> None:
    export(tmp_path / "out", [make_item("a"), make_item("b", "dog", label_id=1)], make_info(["cat", "dog"]))
    code = f"import datasets; d = datasets.load_dataset({str(tmp_path / 'out')!r}); print(d['train'].features['label'].names)"
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | offline, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip().splitlines()[-1] == "['cat', 'dog']"


def test_the_header_reads_the_same_under_newer_yaml(make_info: Make) -> None:
    card = render_card(make_info(MANGLED))
    plain = [label for label in MANGLED if label.isascii() and '"' not in label]
    assert all(f': "{label}"\n' in card for label in plain)  # quoted: YAML 1.2 readers (the hub) see text as well
    header = yaml.safe_load(card.split("---\n")[1])
    names = header["dataset_info"]["features"][1]["dtype"]["class_label"]["names"]
    assert [names[str(i)] for i in range(len(MANGLED))] == MANGLED
    assert header["configs"][0]["data_files"] == [{"split": "train", "path": "train/**"}]


def test_an_unknown_licence_is_said_and_never_guessed(make_info: Make) -> None:
    unknown, stated, own = (render_card(make_info(["a"], licence=x)) for x in ("unknown", "cc-by-4.0", "Own: mine #1"))
    assert "license: unknown" in unknown
    assert "Licence unknown" in unknown
    assert "license: cc-by-4.0" in stated
    assert "Licence unknown" not in stated
    assert yaml.safe_load(own.split("---\n")[1])["license_name"] == "Own: mine #1"


def test_the_text_tells_counts_rejects_models_recipe_and_limits(make_info: Make) -> None:
    counts = {"train": {"cat": Count(3, 12), "do|g": Count(2, 9)}, "test": {"cat": Count(4, 0)}}
    info = make_info(
        ["cat", "do|g"],
        counts,
        missing={"cat": 0, "do|g": 1},
        limits=("Mirrored text.",),
        nearness=("Near nothing.",),
        recipe="a: 1\n```\n",
    )
    card = render_card(info)
    for line in (
        "9 original images of photos, expanded with 21 generated ones",
        "| cat | cat | 3 | 12 | 15 |",
        "| do\\|g | do\\|g | 2 | 9 | 11 |",
        "| do\\|g | 1 |",
        "8 images were generated; 5 were kept (62%).",
        "| label | no longer recognised as its class | 2 |",
        "Balance of train, the largest class over the smallest: 1.5 before, 1.4 with the generated images",
        "- Near nothing.",
        "| encoder (guided and checked them) | embedded | aaaaaaaaaaaaaaaa | Apache-2.0 |",
        "- Mirrored text.",
        "````yaml\na: 1\n```\n````",
    ):
        assert line in card
    assert card == render_card(info)


def test_writing_it_again_touches_nothing(tmp_path: Path, make_info: Make) -> None:
    assert write_card(tmp_path, make_info(["a"])) == "README.md"
    before = (tmp_path / "README.md").stat().st_ino
    write_card(tmp_path, make_info(["a"]))
    assert (tmp_path / "README.md").stat().st_ino == before
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]


def test_balance_is_said_only_where_something_was_added(make_info: Make) -> None:
    counts = {"train": {"a": Count(8, 0), "b": Count(2, 6)}, "test": {"a": Count(8, 0), "b": Count(2, 0)}}
    card = render_card(make_info(["a", "b"], counts))
    assert "Balance of train, the largest class over the smallest: 4.0 before, 1.0 with the generated images" in card
    assert "Balance of test" not in card


def test_every_check_says_what_it_rejects() -> None:
    assert set(REJECTS) == set(NAMES)


def test_the_counts_of_a_real_export_are_those_of_its_files(photos: Path, tmp_path: Path) -> None:
    """Nine seeds in three classes of unlike sizes, a holdout, a test split and a file that cannot be read."""
    source, root = tmp_path / "photos", tmp_path / "out"
    for path in [path for path in photos.rglob("*.png") if path.stem != "3" or path.parent.name != "cat"]:
        split = "test" if path.stem == "0" else "train"
        (source / split / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, source / split / path.parent.name)
    (source / "train" / "cat" / "torn.png").write_bytes((photos / "cat" / "1.png").read_bytes()[:500])
    recipe = tiny(
        per_class=5, ratio=None, checks__unchanged__max_similarity=0.7, max_attempts=2, input__max_failures=0.5
    )
    session.expand(source, root, recipe)
    card = (root / "README.md").read_text("utf-8")
    told = {
        (split, row[0]): tuple(int(cell) for cell in row[2:])
        for split, table in re.findall(r"^### (\w+)\n\n((?:\|.*\n)+)", card, re.MULTILINE)
        for row in [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    }
    rows = pq.read_table(root / "manifest.parquet").to_pylist()
    for split in ("train", "test"):
        lines = [json.loads(line) for line in (root / split / "metadata.jsonl").read_text("utf-8").splitlines()]
        for label in ("brick", "cat", "coffee"):
            files = [path.name for path in (root / split / label).iterdir()]
            made = [line for line in lines if line["label"] == label and line["is_synthetic"]]
            assert told[split, label] == (len(files) - len(made), len(made), len(files))
            assert len(files) == sum(
                row["file"] is not None and (row["split"], row["label"]) == (split, label) for row in rows
            )
    judged = [row for row in rows if row["is_synthetic"]]
    rejected = Counter(row["reason"].partition(":")[0] for row in judged if row["verdict"] == "rejected")
    assert rejected
    kept = len(judged) - rejected.total()
    assert f"{len(judged)} images were generated; {kept} {'was' if kept == 1 else 'were'} kept" in card
    assert dict(re.findall(r"^\| (\w+) \| [^|]+ \| (\d+) \|$", card, re.MULTILINE)) == {
        k: str(n) for k, n in rejected.items()
    }
    held = [
        f"| {label} | {5 - told['train', label][2]} |"
        for label in ("brick", "cat", "coffee")
        if told["train", label][2] < 5
    ]
    assert all(line in card for line in held)
    assert "1 source file could not be used." in card
