"""The recipes that gifcli ships."""

from pathlib import Path

from gifcli.errors import RecipeError
from gifcli.wording import did_you_mean


def shelf() -> dict[str, Path]:
    """Name -> file of every shipped recipe."""
    package = Path(__file__).parents[1]
    folders = [package / "recipes", package.parents[1] / "recipes"]  # in a wheel, in a checkout
    files = [path for folder in folders if folder.is_dir() for path in sorted(folder.glob("*.yaml"))]
    return {path.stem: path for path in files}


def shelf_recipe(name: str) -> Path:
    """The file of a shipped recipe.

    Raises:
        RecipeError: there is none of that name.
    """
    recipes = shelf()
    if name not in recipes:
        raise RecipeError(
            f"recipe: expected a YAML file or one of {', '.join(recipes)}; found {name!r}{did_you_mean(name, recipes)}"
        )
    return recipes[name]


def headline(path: Path) -> str:
    """What a recipe is for: the first line of its header."""
    return path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
