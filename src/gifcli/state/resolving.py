"""What a recipe leaves open, and what becomes of it: settled once for a run, then kept."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gifcli.errors import UsageError
from gifcli.recipe import settings
from gifcli.recipe.recipe import Recipe, flatten, read_recipe
from gifcli.state.files import ORIGIN, RECIPE, RULES
from gifcli.state.shards import STATE, ShardStore


def own_recipe(root: Path, overrides: Mapping[str, Any]) -> Recipe:
    """The recipe that a run goes on with: what was `auto` is so again, and keeps what it took while nothing else does.

    Raises:
        RecipeError: an override, or the file, has problems.
    """
    autos = (ShardStore(root).load(ORIGIN) or {}).get("auto", [])
    recipe = read_recipe(root / RECIPE, {**dict.fromkeys(autos, "auto"), **overrides})
    if not {"prior", "prior.name"} & overrides.keys():
        own = {f"prior.{name}" for name in type(recipe.prior).model_fields} - overrides.keys()
        recipe.origins.update(dict.fromkeys(own, f"{root}'s own recipe"))
    return recipe


def left_open(recipe: Recipe, resolved: Recipe, stored: settings.Stored, store: ShardStore) -> list[str]:
    """The settings that are left to the prior, the rules or the machine: now, or before and not changed since."""
    asked, taken = (flatten(each.model_dump(mode="json", exclude={"run"})) for each in (recipe, resolved))
    before = {path: value for stage in stored.values() for path, value in stage.items()}
    kept = {path for path in (store.load(ORIGIN) or {}).get("auto", []) if taken[path] == before.get(path, taken[path])}
    return sorted(kept | {path for path, value in asked.items() if value == "auto" and path != "classifier.kind"})


def source_of(root: Path) -> Path:
    """The source folder of a run.

    Raises:
        UsageError: that is not a run folder.
    """
    state = ShardStore(root).load(ORIGIN)
    if state is None:
        raise UsageError(
            f"{root}: expected a run folder of gif (with {STATE} in it), found {_kind(root)}; make one with: gif expand SOURCE"
        )
    return Path(state["source"])


def _kind(path: Path) -> str:
    return "a folder without it" if path.is_dir() else "a file" if path.exists() else "nothing there"


def with_rules(store: ShardStore, recipe: Recipe) -> Recipe:
    """The recipe with what depends on the rules, where there are any yet."""
    rules = store.load(RULES)
    return with_mirror(recipe, mirror=rules["mirror_safe"]) if rules and recipe.prior.mirror == "auto" else recipe


def with_mirror(recipe: Recipe, *, mirror: bool) -> Recipe:
    """The recipe with prior.mirror decided."""
    return recipe.model_copy(update={"prior": recipe.prior.model_copy(update={"mirror": mirror})})


def with_dtype(recipe: Recipe, stored: settings.Stored) -> Recipe:
    """The recipe with the dtype that the run already took, or the best of this machine."""
    if recipe.run.dtype != "auto":
        return recipe
    dtype = stored.get("run", {}).get("run.dtype")
    if dtype is None and recipe.run.engine == "ray":
        from gifcli.engines.cluster import remote_device

        dtype = remote_device(recipe.run.ray_address, recipe.run.device).dtype
    elif dtype is None:
        from gifcli.compute.devices import choose_device

        dtype = choose_device(recipe.run.device, "auto").dtype
    return recipe.model_copy(update={"run": recipe.run.model_copy(update={"dtype": dtype})})
