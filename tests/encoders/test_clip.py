"""ClipEncoder against open_clip itself, with random weights of a small built-in architecture."""

import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from skimage import data
from torch.nn.functional import normalize

from gifcli.compute.batches import pixels_to_tensor
from gifcli.encoders import TextEncoder, make_encoder
from gifcli.encoders.clip import TEMPLATES, ClipEncoder, file_preprocessing, prepare
from gifcli.errors import ModelMissingError

ARCH = "gif-test-tiny"
CONFIG = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An architecture known to open_clip, and random weights of it in a file."""
    folder = tmp_path_factory.mktemp("clip")
    (folder / f"{ARCH}.json").write_text(json.dumps(CONFIG))
    open_clip.add_model_config(folder / f"{ARCH}.json")
    torch.manual_seed(0)
    model = open_clip.create_model(ARCH)
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, folder / "tiny.safetensors")
    return folder / "tiny.safetensors"


@pytest.fixture(scope="module")
def encoder(weights: Path) -> ClipEncoder:
    return ClipEncoder(f"{ARCH}:{weights}")


@pytest.mark.parametrize(("name", "box"), [("cat", None), ("coffee", (0, 0, 64, 64)), ("coffee", (10, 0, 130, 300))])
def test_images_equal_open_clips_own(
    encoder: ClipEncoder, weights: Path, name: str, box: tuple[int, ...] | None
) -> None:
    picture = Image.fromarray(getattr(data, name)())
    picture = picture.crop(box) if box else picture
    model, _, preprocess = open_clip.create_model_and_transforms(ARCH, pretrained=str(weights))
    x = preprocess(picture)[None]
    images = pixels_to_tensor(np.array(picture)[None])
    with torch.no_grad():
        wanted = normalize(model.eval().encode_image(x), dim=-1)
    assert (prepare(images, open_clip.get_model_preprocess_cfg(model)) - x).abs().max() < 0.03
    assert torch.allclose(encoder.images(images), wanted, atol=5e-3)


@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("shape", [(90, 130), (131, 64), (64, 64), (40, 37)])
def test_every_resize_mode_equals_open_clips(mode: str, shape: tuple[int, int]) -> None:
    picture = Image.fromarray(data.astronaut()[: shape[0], : shape[1]])
    config = open_clip.transform.PreprocessCfg(size=64, resize_mode=mode, fill_color=90)
    x = open_clip.transform.image_transform_v2(config, is_train=False)(picture)
    ours = prepare(pixels_to_tensor(np.array(picture)[None]), vars(config))[0]
    assert ours.shape == x.shape
    assert (ours - x).abs().max() < 0.05


@pytest.mark.parametrize("beside", [None, {"preprocess_cfg": {"mean": [0.1, 0.2, 0.3], "resize_mode": "longest"}}])
def test_local_weights_are_prepared_as_the_architectures_published_ones(tmp_path: Path, beside: object) -> None:
    """A file doesn't say how its images are prepared: open_clip would take CLIP's figures for SigLIP."""
    if beside:
        (tmp_path / "open_clip_config.json").write_text(json.dumps(beside))
    wanted = {"mean": (0.5,) * 3, "std": (0.5,) * 3, "interpolation": "bicubic", "resize_mode": "squash"}
    wanted |= {"mean": [0.1, 0.2, 0.3], "resize_mode": "longest"} if beside else {}
    assert file_preprocessing("ViT-B-16-SigLIP", tmp_path / "weights.safetensors") == wanted
    assert file_preprocessing(ARCH, tmp_path / "weights.safetensors").keys() == (
        wanted.keys() & {"mean", "resize_mode"} if beside else set()
    )


def test_gradients_reach_the_pixels(encoder: ClipEncoder) -> None:
    images = pixels_to_tensor(data.cat()[None, :96, :128]).requires_grad_()
    encoder.images(images)[0, 0].backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0


def test_texts_are_the_mean_over_the_templates(encoder: ClipEncoder, weights: Path) -> None:
    assert isinstance(encoder, TextEncoder)
    assert encoder.dim == 32
    model = open_clip.create_model(ARCH, pretrained=str(weights)).eval()
    tokens = open_clip.get_tokenizer(ARCH)([template.format("cat") for template in TEMPLATES])
    with torch.no_grad():
        wanted = normalize(normalize(model.encode_text(tokens), dim=-1).mean(0), dim=-1)
    got = encoder.texts(["dog", "cat"])
    assert torch.allclose(got[1], wanted, atol=1e-5)
    assert torch.allclose(got.norm(dim=-1), torch.ones(2))


@pytest.mark.parametrize("name", ["nonsense", "ViT-B-32", "ViT-B-32:no_such_tag", "no-arch:laion2b_s34b_b79k"])
def test_an_unknown_model_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(ModelMissingError, match=name) as error:
        make_encoder(name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"<html>", b"\x10\0\0\0\0\0\0\0{broken"])
@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".npz"])
def test_a_broken_file_is_refused_in_one_line(weights: Path, tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(content)
    with pytest.raises(ModelMissingError, match="broken") as error:
        ClipEncoder(f"{ARCH}:{path}")
    assert "\n" not in str(error.value)


def test_weights_of_another_architecture_and_pickled_code_are_refused(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelMissingError):
        ClipEncoder(f"ViT-S-32-alt:{weights}")
    torch.save({"state_dict": Path}, tmp_path / "code.pt")
    with pytest.raises(ModelMissingError):
        ClipEncoder(f"{ARCH}:{tmp_path / 'code.pt'}")


def test_offline_without_a_cache_it_is_missing(tmp_path: Path) -> None:
    """In a process of its own: the hub's client reads its environment once."""
    import os
    import subprocess
    import sys

    code = (
        "from gifcli.encoders.clip import ClipEncoder\nfrom gifcli.errors import ModelMissingError\n"
        "try: ClipEncoder('ViT-B-32:laion2b_s34b_b79k')\nexcept ModelMissingError as e: print(e)"
    )
    source = str(Path(__file__).parents[2] / "src")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "PYTHONPATH": source}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("encoder 'ViT-B-32:laion2b_s34b_b79k' cannot be loaded: ")
    assert done.stdout.count("\n") == 1
