"""What an encoder is: its files, what they are read into, and how images are prepared for them."""

import shutil
from pathlib import Path

from gifcli.models import encoder_card, revision


def test_the_same_weights_in_another_architecture_are_another_encoder(tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(b"the same")
    plain, quick = (encoder_card(f"{arch}:{weights}") for arch in ("ViT-B-32", "ViT-B-32-quickgelu"))
    assert plain.files == quick.files
    assert plain.revision != quick.revision


def test_so_are_weights_whose_images_are_prepared_otherwise_and_a_moved_file_is_not(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    (here / "weights.safetensors").write_bytes(b"the same")
    alone = encoder_card(f"ViT-B-32:{here}/weights.safetensors").revision
    (here / "open_clip_config.json").write_text('{"preprocess_cfg": {"interpolation": "bilinear"}}')
    stated = encoder_card(f"ViT-B-32:{here}/weights.safetensors").revision
    assert alone != stated
    shutil.move(here, there)
    assert encoder_card(f"ViT-B-32:{there}/weights.safetensors").revision == stated


def test_the_embedded_encoder_is_known_by_its_weights_alone() -> None:
    card = encoder_card("embedded")
    assert card.revision == revision(card.files)
