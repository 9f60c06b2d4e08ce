"""Settings that a prior does not read: refused, so that nobody takes them for the cause of what they see."""

from collections.abc import Callable
from typing import Any

from gifcli.errors import UsageError
from gifcli.models import PriorCard
from gifcli.recipe.schema import PriorSection

NOT_ASKED = ("name", "mirror")
"""`mirror` is written out as the rules found it, whichever the prior is."""


def heeded(prior: PriorSection, card: PriorCard, warn: Callable[[str], None]) -> PriorSection:
    """The section without what the prior ignores, which `warn` is told of: the prior was left to the machine.

    Raises:
        UsageError: the section names the prior, or a LoRA is among what it ignores.
    """
    found = ignored(prior, card)
    if not found:
        return prior
    asked = ", ".join(f"prior.{name} = {getattr(prior, name)!r}" for name in found)
    taken = ", ".join(sorted(card.takes - found.keys()))
    problem = f"the prior {card.name} ignores {asked}; of prior's settings it takes {taken}"
    if prior.name != "auto" or "lora" in found:
        raise UsageError(f"{problem}; leave {'them' if len(found) > 1 else 'it'} out, or take another --prior")
    warn(f"{problem}; a recipe for another prior should name it (--prior)")
    return prior.model_copy(update=found)


def ignored(prior: PriorSection, card: PriorCard) -> dict[str, Any]:
    """The settings that are asked for and change nothing: name -> what says nothing, the card's own or the default."""
    free = {name for name in PriorSection.model_fields if name not in card.takes and name not in NOT_ASKED}
    if prior.lora is None:
        free.add("lora_scale")
    default = PriorSection()
    silent = {name: (getattr(card, name, getattr(default, name)), getattr(default, name), "auto") for name in free}
    return {
        name: silent[name][0]
        for name in PriorSection.model_fields
        if name in free and getattr(prior, name) not in silent[name]
    }
