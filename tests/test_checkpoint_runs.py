"""Whole runs on saved checkpoints: resume, what a changed model means, what is refused, and no connection when offline."""

import json
import os
import pickle
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

import checkpoints
from documents import gif
from gifcli.models.checkpoint import read_checkpoint
from runs import save_crops

FLAGS = ["--ratio", "1x", "--max-attempts", "1", "--image-format", "png", "--quiet"]
FLAGS += ["--set", "guidance.steps=1", "--set", "guidance.encoder_size=64"]
STEPS = ["--steps", "2"]
"""Of priors that denoise."""
DONE = {0, 4}
"""Finished, or short of the ratio: what comes of random weights is no photograph."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of two pictures, and checkpoints."""
    root = tmp_path_factory.mktemp("runs")
    for label in ("brick", "cat"):
        save_crops(root / "photos" / label, label, 2, side=48)
    for kind in ("sd", "unclip", "mae", "tiny"):
        checkpoints.save(kind, root / kind)
    return root


@pytest.fixture
def blocked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Sockets reach nothing but this machine; -> what was tried."""
    tried: list[Any] = []
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
            tried.append(address)
            raise OSError(f"blocked: {address}")
        connect(self, address)

    def resolve(*place: Any, **_: Any) -> list[Any]:
        tried.append(place)
        raise socket.gaierror(f"blocked: {place}")

    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setattr(socket.socket, "connect_ex", guarded)
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):  # set again by the run, and given back after the test
        monkeypatch.setenv(name, os.environ.get(name, "0"))
    return tried


@pytest.mark.parametrize("kind", ["sd", "unclip", "mae"])
def test_offline_a_run_opens_no_connection(folder: Path, blocked: list[Any], tmp_path: Path, kind: str) -> None:
    out = tmp_path / "out"
    flags = [*FLAGS, *([] if kind == "mae" else STEPS)]
    prior = str(folder / kind)
    assert gif("expand", str(folder / "photos"), "-o", str(out), "--prior", prior, "--offline", *flags) in DONE
    assert blocked == []
    rows = [row for row in pq.read_table(out / "manifest.parquet").to_pylist() if row["is_synthetic"]]
    assert len(rows) == 4
    assert {row["revision"] for row in rows} == {read_checkpoint(folder / kind, "prior").revision}
    assert {row["prompt"] for row in rows} == {"a photo of a brick", "a photo of a cat"}
    assert all(row["scores_end"]["total"] >= row["scores_start"]["total"] - 1e-6 for row in rows)


def test_offline_what_is_not_there_is_one_line(
    folder: Path,
    blocked: list[Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    for flags in (["--prior", "sd-turbo"], ["--prior", "a/b"], ["--prior", str(folder / "sd"), "--lora", "a/b"]):
        code = gif("expand", str(folder / "photos"), "-o", str(tmp_path / "o"), *flags, "--offline", *FLAGS)
        said = capsys.readouterr().err
        assert code == 6, said
        assert said.count("\n") == 1
        assert "is not on this machine; this is offline" in said
    assert gif("models", "pull", "sd-turbo") == 6
    assert blocked == []


def test_a_run_again_does_nothing_and_another_model_is_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prior = shutil.copytree(folder / "sd", tmp_path / "sd")
    lora = save_lora(prior, tmp_path / "lora")
    line = ["expand", str(folder / "photos"), "-o", str(tmp_path / "out"), "--prior", str(prior), *FLAGS, *STEPS]
    assert gif(*line, "--lora", str(lora)) in DONE
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out/.gifcli/stages").rglob("*.tar")}
    assert gif(*line, "--lora", str(lora)) in DONE
    assert {path: path.stat().st_mtime_ns for path in before} == before
    capsys.readouterr()
    save_lora(prior, tmp_path / "lora", rank=3)
    assert gif(*line, "--lora", str(lora)) == 2
    assert "prior.lora_revision was" in capsys.readouterr().err
    checkpoints.save("sd-v", prior)
    read_checkpoint.cache_clear()
    assert gif(*line) == 2
    assert "prior.revision was" in capsys.readouterr().err


def save_lora(prior: Path, folder: Path, rank: int = 2) -> Path:
    """A LoRA of the checkpoint's denoiser, by diffusers, with random weights."""
    from diffusers import StableDiffusionPipeline, UNet2DConditionModel
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    torch.manual_seed(rank)
    unet = UNet2DConditionModel.from_pretrained(prior / "unet")
    unet.add_adapter(LoraConfig(r=rank, target_modules=["to_q", "to_v"], init_lora_weights=False))
    StableDiffusionPipeline.save_lora_weights(folder, get_peft_model_state_dict(unet))
    return folder


