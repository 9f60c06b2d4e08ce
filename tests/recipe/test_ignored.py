"""A setting that the prior does not read is refused, and what a card says that it takes is what its code reads."""

import json
import shutil
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from skimage import data

import checkpoints
from documents import gif
from gifcli.compute.batches import SeedBatch, pixels_to_tensor
from gifcli.encoders import make_encoder
from gifcli.errors import UsageError
from gifcli.models import CLASSICAL, EMBEDDED, prior_card
from gifcli.models.prior_cards import MAE
from gifcli.noise import NoiseSource, Slot
from gifcli.priors import PriorSettings, make_prior
from gifcli.recipe.ignored import heeded, ignored
from gifcli.recipe.recipe import Lent, dump_recipe, load_recipe
from gifcli.recipe.schema import PriorSection, Recipe
from gifcli.recipe.settings import resolve
from gifcli.recipe.shelf import shelf
from runs import stamps, tree

READ = set()
TEXTS = {"prompt", "domains", "adjectives"}
"""Read where the prompt is made, not by the prior."""


@dataclass(frozen=True)
class Watched(PriorSettings):
    """Settings that note which of them are read."""

    def __getattribute__(self, name: str) -> Any:
        if sys._getframe(1).f_globals["__name__"] != "dataclasses":  # whose `replace` copies all
            READ.add(name)
        return super().__getattribute__(name)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for kind in ("sd", "unclip", "mae"):
        checkpoints.save(kind, folder / kind)
    return folder


def recipe(**changes: Any) -> Recipe:
    return load_recipe("", {f"prior.{name}": value for name, value in changes.items()}, "test")


def resolved(**changes: Any) -> Recipe:
    return resolve(recipe(**changes), {})


@pytest.mark.parametrize("kind", ["classical", "embedded", "sd", "unclip", "mae"])
def test_a_card_takes_what_its_prior_reads(models: Path, kind: str) -> None:
    name = kind if kind in ("classical", "embedded") else str(models / kind)
    card = prior_card(name)
    READ.clear()
    options = {"steps": 2, "strength": 0.5, "guidance_scale": 1.0, "size": None, "mirror": False}
    prior = make_prior(Watched(name, **options, granularity=card.granularity))
    pixels = pixels_to_tensor(data.chelsea()[None, :32, :32].copy())
    seeds = SeedBatch(["a"], torch.zeros(1, dtype=torch.int64), ["cat"], pixels, torch.zeros(1, 8))
    encoder = make_encoder(name if kind == "unclip" else "embedded")
    f = prior.encode(seeds)
    prior.features(f, seeds, encoder)
    image = prior.sample(f, seeds, prior.condition(["x"], seeds), NoiseSource(0, [Slot("a", 0, 0)]))
    assert np.isfinite(image.numpy()).all()
    read = READ & {field.name for field in fields(PriorSettings)} - {"name", "size", "granularity"}
    assert read == card.takes - TEXTS - {"lora_scale"}  # which is read where there is a LoRA
    assert bool(TEXTS & card.takes) == (kind in ("sd", "unclip"))


def test_all_that_is_ignored_is_said_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        resolved(name="classical", steps=4, prompt="a {label}", strength=0.5, lora="x.safetensors", decoder="vae")
    assert str(caught.value) == (
        "the prior classical ignores prior.lora = 'x.safetensors', prior.steps = 4, prior.prompt = 'a {label}'; of prior's "
        "settings it takes mirror, strength; leave them out, or take another --prior"
    )
    with pytest.raises(UsageError, match=r"ignores prior\.lora_scale = 0\.5; .* leave it out"):
        resolved(name="embedded", lora_scale=0.5)


def test_the_defaults_auto_and_the_cards_own_say_nothing() -> None:
    default = PriorSection().model_dump()
    for card in (CLASSICAL, EMBEDDED, MAE):
        assert ignored(PriorSection(), card) == {}
        own = {name: getattr(card, name) for name in ("steps", "guidance_scale", "scheduler", "tiny")}
        assert ignored(PriorSection(**{**default, **own, "mirror": True}), card) == {}


def test_where_the_machine_chose_the_prior_it_is_a_warning_but_for_a_lora() -> None:
    heard: list[str] = []
    made = resolve(recipe(prompt="a {label}", noise_level=3), {"extract": {"prior.name": "classical"}}, heard.append)
    assert made.prior.prompt == PriorSection().prompt  # what is written out is what was done
    assert made.prior.noise_level == 0
    [said] = heard
    assert said.startswith("the prior classical ignores prior.noise_level = 3, prior.prompt = 'a {label}'; of prior's")
    with pytest.raises(UsageError, match=r"prior\.lora = 'x'"):
        heeded(PriorSection(lora="x"), MAE, heard.append)
    assert len(heard) == 1


