"""A run whose models are named by relative paths, with a LoRA: resumed from another folder, moved, made again; what it says of them."""

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
import yaml

import checkpoints
from documents import gif
from gifcli.formats.manifest import read_loras
from gifcli.models import lora_files, revision
from gifcli.models.checkpoint import read_checkpoint
from gifcli.reporting.reporting import remake
from runs import save_crops, stamps

FLAGS = ["--ratio", "1x", "--max-attempts", "1", "--steps", "2", "--set", "guidance.steps=1", "--quiet"]
FLAGS += ["--set", "guidance.encoder_size=64", "--set", "prior.lora_scale=0.5", "--device", "cpu"]
DONE = {0, 4}


def save_lora(prior: Path, folder: Path, seed: int) -> None:
    """A LoRA of the checkpoint's denoiser, by diffusers, with random weights."""
    from diffusers import StableDiffusionPipeline, UNet2DConditionModel
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    torch.manual_seed(seed)
    unet = UNet2DConditionModel.from_pretrained(prior / "unet")
    unet.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False))
    StableDiffusionPipeline.save_lora_weights(folder, get_peft_model_state_dict(unet))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos, a checkpoint, a LoRA, and a run `out` that was started in it by relative paths."""
    root = tmp_path_factory.mktemp("project").resolve()
    for label in ("brick", "cat"):
        save_crops(root / "photos" / label, label, 2, side=48)
    checkpoints.save("sd", root / "models" / "sd")
    checkpoints.save("tiny", root / "models" / "sd" / "tiny_vae")  # which the prior brings along
    (root / "names.yaml").write_text("cat: tabby\n")
    save_lora(root / "models" / "sd", root / "models" / "own", 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        named = ["--prior", "models/sd", "--lora", "models/own", "--set", "input.classes=./names.yaml"]
        assert gif("expand", "photos", "-o", "out", *named, *FLAGS) in DONE
    return root


def shards(root: Path) -> dict[str, int]:
    return stamps(root / ".gifcli" / "stages")


def test_it_goes_on_from_another_folder(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = yaml.safe_load((project / "out" / "recipe.yaml").read_text())
    paths = [recipe["prior"][key] for key in ("name", "lora", "tiny")]
    assert paths == [str(project / "models" / place) for place in ("sd", "own", "sd/tiny_vae")]
    assert recipe["input"]["classes"] == str(project / "names.yaml")
    before = shards(project / "out")
    monkeypatch.chdir(tmp_path)
    for line in (
        ["generate", str(project / "out"), "--quiet"],
        ["filter", str(project / "out"), "--dry-run", "--quiet"],
    ):
        assert gif(*line) == 0
    monkeypatch.chdir(project / "models")
    named = ["--prior", "sd", "--lora", "../models/own", "--set", "input.classes=../names.yaml"]
    assert gif("expand", "../photos", "-o", "../out", *named, *FLAGS) in DONE
    assert shards(project / "out") == before


def test_the_content_of_a_model_decides_and_not_its_place(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = Path(shutil.copytree(project / "out", tmp_path / "out"))
    before = shards(root)
    fingerprints = set(pq.read_table(root / "manifest.parquet")["fingerprint"].to_pylist())
    moved = shutil.copytree(project / "models", tmp_path / "elsewhere")
    line = ["expand", str(project / "photos"), *FLAGS, "--prior", str(moved / "sd")]
    line += ["-o", str(root), "--lora", str(moved / "own")]
    assert gif(*line) in DONE
    assert shards(root) == before
    assert set(pq.read_table(root / "manifest.parquet")["fingerprint"].to_pylist()) == fingerprints
    capsys.readouterr()
    save_lora(moved / "sd", moved / "own", 1)
    assert gif(*line) == 2
    said = capsys.readouterr().err
    assert "prior.lora_revision was" in said
    assert "prior.name" not in said


def test_manifest_card_and_report_name_the_lora_and_no_path(project: Path, tmp_path: Path) -> None:
    root = project / "out"
    content = revision(lora_files(str(project / "models" / "own")))
    rows = pq.read_table(root / "manifest.parquet").to_pylist()
    told = {(row["prior"], row["revision"], row["lora"], row["lora_scale"], row["lora_revision"]) for row in rows}
    base = read_checkpoint(project / "models" / "sd", "prior").revision
    assert told == {("sd", base, "own", 0.5, content), (None,) * 5}  # of samples, of originals
    assert {row["is_synthetic"] for row in rows if row["lora"] is None} == {False}
    assert read_loras(root / "manifest.parquet") == [("own", content, 0.5)]
    card = (root / "README.md").read_text(encoding="utf-8")
    assert f"| LoRA (added to the prior, times 0.5) | own | {content} |" in card
    assert f"| sd | {base} |" in card
    page = remake(root, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "LoRA, added to it times 0.5" in page
    assert content in page
    for path in (root / "train").rglob("*.jpg"):
        assert str(project).encode() not in path.read_bytes()


def test_a_sample_with_a_lora_is_made_again_from_any_folder(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = pq.read_table(project / "out" / "manifest.parquet").to_pylist()
    key = next(row["key"] for row in rows if row["is_synthetic"])
    assert gif("generate", str(project / "out"), "--like", key, "--json") == 0
    assert json.loads(capsys.readouterr().out)["identical"] is True
