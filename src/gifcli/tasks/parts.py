"""Guides and checks as a recipe wants them."""

from functools import lru_cache, partial
from typing import Any

from gifcli import models
from gifcli.checks import Check, make_check
from gifcli.encoders import Encoder
from gifcli.guides import Weighted, make_guide
from gifcli.guides.classifier import class_prototypes, make_classifier
from gifcli.judge import memory_index
from gifcli.judge.checklist import Wanted, memory_file
from gifcli.judge.memory_index import PriorMemory
from gifcli.judge.safety import load_scorer
from gifcli.recipe.recipe import Recipe
from gifcli.rules.rules import Rules
from gifcli.stages import Tools


def make_checks(recipe: Recipe, rules: Rules) -> dict[str, Check]:
    """All checks by name; they can judge, and those without a model of their own can measure."""
    return {name: make_check(name, settings, rules) for name, settings in _check_settings(recipe).items()}


def make_measures(wanted: Wanted, recipe: Recipe, rules: Rules, encoder: Encoder) -> dict[str, Check]:
    """The checks that are wanted by name, with their models; the others' columns would cost and not be used."""
    settings = _check_settings(recipe)
    settings["label"]["classify"] = partial(make_classifier, rules)
    if "safety" in wanted:
        settings["safety"]["scorer"] = load_scorer()
    if "memorised" in wanted and (file := memory_file(recipe)):
        settings["memorised"]["memory"] = PriorMemory(_index(file, _encoder_revision(recipe)), encoder.images)
    return {name: make_check(name, settings[name], rules) for name in wanted}


def _check_settings(recipe: Recipe) -> dict[str, dict[str, Any]]:
    sections = recipe.checks.model_dump()
    return {name: {key: section[key] for key in section if key != "enabled"} for name, section in sections.items()}


def _encoder_revision(recipe: Recipe) -> str:
    return models.revision(models.encoder_card(recipe.encoder.name).files)


_index = lru_cache(maxsize=1)(memory_index.load)


def make_guides(recipe: Recipe, tools: Tools) -> list[Weighted]:
    """The terms of the objective."""
    assert tools.rules is not None
    classifier, prototypes = make_classifier(tools.rules, tools.device), class_prototypes(tools.rules, tools.device)
    return [Weighted(each.name, each.weight, make_guide(each.name, classifier, prototypes)) for each in recipe.guides]
