"""The recipe for others: what the card shows, and what lies in a dataset that was exported to another place."""

from pathlib import Path

from gifcli.models.names import shown
from gifcli.recipe.recipe import Recipe
from gifcli.recipe.settings import MODELS

FILES = ("input.classes", "input.labels")
"""Settings that name a file of the user, of which others are told the last part alone."""
PRIVATE = ("export.certificate", "export.private_key")
"""Settings of which others are told nothing: a signature tells whose it is."""


def published(recipe: Recipe) -> Recipe:
    """The same recipe without a path of this machine; content hashes of models are in the manifest and the card."""
    data = recipe.model_dump()
    for path in (*FILES, *PRIVATE, *MODELS):
        section, key = path.split(".")
        value = data[section][key]
        if value is not None:
            data[section][key] = None if path in PRIVATE else Path(value).name if path in FILES else shown(str(value))
    return Recipe.model_validate(data)
