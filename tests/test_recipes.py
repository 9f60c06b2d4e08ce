"""Every shipped recipe says what it is for, is valid, differs from the defaults where it says so, and runs as it says."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
import yaml

from documents import ROOT, gif, save_tiny
from gifcli.recipe.recipe import flatten, load_recipe, read_recipe
from gifcli.recipe.schema import Recipe
from gifcli.recipe.shelf import headline, shelf

RECIPES = {path.stem: path for path in sorted((ROOT / "recipes").glob("*.yaml"))}
LAUNCH = re.compile(r"^# Then run: +(gif .+)$", re.MULTILINE)

CHECKPOINTS = {"gif-sd": "sd", "sd-turbo": "sd-turbo", "sdxl-turbo": "sdxl-turbo", "unclip": "unclip", "mae": "mae"}
"""Recipes whose prior is downloaded: they run here on a checkpoint of the same kind with random weights."""


def stand_in(recipe: str, folder: Path) -> list[str]:
    """Flags that put a small checkpoint in the place of a recipe's own."""
    import checkpoints

    prior = checkpoints.save(CHECKPOINTS[recipe], folder / "prior")
    tiny = checkpoints.save("tiny", folder / "tiny_vae")
    few = ["guidance.steps=1", "max_attempts=1"]
    few += [] if recipe == "mae" else ["prior.steps=2", f"prior.tiny={tiny}"]
    return ["--prior", str(prior), *(word for each in few for word in ("--set", each))]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("tiny") / "photos")


def test_the_shelf_holds_them_all() -> None:
    assert (
        set(shelf())
        == set(RECIPES)
        == {
            *("default", "classical", "fine-grained", "texture", "medical", "long-tail"),
            *CHECKPOINTS,
        }
    )


@pytest.mark.parametrize("name", RECIPES)
def test_the_first_line_says_what_it_is_for(name: str) -> None:
    line = headline(RECIPES[name])
    assert re.fullmatch(r"For [^.]+\.", line)
    assert len(line) < 120


@pytest.mark.parametrize("name", RECIPES)
def test_it_says_nothing_that_goes_without_saying(name: str) -> None:
    """Only settings that differ from the defaults; `default` spells the main ones out."""
    recipe, plain = (flatten(made.model_dump()) for made in (read_recipe(RECIPES[name], {}), Recipe()))
    given = flatten(yaml.safe_load(RECIPES[name].read_text(encoding="utf-8")))
    assert given
    if name == "default":
        assert read_recipe(RECIPES[name], {}) == load_recipe("ratio: 5", {}, "here")
    else:
        same = {path for path in given if recipe[path] == plain.get(path)}
        assert {path.partition("[")[0] for path in same} <= {"guides"}  # a list is given whole


@pytest.mark.parametrize("name", RECIPES)
def test_its_launch_line_runs(
    name: str, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [line] = LAUNCH.findall(RECIPES[name].read_text(encoding="utf-8"))
    words = shlex.split(line)
    assert words[:2] == ["gif", "expand"]
    assert words[words.index("--recipe") + 1] == name
    shutil.copytree(tiny, tmp_path / words[2])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIF_RATIO", "1x")
    own = stand_in(name, tmp_path) if name in CHECKPOINTS else []
    code = gif(*words[1:], *own, "--set", "guidance.encoder_size=64", "--quiet")
    assert code in ({0, 4} if own else {0})  # what comes of random weights is no photograph
    assert "originals + " in capsys.readouterr().out
    [run] = [path for path in tmp_path.iterdir() if (path / ".gifcli").is_dir()]
    asked = flatten(yaml.safe_load(RECIPES[name].read_text(encoding="utf-8")))
    ran = flatten(read_recipe(run / "recipe.yaml", {}).model_dump())
    stated = {"ratio", "prior.name", "guidance.steps"} if own else {"ratio"}
    for path, value in asked.items():
        assert path in stated or value in ("auto", ran[path]), path
