"""What others are told of a recipe: everything but where things lie on this machine."""

from pathlib import Path

from gifcli.recipe.published import published
from gifcli.recipe.recipe import dump_recipe, load_recipe


def test_no_path_of_this_machine_is_published(tmp_path: Path) -> None:
    places = ("input.classes", "input.labels", "export.certificate", "export.private_key")
    places += ("prior.name", "prior.lora", "prior.tiny")
    values = {place: str(tmp_path / "mine" / place) for place in places}
    recipe = load_recipe("", {**values, "encoder.name": f"ViT-B-32:{tmp_path}/clip.pt", "rng": 7}, "test")
    told = published(recipe)
    assert str(tmp_path) not in dump_recipe(told)
    assert (told.input.labels, told.prior.lora, told.encoder.name) == ("input.labels", "prior.lora", "ViT-B-32:clip.pt")
    assert (told.export.certificate, told.export.private_key, told.rng) == (None, None, 7)


def test_a_recipe_without_paths_is_published_as_it_is() -> None:
    recipe = load_recipe("", {"prior.name": "stabilityai/sd-turbo"}, "test")
    assert published(recipe) == recipe
