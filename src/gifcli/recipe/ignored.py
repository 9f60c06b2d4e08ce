"""Settings that a prior does not read: refused, so that nobody takes them for the cause of what they see."""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from gifcli.errors import UsageError
from gifcli.models import PriorCard
from gifcli.recipe.recipe import flatten
from gifcli.recipe.schema import PriorSection

NOT_ASKED = ("name", "mirror")
"""`mirror` is written out as the rules found it, whichever the prior is."""
Origins = Mapping[str, str]
NO_ORIGINS: Origins = MappingProxyType({})
KEPT = ""
"""Origin of a setting that the run was begun with: it stays as it is."""


def heeded(
    prior: PriorSection, card: PriorCard, warn: Callable[[str], None], origins: Origins = NO_ORIGINS
) -> PriorSection:
    """The section without those ignored settings that nobody asks for, which `warn` is told of.

    Nobody asks for what has an origin (path -> KEPT, a variable, a file), nor, where the prior was left to the machine, for
    anything but a LoRA.

    Raises:
        UsageError: something else is ignored.
    """
    found = {name: value for name, value in ignored(prior, card).items() if origins.get(f"prior.{name}") != KEPT}
    asked = [name for name in found if f"prior.{name}" not in origins]
    lent = [name for name in found if name not in asked]
    if asked and (prior.name != "auto" or "lora" in asked):
        them = "them" if len(asked) > 1 else "it"
        raise UsageError(f"{_problem(prior, card, asked)}; leave {them} out, or take another --prior")
    if asked:
        warn(f"{_problem(prior, card, asked)}; a recipe for another prior should name it (--prior)")
    if lent:
        where = ", ".join(dict.fromkeys(origins[f"prior.{name}"] for name in lent))
        warn(f"{_problem(prior, card, lent)}; left out, it comes from {where}")
    return prior.model_copy(update=found)


def kept(prior: PriorSection, stored: Mapping[str, Any]) -> dict[str, str]:
    """Paths of the settings with which a run was begun already -> KEPT."""
    same = {}
    for name, value in prior.model_dump(mode="json").items():
        own = {path: was for path, was in stored.items() if path.partition("[")[0] == f"prior.{name}"}
        if own == flatten(value, f"prior.{name}"):
            same[f"prior.{name}"] = KEPT
    return same


def ignored(prior: PriorSection, card: PriorCard) -> dict[str, Any]:
    """The settings that are asked for and change nothing: name -> what says nothing, the card's own or the default."""
    default = PriorSection()
    free = _free(prior, card)
    silent = {name: (getattr(card, name, getattr(default, name)), getattr(default, name), "auto") for name in free}
    return {
        name: silent[name][0]
        for name in PriorSection.model_fields
        if name in free and getattr(prior, name) not in silent[name]
    }


def without_ignored(settings: Mapping[str, Any], prior: PriorSection, card: PriorCard) -> dict[str, Any]:
    """Flat settings without those that the prior ignores, whatever they say, and without the hashes of such models."""
    free = {f"prior.{name}" for name in _free(prior, card)}
    return {
        path: value for path, value in settings.items() if path.partition("[")[0].removesuffix("_revision") not in free
    }


def _free(prior: PriorSection, card: PriorCard) -> set[str]:
    free = {name for name in PriorSection.model_fields if name not in card.takes and name not in NOT_ASKED}
    return free if prior.lora is not None else free | {"lora_scale"}


def _problem(prior: PriorSection, card: PriorCard, names: Iterable[str]) -> str:
    asked = ", ".join(f"prior.{name} = {getattr(prior, name)!r}" for name in names)
    taken = ", ".join(sorted(card.takes - set(names)))
    return f"the prior {card.name} ignores {asked}; of prior's settings it takes {taken}"