class Code:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, ("import os; os.environ['PICKLE_RAN'] = '1'",))


def without(part: str) -> Callable[[Path], None]:
    return lambda folder: shutil.rmtree(folder / part)


def pickled(folder: Path) -> None:
    [weights] = (folder / "unet").glob("*.safetensors")
    weights.with_name("diffusion_pytorch_model.bin").write_bytes(pickle.dumps(Code()))
    weights.unlink()


def cut(folder: Path) -> None:
    [weights] = (folder / "unet").glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:1000])


def other_shape(folder: Path) -> None:
    path = folder / "unet" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "cross_attention_dim": 64}))


def index(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / "model_index.json").write_text(json.dumps({"_class_name": name})) and None


def broken_json(folder: Path) -> None:
    (folder / "unet" / "config.json").write_text("<html>")


DAMAGES = {
    "a missing component": (without("text_encoder"), "expected text_encoder/"),
    "a pickle": (pickled, "which may run code and is not loaded"),
    "half a file": (cut, "missing or broken"),
    "another shape": (other_shape, "missing or broken"),
    "another kind of model": (index("FluxPipeline"), "found FluxPipeline"),
    "a broken configuration": (broken_json, "is not a complete model"),
    "no model": (lambda folder: shutil.rmtree(folder) or folder.mkdir(), "expected model_index.json"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_broken_checkpoint_is_one_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    damage, hint = DAMAGES[name]
    prior = shutil.copytree(folder / "sd", tmp_path / "sd")
    damage(prior)
    code = gif("expand", str(folder / "photos"), "-o", str(tmp_path / "out"), "--prior", str(prior), *FLAGS)
    said = capsys.readouterr().err
    assert code == 6, said
    assert said.count("error: ") == 1
    assert hint in said
    assert "PICKLE_RAN" not in os.environ


@pytest.mark.parametrize(
    ("flags", "code", "hint"),
    [
        (["--prior", "{folder}/tiny"], 6, "a tiny autoencoder, which only decodes"),
        (["--prior", "{folder}/nowhere"], 6, "found no such folder"),
        (["--prior", "{folder}/sd", "--set", "prior.tiny={folder}/mae"], 6, "expected an AutoencoderTiny"),
        (["--prior", "{folder}/sd", "--set", "prior.decoder=tiny"], 6, "needs a tiny autoencoder"),
        (["--prior", "{folder}/sd", "--lora", "{folder}/photos"], 6, "expected safetensors weights"),
        (["--prior", "{folder}/sd", "--lora", "{folder}/sd/vae"], 6, "lora: "),
        (["--prior", "{folder}/sd", "--encoder", "{folder}/sd"], 6, "expected an unCLIP checkpoint"),
        (["--prior", "{folder}/unclip", "--encoder", "embedded"], 2, "expected --encoder auto"),
        (["--prior", "{folder}/mae", "--set", "guidance.where=during"], 2, "takes before; found during"),
        (["--prior", "{folder}/sd", "--set", "guidance.granularity=token"], 2, "knows channel, element"),
    ],
)
def test_what_does_not_go_together_is_one_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], code: int, hint: str
) -> None:
    line = [flag.format(folder=folder) for flag in flags]
    assert gif("expand", str(folder / "photos"), "-o", str(tmp_path / "out"), *line, *FLAGS) == code
    said = capsys.readouterr().err
    assert hint in said
    assert "Traceback" not in said
