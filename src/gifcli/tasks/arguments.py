"""A resolved recipe -> what priors and stages are called with."""

from typing import Any

from gifcli.models import lora_files, revision
from gifcli.models.names import shown
from gifcli.priors import PriorSettings
from gifcli.recipe.recipe import Recipe
from gifcli.stages.generate import GenerateSettings
from gifcli.stages.optimize import GuidanceSettings


def prior_settings(recipe: Recipe) -> PriorSettings:
    """The prior's settings from a resolved recipe."""
    prior = recipe.prior
    return PriorSettings(
        name=prior.name,
        steps=int(prior.steps),
        strength=float(prior.strength),
        guidance_scale=float(prior.guidance_scale),
        size=recipe.image.size,
        mirror=prior.mirror is True,
        granularity=recipe.guidance.granularity,
        scheduler=prior.scheduler,
        tiny=prior.tiny,
        decoder=prior.decoder,
        lora=prior.lora,
        lora_scale=prior.lora_scale,
        noise_level=prior.noise_level,
    )


def guidance_settings(recipe: Recipe) -> GuidanceSettings:
    """The optimize stage's settings from a resolved recipe."""
    guidance = recipe.guidance
    return GuidanceSettings(
        granularity=guidance.granularity,
        steps=guidance.steps,
        optimizer=guidance.optimizer,
        lr=float(guidance.lr),
        noise_scale=float(guidance.noise_scale),
        keep_norm=bool(guidance.keep_norm),
        eps=float(guidance.eps),
        encoder_size=None if guidance.encoder_size is None else int(guidance.encoder_size),
        retreat=guidance.retreat,
        where=guidance.where,
        at=tuple(guidance.at),
    )


def generate_settings(recipe: Recipe) -> GenerateSettings:
    """The generate stage's settings from a resolved recipe."""
    return GenerateSettings(
        prompt=recipe.prior.prompt,
        domains=tuple(recipe.prior.domains),
        adjectives=tuple(recipe.prior.adjectives),
        suffix=f".{recipe.image.format}",
        quality=recipe.image.quality,
        eps=float(recipe.guidance.eps),
        granularity=recipe.guidance.granularity,
        provenance=_provenance(recipe),
    )


def _provenance(recipe: Recipe) -> dict[str, Any]:
    """What every sample is to say of how it was made; paths stay here, content hashes go out."""
    prior = recipe.prior
    said = {
        "prior": shown(prior.name),
        "dtype": recipe.run.dtype,
        "steps": prior.steps,
        "strength": prior.strength,
        "guidance_scale": prior.guidance_scale,
    }
    if not prior.lora:
        return said
    adapted = {"lora": shown(prior.lora), "lora_scale": prior.lora_scale}
    return said | adapted | {"lora_revision": revision(lora_files(prior.lora))}
