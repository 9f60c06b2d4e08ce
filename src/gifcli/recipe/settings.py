"""Which setting belongs to which stage; fingerprints; what a changed setting means for a run that has begun."""

from collections.abc import Callable, Mapping
from typing import Any

from gifcli import models
from gifcli.errors import UsageError
from gifcli.judge import safety
from gifcli.models.names import settled
from gifcli.models.prior_cards import LOOKS_AT, PriorCard
from gifcli.recipe.ignored import heeded, kept
from gifcli.recipe.recipe import Recipe, flatten
from gifcli.state.shards import digest

STAGES = ("extract", "optimize", "generate", "filter", "export")

OWNED = {
    "extract": ("input.holdout", "prior.name", "image.size", "encoder.", "classifier."),
    "optimize": ("rng", "prior.strength", "prior.mirror", "prior.tiny", "guidance.", "guides"),
    "generate": (
        "prior.steps",
        "prior.guidance_scale",
        "prior.prompt",
        "prior.domains",
        "prior.adjectives",
        "prior.scheduler",
        "prior.decoder",
        "prior.noise_level",
        "prior.lora",
        "image.format",
        "image.quality",
    ),
    "filter": ("checks.",),
    "export": ("export.",),
}

PRIOR_DEFAULTS = {
    "prior.strength": "strength",
    "prior.steps": "steps",
    "prior.guidance_scale": "guidance_scale",
    "prior.scheduler": "scheduler",
    "prior.tiny": "tiny",
    "encoder.name": "encoder",
    "guidance.granularity": "granularity",
    "guidance.lr": "lr",
    "guidance.noise_scale": "noise_scale",
    "guidance.eps": "eps",
    "guidance.keep_norm": "keep_norm",
}

MODELS = {
    "prior.name": "prior.revision",
    "prior.lora": "prior.lora_revision",
    "prior.tiny": "prior.tiny_revision",
    "encoder.name": "encoder.revision",
}
"""Settings that name a model -> its content hash, which alone decides whether it is the same one."""

FILES = ("input.classes", "input.labels", "export.certificate", "export.private_key")
"""Settings that name other files."""

Stored = Mapping[str, Mapping[str, Any]]


def resolve(recipe: Recipe, stored: Stored, warn: Callable[[str], None] = lambda _text: None) -> Recipe:
    """Replaces `auto` by what the run already took, else by the prior's own default; paths become absolute.

    `run` stays as it is, and so does prior.mirror, which the rules decide. `warn` hears what the machine's prior ignores.

    Raises:
        UsageError: the prior ignores what the recipe sets, or cannot be guided there.
        ModelMissingError: the prior is not on this machine.
    """
    taken = {path: value for stage in stored.values() for path, value in stage.items()}
    name = recipe.prior.name
    if name == "auto":
        name = taken.get("prior.name", models.choose_prior(recipe.run.device)[0])
    name = settled(name)
    card = models.prior_card(name, recipe.prior.lora)
    if name != taken.get("prior.name"):  # those were for another prior; or for the same one, in another place
        same = card.revision == taken.get("prior.revision")
        taken = {path: value for path, value in taken.items() if same and path not in MODELS}
    prior = heeded(recipe.prior, card, warn, {**recipe.origins, **kept(recipe.prior, taken)})
    data = {**recipe.model_dump(), "prior": prior.model_dump() | {"name": name}}
    asked = recipe.guidance.granularity
    granularity = taken.get("guidance.granularity", asked) if asked == "auto" else asked
    if taken.get("guidance.granularity", granularity) != granularity:  # nor are the scales those of another latent
        taken = {path: value for path, value in taken.items() if not path.startswith("guidance.")}
    card = card if granularity == "auto" else card.at(granularity)
    _take_defaults(data, taken, card)
    for path in (*MODELS, *FILES):
        section, key = path.split(".")
        if data[section][key]:
            data[section][key] = settled(data[section][key])
    if recipe.checks.safety.enabled == "auto":
        installed = safety.model_file() is not None
        data["checks"]["safety"]["enabled"] = stored.get("filter", {}).get("checks.safety.enabled", installed)
    if recipe.guidance.where not in card.wheres:
        raise UsageError(
            f"guidance.where: the prior {card.name} takes {', '.join(card.wheres)}; found {recipe.guidance.where}"
        )
    return Recipe.model_validate(data)


def _take_defaults(data: dict[str, Any], taken: Mapping[str, Any], card: PriorCard) -> None:
    """Replaces `auto` in the recipe's data by what was taken before, else by the prior's own default."""
    for path, fact in PRIOR_DEFAULTS.items():
        section, key = path.split(".")
        if data[section][key] == "auto":
            data[section][key] = taken.get(path, getattr(card, fact))
    if data["guidance"]["encoder_size"] == "auto":
        encoder = settled(data["encoder"]["name"])
        own = card.looks_at if encoder == "embedded" else LOOKS_AT
        same = encoder == taken.get("encoder.name")
        data["guidance"]["encoder_size"] = taken.get("guidance.encoder_size", own) if same else own


def stage_settings(recipe: Recipe) -> dict[str, dict[str, Any]]:
    """Every setting under the stage whose results it decides, with the content hashes of the models."""
    flat = flatten(recipe.model_dump(mode="json"))
    card = models.prior_card(recipe.prior.name)
    encoder = models.encoder_card(recipe.encoder.name)
    flat["prior.revision"] = card.revision
    lora, tiny = recipe.prior.lora, models.tiny_checkpoint(recipe.prior.tiny)
    flat["prior.lora_revision"] = models.revision(models.lora_files(lora)) if lora else ""
    flat["prior.tiny_revision"] = tiny.revision if tiny else ""
    flat["encoder.revision"] = encoder.revision
    owned = {stage: {path: flat[path] for path in flat if path.startswith(OWNED[stage])} for stage in STAGES}
    owned["extract"]["prior.revision"] = card.revision
    if card.scales:  # such a prior's latents, which extract makes, follow from it
        owned["extract"]["guidance.granularity"] = flat["guidance.granularity"]
    return owned


def fingerprints(settings: Stored, rules: str) -> dict[str, str]:
    """One hash a stage: its own settings, those of all stages before it, and from optimize on the rules."""
    result, before = {}, ""
    for stage in STAGES:
        own = {path: value for path, value in settings[stage].items() if not settings[stage].get(MODELS.get(path, ""))}
        before = digest([before, own, rules if stage == "optimize" else ""])
        result[stage] = before
    return result


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What differs between two sets of settings, as a person reads it.

    A revision that was "" is none: those files came only when the model was first loaded. A model of the same content is
    the same one, whatever its name or place.
    """
    unknown = {path for path, value in old.items() if path.endswith("revision") and value == ""}
    unknown |= {path for path, content in MODELS.items() if old.get(content) and old[content] == new.get(content)}
    return [
        f"{path} was {_show(old, path)}, now {_show(new, path)}"
        for path in sorted({*old, *new} - unknown)
        if old.get(path) != new.get(path)
    ]


def _show(settings: Mapping[str, Any], path: str) -> str:
    return repr(settings[path]).strip("'") if path in settings else "unset"