def test_what_a_variable_sets_gives_way_to_a_prior_that_ignores_it() -> None:
    heard: list[str] = []
    lent = {"prior.steps": Lent(8, "GIF_STEPS"), "prior.strength": Lent(0.5, "GIF_STRENGTH"), "prior.name": "classical"}
    made = resolve(load_recipe("", lent, "test"), {}, heard.append)
    assert (made.prior.steps, made.prior.strength) == (1, 0.5)
    [said] = heard
    assert "ignores prior.steps = 8; of prior's settings it takes mirror, strength; left out" in said
    assert said.endswith("it comes from GIF_STEPS")
    with pytest.raises(UsageError, match=r"ignores prior\.prompt = 'x'; of"):
        resolve(load_recipe("", {**lent, "prior.prompt": "x"}, "test"), {}, heard.append)


def test_a_run_that_began_with_what_its_prior_ignores_goes_on(
    finished: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a version before this rule made it."""
    file, settings = finished / "recipe.yaml", finished / ".gifcli" / "settings.json"
    old = {"prior.prompt": "a {label}", "prior.domains[0]": "ink"}
    text = file.read_text().replace("a photo of a {label}", "a {label}").replace("domains: []", "domains: [ink]")
    file.write_text(text)
    stored = json.loads(settings.read_text())
    del stored["generate"]["prior.domains"]
    settings.write_text(json.dumps({**stored, "generate": {**stored["generate"], **old}}))
    made = {path: time for path, time in stamps(finished).items() if "generate" in path}
    for line in (
        ["export", str(finished)],
        ["filter", str(finished), "--dry-run"],
        ["run", str(file), str(photos), "-o", str(finished)],
    ):
        assert gif(*line) == 0, line
        assert "ignores" not in capsys.readouterr().err
    assert "prompt: a {label}" in file.read_text()
    assert gif("export", str(finished), "--prompt", "another {label}") == 2
    assert "ignores prior.prompt = 'another {label}'; of" in capsys.readouterr().err
    default = ["--set", "prior.prompt=a photo of a {label}", "--set", "prior.domains=[]"]
    assert gif("expand", str(photos), "-o", str(finished), *default) == 0
    assert "prompt: a photo of a {label}" in file.read_text()
    assert {path: time for path, time in stamps(finished).items() if "generate" in path} == made


def test_what_a_stopped_runs_own_recipe_says_and_its_prior_ignores_is_told_of_once(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = finished / "recipe.yaml"
    file.write_text(file.read_text().replace("a photo of a {label}", "a {label}"))
    assert gif("export", str(finished)) == 0
    assert f"left out, it comes from {finished}'s own recipe" in capsys.readouterr().err
    assert gif("export", str(finished)) == 0
    assert "ignores" not in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["classical", "embedded", "sd", "unclip", "mae"])
def test_what_a_run_writes_out_is_a_recipe_for_another(models: Path, kind: str) -> None:
    name = kind if kind in ("classical", "embedded") else str(models / kind)
    made = resolved(name=name, mirror=True)
    again = load_recipe(dump_recipe(made, "run"), {}, "recipe.yaml")
    assert resolve(again, {}) == made


@pytest.mark.parametrize("name", shelf())
def test_shipped_recipes_set_nothing_that_their_prior_ignores(models: Path, name: str) -> None:
    kinds = {"gif-sd": "sd", "sd-turbo": "sd", "sdxl-turbo": "sd", "unclip": "unclip", "mae": "mae"}
    asked = load_recipe(shelf()[name].read_text(encoding="utf-8"), {}, name)
    prior = str(models / kinds[name]) if name in kinds else asked.prior.name
    assert ignored(asked.prior, prior_card("embedded" if prior == "auto" else prior)) == {}


def test_every_door_refuses_them(
    finished: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = tree(finished)
    new, steps = str(tmp_path / "new"), ["--steps", "4"]
    for line in (
        ["expand", str(photos), "-o", new, "--prior", "classical", *steps],
        ["expand", str(photos), "-o", new, "--prior", "classical", *steps, "--dry-run"],
        ["expand", str(photos), "-o", str(finished), *steps],
        ["generate", str(finished), *steps],
        ["filter", str(finished), *steps, "--dry-run"],
        ["adapt", str(photos), "-o", new, "--prior", "embedded", "--prompt", "a {label}"],
    ):
        assert gif(*line) == 2, line
        said = capsys.readouterr().err
        assert ("ignores prior.steps = 4" in said) != ("ignores prior.prompt" in said), said
        assert said.count("error: ") == 1
    assert tree(finished) == before
    assert not (tmp_path / "new").exists()
    shutil.copy(finished / "recipe.yaml", tmp_path / "recipe.yaml")
    line = ["extract", str(photos), "-o", new, "--recipe", str(tmp_path / "recipe.yaml"), "--quiet"]
    assert gif(*line) == 0
