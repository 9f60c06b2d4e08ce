"""A model's path means the same from another folder; what is shared tells no path."""

from pathlib import Path

import pytest

from gifcli.models.names import settled, shown


def test_paths_that_are_there_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path.resolve() / "here"
    (here / "models" / "x").mkdir(parents=True)
    (here / "models" / "weights.pt").touch()
    (here / "models" / "link").symlink_to("x")
    (here / "embedded").mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(here))
    for name in ("models/x", "./models/x", "../here/models/x", "~/models/x", str(here / "models" / "x")):
        assert settled(name) == f"{here}/models/x"
    assert settled("models/link") == f"{here}/models/link"
    assert settled(".") == str(here)
    assert settled("ViT-B-32:models/weights.pt") == f"ViT-B-32:{here}/models/weights.pt"
    for name in ("embedded", "auto", "none", "sd-turbo", "a/b", "a/b@main", "ViT-B-32:laion2b_s34b_b79k", "./nowhere"):
        assert settled(name) == name


def test_what_is_shared_names_the_last_part_of_a_path() -> None:
    told = {"/home/anna/models/x": "x", "ViT-B-32:/home/anna/w.pt": "ViT-B-32:w.pt", "a/b@main": "a/b@main"}
    told |= {name: name for name in ("classical", "sd-turbo", "ViT-B-32:laion2b_s34b_b79k")}
    assert {name: shown(name) for name in told} == told
