import contextlib
import os
from pathlib import Path

import pytest
import torch
import yaml

from gifcli import session
from gifcli.evaluate.advice import adainf, make_advice, render_advice, weakened


def test_the_rule_in_its_own_figures():
    """50,000 originals and a million generated: ten times; below one to one nothing changes (METHOD: AdaInf)."""
    assert adainf(50_000, 1_000_000).replicate == 10
    assert weakened(20) == weakened(40) == 1
    assert adainf(100, 50).replicate == 1
    assert adainf(100, 50).share == pytest.approx(1 / 3)
    assert weakened(0.5) == weakened(1) == 0
    assert adainf(100, 500).share == pytest.approx(500 / 800)
    advice = make_advice("run", 50_000, 1_000_000, "imagefolder")
    assert (advice["crop_scale_min"]["value"], advice["color_jitter_probability"]["value"]) == (0.2, 0.4)
    near = make_advice("run", 100, 100, "imagefolder")
    assert (near["crop_scale_min"]["value"], near["color_jitter_probability"]["value"]) == (0.08, 0.8)


def test_each_line_says_what_it_rests_on():
    advice = yaml.safe_load(render_advice(make_advice("run", 10, 50, "imagefolder")))
    for name in (
        "synthetic_share",
        "replicate_originals",
        "augmentation",
        "crop_scale_min",
        "color_jitter_probability",
    ):
        assert advice[name]["by"] == "rule"
        assert "2403.12448" in advice[name]["source"]
    assert advice["weights"]["column"] == "weight"
    assert "originals alone, weak augmentation" in advice["controls"]["try"]


def test_a_table_of_few_test_images_is_no_ground_and_said_to_be_none():
    advice = make_advice("run", 10, 50, "imagefolder", [{"learner": "probe", "test_images": 29}])
    assert advice["synthetic_share"]["by"] == "rule"
    assert "fewer than 30 test images and was not taken" in advice["synthetic_share"]["source"]


def test_the_code_in_it_draws_as_it_says(finished: Path):
    """It lies in every export; pasted, it makes a loader with the share that it names."""
    advice = yaml.safe_load((finished / "advice.yaml").read_text())
    assert advice["counts"] == {"originals": 12, "generated": 24, "generated_per_original": 2.0}
    torch.manual_seed(0)
    space: dict = {}
    with contextlib.chdir(finished.parent):
        exec(advice["pytorch"], space)
        drawn = [i for _ in range(60) for i in space["loader"].sampler]
        images, labels = next(iter(space["loader"]))
    share = float(space["generated"][torch.tensor(drawn)].float().mean())
    assert share == pytest.approx(advice["synthetic_share"]["value"], abs=0.05)
    assert images.shape[1:] == (3, 64, 64)
    assert set(labels.tolist()) <= {0, 1, 2}


def test_parquet_has_code_of_its_own(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    session.run_stage("export", finished, {"export.to": "parquet"})
    advice = yaml.safe_load((finished / "advice.yaml").read_text())
    space: dict = {}
    with contextlib.chdir(finished.parent):
        exec(advice["pytorch"], space)
        batch = next(iter(space["loader"]))
    assert batch["image"].shape[1:] == (3, 64, 64)
    assert len(space["rows"]) == 36
    assert os.fspath(space["folder"]) == finished.name


def test_webdataset_has_code_of_its_own(finished: Path):
    session.run_stage("export", finished, {"export.to": "webdataset"})
    advice = yaml.safe_load((finished / "advice.yaml").read_text())
    space: dict = {}
    with contextlib.chdir(finished.parent):
        exec(advice["pytorch"], space)
        images, labels = next(iter(space["loader"]))
    assert images.shape == (64, 3, 64, 64)
    assert set(labels.tolist()) == {0, 1, 2}
