"""Source images are looked at once, as far as a check wants; leaks and unsafe sources are told; flagged samples tried again."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from gifcli import session
from gifcli.judge import survey
from gifcli.judge.safety import load_scorer
from gifcli.state.run import Run
from gifcli.state.shards import ShardStore
from runs import save_crops, tiny, tree


class Heard(session.Silent):
    """Keeps the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


@pytest.fixture(scope="module")
def split_photos(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The photos as train; brick/0 saved once more, and another cat, as test. Not to be written to."""
    folder = tmp_path_factory.mktemp("split") / "photos"
    shutil.copytree(photos, folder / "train")
    save_crops(folder / "test" / "cat", "cat", 1, first=9)
    (folder / "test" / "brick").mkdir()
    with Image.open(photos / "brick" / "0.png") as image:
        image.save(folder / "test" / "brick" / "0.jpg", quality=75)
    return folder


def manifest(root: Path) -> list[dict]:
    return pq.read_table(root / "manifest.parquet").to_pylist()


def test_leaks_in_the_source_are_told_and_samples_like_them_rejected(split_photos: Path, tmp_path: Path) -> None:
    root, heard = tmp_path / "out", Heard()
    near = {"guidance__noise_scale": 0.01, "guidance__steps": 0, "max_attempts": 1, "prior__mirror": False}
    loose = {f"checks__{name}__enabled": False for name in ("unchanged", "duplicate", "label", "drift")}
    done = session.expand(split_photos, root, tiny(**near, **loose), session.Access(reporter=heard))
    assert done.leaking == {"train/brick/0.png": "test/brick/0.jpg"}
    assert (
        sum("shown again for validation or test: 1, such as train/brick/0.png" in text for text in heard.warnings) == 1
    )
    reasons = {row["parent_path"]: row["reason"] for row in manifest(root) if row["is_synthetic"]}
    assert reasons["train/brick/0.png"] == "leak: of test/brick/0.jpg"
    assert [path for path, reason in reasons.items() if reason] == ["train/brick/0.png"]
    assert "shown again for validation or test: 1" in "\n".join(done.to_lines())


def test_new_images_come_in_new_shards_and_old_ones_stay(split_photos: Path, tmp_path: Path) -> None:
    source, root = tmp_path / "photos", tmp_path / "out"
    shutil.copytree(split_photos, source)
    session.extract(source, root, tiny())
    store = ShardStore(root)
    first = {str(shard): mark["keys"] for shard, mark in store.done(survey.STAGE).items()}
    assert list(map(len, first.values())) == [2]
    save_crops(source / "test" / "coffee", "coffee", 1, first=8)
    with session.opened(source, root, tiny(), session.Access()) as run:
        jobs = survey.survey_jobs(run)
        assert [len(job.items) for job in jobs] == [1]
        assert str(jobs[0].shard) not in first
    session.extract(source, root, tiny())
    assert store.load(survey.CHUNKS)[0] == next(iter(first.values()))
    assert len(store.done(survey.STAGE)) == 2


@pytest.fixture(scope="module")
def scored(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, session.Summary, Heard]:
    """A run in which every score above 0.045 counts as unsafe: some of brick and cat, no picture of anything unsafe."""
    root, heard = tmp_path_factory.mktemp("scored") / "out", Heard()
    asked = tiny(checks__safety__enabled=True, checks__safety__max_score=0.045, max_attempts=3, guidance__steps=0)
    return root, session.expand(photos, root, asked, session.Access(reporter=heard)), heard


def test_flagged_samples_are_tried_again_within_the_budget(scored: tuple[Path, session.Summary, Heard]) -> None:
    root, done, _ = scored
    rows = [row for row in manifest(root) if row["is_synthetic"]]
    flagged = [row for row in rows if (row["reason"] or "").startswith("safety: score ")]
    assert len(flagged) == done.rejected["safety"] > 0
    assert all((row["safety"] > 0.045) == (row in flagged) for row in rows if row["reason"] is None or row in flagged)
    later = {(row["parent_key"], row["k"]) for row in rows if row["attempt"] == 1}
    assert {(row["parent_key"], row["k"]) for row in flagged if row["attempt"] == 0} <= later
    assert max(row["attempt"] for row in rows) <= 2
    assert any(row["verdict"] == "kept" and row["attempt"] > 0 for row in rows)


def test_sources_are_scored_and_flagged_ones_told_and_kept(
    scored: tuple[Path, session.Summary, Heard], photos: Path
) -> None:
    root, done, heard = scored
    rows = {row["parent_path"]: row["safety"] for row in manifest(root) if not row["is_synthetic"]}
    assert len(rows) == 12
    assert {path for path, score in rows.items() if score > 0.045} == set(done.flagged)
    assert 0 < len(done.flagged) < 12
    with Image.open(photos / "brick" / "0.png") as image:
        expected = load_scorer()(np.asarray(image.convert("RGB"))[None])[0]
    assert rows["brick/0.png"] == pytest.approx(expected, abs=1e-6)
    assert sum("look unsafe" in text for text in heard.warnings) == 1
    assert f"source images that look unsafe, still in the dataset: {len(done.flagged)}" in "\n".join(done.to_lines())


def test_a_survey_cut_short_is_finished_as_if_it_had_not_been(
    scored: tuple[Path, session.Summary, Heard], photos: Path, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(scored[0], tmp_path / "out"))
    before = tree(root)
    for name in ("5-survey/00001.json", "5-survey/00001.tar", "5-survey/00003.json"):
        (root / ".gifcli" / "stages" / name).unlink()
    (root / ".gifcli" / "verdicts.json").unlink()
    session.run_stage("filter", root, {})
    assert tree(root) == before


def test_auto_is_decided_once(photos: Path, finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run was made with safety off, by its recipe; `auto` in a new one follows what is installed."""

    def enabled(**changed: object) -> object:
        with session.opened(photos, finished, tiny(**changed), session.Access()) as run:
            assert isinstance(run, Run)
            return run.recipe.checks.safety.enabled

    assert enabled() is False
    assert enabled(checks__safety__enabled="auto") is False
    monkeypatch.setattr("gifcli.judge.safety.PACKAGE", "no_such_package")
    session.run_stage("filter", finished, {})
    assert enabled(checks__safety__enabled=True) is True
