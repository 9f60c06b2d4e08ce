"""The examples run as they stand, on a tiny folder, in a shell of their own."""

import json
import re
import runpy
import shutil
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image
from skimage import data

from documents import ROOT, SIDE, bash, save_tiny

EXAMPLES = ROOT / "examples"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    save_tiny(tmp_path / "photos")
    return tmp_path


def test_every_example_is_tested() -> None:
    assert {path.name for path in EXAMPLES.iterdir() if path.is_file()} == {
        "ci-job.yml",
        "demo_photos.py",
        "expand_folder.py",
        "ray-cluster.sh",
        "refresh.crontab",
    }


@pytest.mark.slow
def test_the_ci_job_expands_and_fails_where_gif_does(home: Path) -> None:
    job = yaml.safe_load((EXAMPLES / "ci-job.yml").read_text(encoding="utf-8"))
    env = {**job["env"], "GIF_RATIO": "1x"}
    steps = [step["run"] for step in job["jobs"]["expand"]["steps"] if "run" in step]
    assert steps[0] == 'pip install "$GIFCLI"'  # which has happened
    for step in steps[1:]:
        done = bash(step, home, **env)
        assert done.returncode == 0, done.stderr
    summary = json.loads((home / "summary.json").read_text(encoding="utf-8"))
    assert (summary["originals"], summary["generated"]) == (9, 9)
    shutil.rmtree(home / "photos")
    [expand] = [step for step in steps if step.startswith("gif expand")]
    assert bash(expand, home, **env).returncode == 3


@pytest.mark.slow
def test_the_crontab_line_refreshes(home: Path) -> None:
    """The first night makes the dataset; after a new image came, the second makes that one's samples alone."""
    lines = (EXAMPLES / "refresh.crontab").read_text(encoding="utf-8").splitlines()
    [entry] = [line for line in lines if re.match(r"[\d*]", line)]
    assert "%" not in entry  # cron takes it for the end of the line
    command = entry.split(None, 5)[5].replace("--ratio 5x", "--ratio 1x")
    (home / "photos").rename((home / "data").mkdir() or home / "data/photos")
    first = bash(command, home)
    assert first.returncode == 0, first.stderr
    rows = pq.read_table(home / "data/photos-5x/manifest.parquet", columns=["key", "sha256"]).to_pylist()
    Image.fromarray(data.astronaut()[:400, :400]).resize((SIDE, SIDE)).save(home / "data/photos/views/astronaut.png")
    second = bash(command, home)
    log = (home / "data/photos-5x.log").read_text(encoding="utf-8")
    assert second.returncode in (0, 4), log  # 4: the new image is unlike what the rules know
    after = pq.read_table(home / "data/photos-5x/manifest.parquet", columns=["key", "sha256"]).to_pylist()
    assert [row for row in rows if row not in after] == []
    assert len(after) > len(rows)
    assert "9 originals + 9 generated" in log
    assert "10 originals + " in log


def test_the_script_expands(home: Path) -> None:
    done = bash(f"python '{EXAMPLES}/expand_folder.py' photos out 1x", home)
    assert done.returncode == 0, done.stderr
    assert "9 originals + 9 generated" in done.stdout


def test_the_script_says_what_is_wrong_in_one_line(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = EXAMPLES / "expand_folder.py"
    monkeypatch.setattr(sys, "argv", [str(script), str(home / "photos"), str(home / "photos/inside"), "1x"])
    with pytest.raises(SystemExit, match=r"^error: .*inside"):
        runpy.run_path(str(script), run_name="__main__")


def test_the_demo_folder_is_the_same_every_time(tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert bash(f"python '{EXAMPLES}/demo_photos.py' {name}", tmp_path).returncode == 0
    files = [sorted((tmp_path / name).rglob("*.jpg")) for name in ("a", "b")]
    assert [path.read_bytes() for path in files[0]] == [path.read_bytes() for path in files[1]]
    assert len(files[0]) == 96
    assert len({path.parent for path in files[0]}) == 8


@pytest.mark.slow
def test_the_cluster_script_expands_on_a_cluster_of_one(home: Path) -> None:
    small = "--num-cpus=1 --object-store-memory=100000000 --include-dashboard=false --disable-usage-stats"
    flags = "--ratio 1x --prior classical --set guidance.steps=0"
    done = bash(
        f"sh '{EXAMPLES}/ray-cluster.sh' photos out", home, RAY_OPTIONS=small, EXPAND_OPTIONS=flags, PORT="6399"
    )
    assert done.returncode in (0, 4), done.stderr
    assert "9 originals + " in done.stdout
    assert (home / "out" / "manifest.parquet").is_file()
