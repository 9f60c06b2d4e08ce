"""One sample made again is the same file on a CPU, whatever is left of the run; in other batches it is the same image."""

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from gifcli import session
from gifcli.dataset.replica import Replica, _batch, assert_like, replicate
from gifcli.errors import CheckError, InputError, UsageError
from gifcli.state.shards import STATE
from runs import tree


def rows(root: Path) -> list[dict]:
    return [row for row in pq.read_table(root / "manifest.parquet").to_pylist() if row["is_synthetic"]]


def test_a_sample_is_made_again_bit_for_bit(reference: Path, tmp_path: Path) -> None:
    before = tree(reference)
    made = rows(reference)
    chosen = [made[0], made[-1], next(row for row in made if row["verdict"] == "rejected")]
    for row in chosen:
        named = row["file"] or row["key"]  # either will do
        replica = replicate(reference, named, tmp_path / "again.jpg", {"run.device": "cpu"})
        assert replica.identical
        assert replica.psnr == float("inf")
        if row["file"]:
            assert (tmp_path / "again.jpg").read_bytes() == (reference / row["file"]).read_bytes()
    assert tree(reference) == before


def test_in_other_batches_it_is_the_same_image(reference: Path, tmp_path: Path) -> None:
    key = rows(reference)[0]["key"]
    replica = replicate(reference, key, tmp_path / "again.jpg", {"run.device": "cpu", "run.batch_size": 1})
    assert_like(replica)
    assert replica.difference <= 8


def test_the_manifest_and_the_source_are_enough(finished: Path, tmp_path: Path) -> None:
    row = next(row for row in rows(finished) if row["file"])
    for folder in ("1-seeds", "2-noises"):
        for tar in (finished / STATE / "stages" / folder).glob("*"):
            tar.unlink()
    for tar in (finished / STATE / "stages" / "3-samples").glob("*.tar"):
        tar.unlink()
    assert replicate(finished, row["key"], tmp_path / "again.jpg", {"run.device": "cpu"}).identical


def test_what_is_gone_or_changed_is_said(finished: Path, own_photos: Path, tmp_path: Path) -> None:
    key = rows(finished)[0]["key"]
    with pytest.raises(UsageError, match="expected a sample in"):
        replicate(finished, "nothing", None, {})
    with pytest.raises(UsageError, match=r"found prior\.strength"):
        replicate(finished, key, None, {"prior.strength": 0.1})
    text = (finished / "recipe.yaml").read_text()
    (finished / "recipe.yaml").write_text(text.replace("quality: 95", "quality: 90"))
    with pytest.raises(UsageError, match="other settings"):
        replicate(finished, key, None, {})
    session.expand(own_photos, tmp_path / "own", session.own_recipe(finished, {"prior.strength": 0.5, "ratio": 0.5}))
    key = rows(tmp_path / "own")[0]["key"]
    shutil.rmtree(tmp_path / "own" / STATE / "stages" / "1-seeds")
    next(own_photos.rglob("*.png")).write_bytes(b"other")
    with pytest.raises(InputError, match="found another or none"):
        [replicate(tmp_path / "own", row["key"], tmp_path / "x.jpg", {}) for row in rows(tmp_path / "own")]


def test_another_image_is_no_replica() -> None:
    with pytest.raises(CheckError, match=r"12\.0 dB"):
        assert_like(Replica("key", "x.jpg", identical=False, difference=90, psnr=12.0))


def test_a_batch_starts_where_no_sibling_is_cut_off(seeds: list) -> None:
    known = {seed.key: seed for seed in seeds[:2]} | {"wide": seeds[2]}
    one, two = list(known)[:2]
    slots = [(one, 0), (one, 1), ("wide", 0), (one, 2), (two, 0), (two, 1), (two, 2)]
    assert _batch(slots, known, ("wide", 0), 2) == [("wide", 0)]
    assert _batch(slots, known, (one, 2), 2) == [(one, 0), (one, 1), (one, 2), (two, 0)]
    assert _batch(slots, known, (two, 2), 3) == [(two, 0), (two, 1), (two, 2)]
