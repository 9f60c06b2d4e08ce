"""Whole runs of sources of every shape, and of every way to say how many images are wanted."""

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

from gifcli import session
from gifcli.errors import InputError, RecipeError, ShortfallError, UsageError
from gifcli.state import packing
from gifcli.state.shards import ShardStore
from runs import save_crops, tiny, tree

LOOSE = {f"checks__{name}__enabled": False for name in ("broken", "label", "drift", "unchanged", "duplicate")}
"""No check: the number of images is then known."""


def expand(photos: Path, root: Path, **changed: object) -> session.Summary:
    return session.expand(photos, root, tiny(guidance__steps=0, **{**LOOSE, **changed}))


def classes(root: Path, split: str = "train") -> dict[str, int]:
    """Images of each class folder."""
    files = [path for path in (root / split).rglob("*") if path.suffix in {".png", ".jpg"}]
    return dict(Counter(path.parent.name for path in files))


def rows(root: Path) -> list[dict]:
    return pyarrow.parquet.read_table(root / "manifest.parquet").to_pylist()


@pytest.fixture
def skewed(photos: Path, tmp_path: Path) -> Path:
    """Four bricks, two cats, one coffee."""
    folder = tmp_path / "skewed"
    for label, count in (("brick", 4), ("cat", 2), ("coffee", 1)):
        save_crops(folder / label, label, count)
    return folder


def test_balance_fills_the_smallest_classes_up_to_equal_ones(skewed: Path, tmp_path: Path) -> None:
    summary = expand(skewed, tmp_path / "out", balance=True, ratio=2)
    assert classes(tmp_path / "out") == {"brick": 7, "cat": 7, "coffee": 7}
    assert (summary.originals, summary.generated, summary.shortfall) == (7, 14, {})


def test_per_class_fills_each_class_up(skewed: Path, tmp_path: Path) -> None:
    expand(skewed, tmp_path / "out", per_class=5, ratio=None)
    assert classes(tmp_path / "out") == {"brick": 5, "cat": 5, "coffee": 5}


def test_a_fraction_of_the_ratio_is_spread_over_the_seeds(skewed: Path, tmp_path: Path) -> None:
    summary = expand(skewed, tmp_path / "out", ratio=1.5)
    assert (summary.wanted, summary.generated) == (10, 10)


def test_limit_takes_the_first_of_each_class(photos: Path, tmp_path: Path) -> None:
    expand(photos, tmp_path / "out", input__limit=1, ratio=1)
    assert classes(tmp_path / "out") == {"brick": 2, "cat": 2, "coffee": 2}
    assert all((tmp_path / "out" / "train" / label / "0.png").is_file() for label in ("brick", "cat", "coffee"))


def test_nothing_sees_what_is_held_out(photos: Path, tmp_path: Path) -> None:
    root = tmp_path / "out"
    expand(photos, root, input__holdout="25%", ratio=1)
    assert classes(root, "holdout") == {"brick": 1, "cat": 1, "coffee": 1}
    assert classes(root) == {"brick": 6, "cat": 6, "coffee": 6}
    held = {row["sha256"] for row in rows(root) if row["split"] == "holdout"}
    store = ShardStore(root)
    seen = {
        seed.sha256 for shard in store.done("extract") for seed in packing.unpack_seeds(store.read("extract", shard))
    }
    assert len(held) == 3
    assert len(seen) == 9
    assert not held & seen
    assert not held & {row["parent_sha256"] for row in rows(root)}


def test_a_flat_folder_is_one_class(photos: Path, tmp_path: Path) -> None:
    summary = session.expand(photos / "cat", tmp_path / "out", tiny(ratio=1))
    assert classes(tmp_path / "out").keys() == {"cat"}
    assert summary.originals == 4
    assert summary.generated + sum(summary.shortfall.values()) == 4


def test_a_class_of_one_image_and_one_image_at_all(photos: Path, tmp_path: Path) -> None:
    source = tmp_path / "photos"
    (source / "solo").mkdir(parents=True)
    shutil.copy(photos / "cat" / "0.png", source / "solo")
    alone = session.expand(source, tmp_path / "alone", tiny(ratio=2))
    assert alone.originals == 1
    assert alone.generated + sum(alone.shortfall.values()) == 2
    shutil.copytree(photos / "brick", source / "brick")
    both = session.expand(source, tmp_path / "both", tiny(ratio=1))
    assert (both.originals, both.wanted) == (5, 5)
    notes = ShardStore(tmp_path / "both").load("rules.json")["notes"]
    assert any("classes of one image" in note for note in notes)


def test_val_and_test_are_copied_and_not_expanded(photos: Path, tmp_path: Path) -> None:
    source, root = tmp_path / "split", tmp_path / "out"
    for i, label in enumerate(("brick", "cat")):
        for split, numbers in (("train", (0, 1)), ("val", (2,)), ("test", (3,))):
            (source / split / label).mkdir(parents=True)
            for n in numbers:
                shutil.copy(photos / label / f"{n}.png", source / split / label / f"{i}{n}.png")
    (source / "test" / "cat" / "broken.png").write_bytes(b"no picture at all")
    summary = expand(source, root, ratio=2)
    assert classes(root) == {"brick": 6, "cat": 6}
    assert classes(root, "val") == classes(root, "test") == {"brick": 1, "cat": 1}
    assert (root / "val" / "cat" / "12.png").read_bytes() == (source / "val" / "cat" / "12.png").read_bytes()
    assert summary.failures == 1
    (failure,) = [json.loads(line) for line in (root / "failures.jsonl").read_text().splitlines()]
    assert failure["path"] == "test/cat/broken.png"
    assert {row["split"] for row in rows(root) if row["is_synthetic"]} == {"train"}


