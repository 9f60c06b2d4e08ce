"""The card makes `datasets.load_dataset(folder)` right, offline, whatever the classes are called."""

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest
import yaml
from PIL import Image

from gifcli.formats import Count, DatasetInfo, Item
from gifcli.formats.card import render_card, write_card
from gifcli.formats.imagefolder import ImageFolder

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
        ["cat", "do|g"], counts, missing={"cat": 0, "do|g": 1}, limits=("Mirrored text.",), recipe="a: 1\n```\n"
    )
    card = render_card(info)
    for line in (
        "9 original images of photos, expanded with 21 generated ones",
        "| cat | cat | 3 | 12 | 15 |",
        "| do\\|g | do\\|g | 2 | 9 | 11 |",
        "| do\\|g | 1 |",
        "8 images were generated; 5 were kept (62%).",
        "| label | 2 |",
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
