from dataclasses import fields
from pathlib import Path

import pytest

from gifcli import models
from gifcli.errors import ModelMissingError, UsageError
from gifcli.recipe.settings import PRIOR_DEFAULTS


def test_a_revision_is_what_is_in_the_files(tmp_path: Path) -> None:
    for name, content in (("a.bin", b"one"), ("b.bin", b"two"), ("c.bin", b"one")):
        (tmp_path / name).write_bytes(content)
    a, b, c = (tmp_path / name for name in ("a.bin", "b.bin", "c.bin"))
    assert models.revision([a]) == models.revision([c]) != models.revision([b])
    assert models.revision([a, b]) != models.revision([b, a])
    assert models.revision([]) == ""


def test_the_embedded_encoder_is_there_with_its_licence() -> None:
    card = models.encoder_card("embedded")
    assert card.licence == "Apache-2.0"
    assert len(models.revision(card.files)) == 12


def test_an_encoder_by_file_is_known_by_its_file(tmp_path: Path) -> None:
    (tmp_path / "clip.safetensors").write_bytes(b"weights")
    assert models.encoder_card(f"ViT-B-32:{tmp_path / 'clip.safetensors'}").files == (tmp_path / "clip.safetensors",)
    assert models.encoder_card("ViT-B-32:openai").files == ()


def test_every_default_that_auto_stands_for_is_on_the_card() -> None:
    names = {field.name for field in fields(models.CLASSICAL)}
    assert set(PRIOR_DEFAULTS.values()) <= names
    name, why = models.choose_prior()
    assert models.prior_card(name).name == name
    assert why


def test_an_unknown_prior_is_refused() -> None:
    with pytest.raises(UsageError, match="found 'magic'"):
        models.prior_card("magic")


def test_components_that_are_not_there_are_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(ModelMissingError, match="expected model components"):
        models.component_files(tmp_path)
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "config.json").write_text("{}")
    (tmp_path / "notes.txt").write_text("")
    assert [path.name for path in models.component_files(tmp_path)] == ["config.json"]