def test_images_of_several_sizes_and_shapes_in_one_class(photos: Path, tmp_path: Path) -> None:
    source, root = tmp_path / "photos", tmp_path / "out"
    shutil.copytree(photos, source)
    for i, (width, height) in enumerate([(64, 96), (120, 40), (96, 96), (33, 77), (96, 64)]):
        with Image.open(photos / "cat" / f"{i % 4}.png") as image:
            image.resize((width, height)).save(source / "cat" / f"odd{i}.jpg")
    Image.fromarray(np.full((50, 70), 90, np.uint8)).save(source / "cat" / "grey.png")
    summary = expand(source, root, ratio=1)
    assert classes(root) == {"brick": 8, "cat": 20, "coffee": 8}
    assert summary.failures == 0
    for row in rows(root):
        with Image.open(root / row["file"]) as image:
            assert image.size == (row["width"], row["height"])


def test_files_that_cannot_be_read_are_listed_and_the_run_goes_on(photos: Path, tmp_path: Path) -> None:
    source, root = tmp_path / "photos", tmp_path / "out"
    shutil.copytree(photos, source)
    (source / "cat" / "bad.jpg").write_bytes(b"<html>")
    (source / "brick" / "half.png").write_bytes((photos / "brick" / "0.png").read_bytes()[:900])
    summary = expand(source, root, ratio=1, input__max_failures="20%")
    assert (summary.originals, summary.generated, summary.failures) == (12, 12, 2)
    session.verdict(summary, tiny(input__max_failures="20%"))
    with pytest.raises(InputError, match="2 of 14 files could not be used, more than --max-failures 5%"):
        session.verdict(summary, tiny())


def test_a_class_none_of_whose_images_can_be_decoded(photos: Path, tmp_path: Path) -> None:
    source, root = tmp_path / "photos", tmp_path / "out"
    shutil.copytree(photos, source)
    (source / "void").mkdir()
    (source / "void" / "half.png").write_bytes((photos / "brick" / "0.png").read_bytes()[:900])
    summary = expand(source, root, ratio=1, input__max_failures="20%")
    assert (summary.originals, summary.failures) == (12, 1)


def test_a_source_none_of_whose_images_can_be_decoded_is_refused(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "photos" / "void").mkdir(parents=True)
    (tmp_path / "photos" / "void" / "half.png").write_bytes((photos / "brick" / "0.png").read_bytes()[:900])
    with pytest.raises(InputError, match=r"none of its images could be read.*half.png"):
        expand(tmp_path / "photos", tmp_path / "out")


def test_a_shortfall_is_said_by_class(photos: Path, tmp_path: Path) -> None:
    recipe = tiny(ratio=1, max_attempts=1, checks__unchanged__max_similarity=-1)
    summary = session.expand(photos, tmp_path / "out", recipe)
    assert summary.shortfall == {"brick": 4, "cat": 4, "coffee": 4}
    assert summary.generated == 0
    assert any("short of the ratio by 12 of 12" in line for line in summary.to_lines())
    with pytest.raises(ShortfallError, match="12 of 12 samples are missing after 1 attempt;"):
        session.verdict(summary, recipe)
    assert "missing" in (tmp_path / "out" / "README.md").read_text().lower()


def test_the_five_stages_one_by_one_equal_expand(photos: Path, reference: Path, tmp_path: Path) -> None:
    root = tmp_path / "out"
    session.extract(photos, root, tiny())
    for _ in range(3):
        for stage in ("optimize", "generate", "filter"):
            session.run_stage(stage, root, {})
    session.run_stage("export", root, {})
    assert tree(root) == tree(reference)


@pytest.mark.parametrize("stage", ["optimize", "generate", "filter", "export"])
def test_a_stage_before_its_time_is_refused(photos: Path, tmp_path: Path, stage: str) -> None:
    store = ShardStore(tmp_path / "out")
    store.save("run.json", {"source": str(photos)})
    (tmp_path / "out" / "recipe.yaml").write_text("prior: {name: classical}")
    with pytest.raises(UsageError, match="first run: gif extract"):
        session.run_stage(stage, tmp_path / "out", {})


def test_the_default_output_is_named_after_source_and_goal(tmp_path: Path) -> None:
    source = tmp_path / "photos"
    assert session.default_output(source, tiny(ratio="5x")) == tmp_path / "photos-5x"
    assert session.default_output(source, tiny(ratio="2.5x")).name == "photos-2.5x"
    assert session.default_output(source, tiny(ratio=None)).name == "photos-5x"
    assert session.default_output(source, tiny(ratio=None, per_class=40)).name == "photos-40-per-class"


def test_a_recipe_is_a_file_or_a_shipped_one(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("rng: 7")
    assert session.make_recipe(str(tmp_path / "mine.yaml"), {"ratio": 3}).rng == 7
    assert session.make_recipe(None, {"rng": 3}).rng == 3
    with pytest.raises(RecipeError, match="expected a YAML file or one of"):
        session.make_recipe("no-such-recipe", {})
