"""What the export of a finished run holds, and what it leaves alone."""

import json
from collections import Counter, defaultdict
from pathlib import Path

import pyarrow.parquet
import pytest
import yaml

from gifcli import pipeline, session
from gifcli.dataset import exporting
from gifcli.dataset.verify import verify
from gifcli.status import run_status
from runs import stamps, tiny, tree


def rows(root: Path) -> list[dict]:
    return pyarrow.parquet.read_table(root / "manifest.parquet").to_pylist()


def test_the_manifest_holds_every_image_kept_or_not(reference: Path, photos: Path) -> None:
    table = rows(reference)
    assert len({row["key"] for row in table}) == len(table)
    originals = [row for row in table if not row["is_synthetic"]]
    kept = [row for row in table if row["verdict"] == "kept"]
    rejected = [row for row in table if row["verdict"] == "rejected"]
    assert (len(originals), len(kept)) == (12, 24)
    assert rejected
    assert all(row["reason"] and row["file"] is None for row in rejected)
    assert all(row["reason"] is None and row["attempt"] is not None for row in kept)
    images = {path.relative_to(reference).as_posix() for path in (reference / "train").rglob("*.[jp][pn]g")}
    assert {row["file"] for row in table if row["file"]} == images
    assert Counter((row["parent_key"], row["k"]) for row in kept).most_common(1)[0][1] == 1


def test_every_kept_row_says_how_its_image_was_made(reference: Path) -> None:
    originals = {row["key"]: row for row in rows(reference) if not row["is_synthetic"]}
    for row in rows(reference):
        if row["is_synthetic"]:
            parent = originals[row["parent_key"]]
            assert (row["parent_sha256"], row["label"], row["split"]) == (parent["sha256"], parent["label"], "train")
            assert len(row["b"]) > 10
            assert len(row["phash"]) == 16
            assert 0 <= row["label_prob"] <= 1
            assert row["prior"] == "classical"
            assert row["fingerprint"]


def test_guidance_raised_the_mean_score_of_siblings(reference: Path) -> None:
    gains = defaultdict(list)
    for row in rows(reference):
        if row["is_synthetic"] and row["attempt"] == 0:
            gains[row["parent_key"]].append(row["scores_end"]["total"] - row["scores_start"]["total"])
    assert all(len(gain) == 2 and sum(gain) > -1e-4 for gain in gains.values())
    assert sum(map(sum, gains.values())) > 0


def test_originals_are_copied_byte_for_byte(reference: Path, photos: Path) -> None:
    for path in photos.rglob("*.png"):
        assert (reference / "train" / path.relative_to(photos)).read_bytes() == path.read_bytes()


def test_the_recipe_is_written_out_with_nothing_left_to_guess(reference: Path) -> None:
    recipe = yaml.safe_load((reference / "recipe.yaml").read_text())
    assert recipe["prior"]["mirror"] in (True, False)
    assert "run" not in recipe  # where it ran is not what it is
    assert "auto" not in [value for section in ("prior", "guidance") for value in recipe[section].values()]


def test_an_export_that_changes_nothing_writes_nothing(photos: Path, finished: Path) -> None:
    before = stamps(finished)
    with session.opened(photos, finished, tiny(), session.Access()) as run:
        assert exporting.export(run) is False
    assert stamps(finished) == before


def test_a_file_of_the_dataset_that_is_gone_is_written_again(photos: Path, finished: Path) -> None:
    lost = next((finished / "train" / "cat").glob("*.jpg"))
    before = lost.read_bytes()
    lost.unlink()
    status = run_status(finished)
    assert (status.exported, status.gone) == (True, 1)
    assert "files of the dataset that are gone or damaged: 1" in "\n".join(status.to_lines())
    session.expand(photos, finished, tiny(), session.Access())
    assert lost.read_bytes() == before
    assert verify(finished).differences == {}


def test_damaged_sums_are_written_again(photos: Path, finished: Path) -> None:
    sums = finished / "SHA256SUMS"
    before = sums.read_bytes()
    sums.write_bytes(before[:-9])
    assert run_status(finished).gone == 1
    session.expand(photos, finished, tiny(), session.Access())
    assert sums.read_bytes() == before


def test_the_users_own_files_stay_where_they_are(photos: Path, finished: Path) -> None:
    (finished / "train" / "cat" / "notes.txt").write_text("mine")
    gone = next((finished / "train" / "cat").glob("*_k0.jpg"))
    gone.unlink()
    session.run_stage("export", finished, {"export.licence": "CC0-1.0"})
    assert (finished / "train" / "cat" / "notes.txt").read_text() == "mine"
    assert gone.is_file()
    assert "cc0-1.0" in (finished / "README.md").read_text().lower()


def test_a_renamed_class_keeps_its_samples_readable(own_photos: Path, finished: Path) -> None:
    (own_photos / "classes.yaml").write_text("cat: a tabby cat\n")
    with session.opened(own_photos, finished, tiny(), session.Access()) as run:
        assert run.scan.classes["cat"] == "a tabby cat"
        assert not any(done.shards for done in pipeline.expand(run))
        exporting.export(run)
    assert "a tabby cat" in (finished / "README.md").read_text()


def test_the_metadata_names_every_file_of_the_split(reference: Path) -> None:
    lines = [json.loads(line) for line in (reference / "train" / "metadata.jsonl").read_text().splitlines()]
    assert len(lines) == 36
    assert all((reference / "train" / line["file_name"]).is_file() for line in lines)


@pytest.mark.parametrize("name", ["report/index.html", "README.md", "manifest.parquet", "SHA256SUMS"])
def test_what_belongs_to_the_export_is_made_again_when_it_is_redone(
    finished: Path, reference: Path, photos: Path, name: str
) -> None:
    (finished / name).unlink()
    (finished / ".gifcli" / "export.json").unlink()
    session.expand(photos, finished, tiny())
    assert tree(finished) == tree(reference)
