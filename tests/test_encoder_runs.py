"""A run that looks through an open_clip model: text and prototypes are compared on the seeds, names come from classes.yaml."""

import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file

from documents import gif
from gifcli.encoders import TextEncoder, make_encoder
from gifcli.models import encoder_card, revision
from gifcli.rules.rules import load
from runs import save_crops

ARCH = "gif-test-run"
CONFIG = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


def test_text_and_prototypes_are_compared_under_the_readable_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / f"{ARCH}.json").write_text(json.dumps(CONFIG))
    open_clip.add_model_config(tmp_path / f"{ARCH}.json")
    torch.manual_seed(0)
    weights = {name: tensor.contiguous() for name, tensor in open_clip.create_model(ARCH).state_dict().items()}
    save_file(weights, tmp_path / "tiny.safetensors")
    for label in ("brick", "cat"):
        save_crops(tmp_path / "photos" / label, label, 3, side=48)
    (tmp_path / "photos" / "classes.yaml").write_text("cat: tabby cat\n")
    name, out = f"{ARCH}:{tmp_path / 'tiny.safetensors'}", tmp_path / "out"
    assert gif("extract", str(tmp_path / "photos"), "-o", str(out), "--prior", "classical", "--encoder", name) == 0
    said = capsys.readouterr().err
    assert "accuracy on your seeds: prototype" in said
    assert ", text " in said
    rules = load(out / ".gifcli" / "rules")
    assert {"prototype", "text", "chance"} <= rules.accuracy.keys()
    encoder = make_encoder(name)
    assert isinstance(encoder, TextEncoder)
    assert rules.text is not None
    assert np.allclose(rules.text, encoder.texts(["brick", "tabby cat"]).numpy(), atol=1e-5)
    settings = json.loads((out / ".gifcli" / "settings.json").read_text())["extract"]
    assert settings["encoder.revision"] == f"{ARCH}:{revision(encoder_card(name).files)}"
