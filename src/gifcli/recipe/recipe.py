"""Recipes: YAML and `--set path=value` become one validated, frozen model; all problems are reported at once."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from gifcli.errors import RecipeError
from gifcli.recipe.schema import Recipe
from gifcli.recipe.section import Section
from gifcli.wording import did_you_mean

__all__ = ["Lent", "Recipe", "dump_recipe", "flatten", "load_recipe", "parse_assignments", "read_recipe"]

AUTO = "literal['auto']"
"""What pydantic calls the other half of "a number or auto"; one line for both is enough."""

KINDS = {
    "bool": "true or false",
    "dict": "a section",
    "float": "a number",
    "int": "a whole number",
    "list": "a list",
    "model": "a section",
    "string": "a text",
}
"""First word of a pydantic error type -> what is expected, as a person says it."""


@dataclass(frozen=True, slots=True)
class Lent:
    """The value of an override that comes from elsewhere, such as a variable: where the prior ignores it, it gives way."""

    value: Any
    origin: str


def load_recipe(text: str, overrides: Mapping[str, Any], where: str) -> Recipe:
    """YAML text plus overrides (`path -> value`, e.g. `guides[0].weight`) -> a valid recipe.

    Raises:
        RecipeError: with every problem, each with its path. `where` names the recipe in the message.
    """
    try:
        data = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise RecipeError(f"{where} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise RecipeError(f"{where}: expected settings as `name: value`, found {type(data).__name__}")
    plain = {path: value.value if isinstance(value, Lent) else value for path, value in overrides.items()}
    problems = [(path, problem) for path, value in plain.items() if (problem := _put(data, path, value))]
    try:
        recipe = Recipe.model_validate(data)
    except ValidationError as error:
        found = [problem for problem in error.errors() if problem["loc"][-1:] != (AUTO,)]
        problems += [(_path(problem), _describe(problem)) for problem in found]
    if problems:
        count = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
        blamed = _blamed([path for path, _ in problems], overrides, where) if text else where
        raise RecipeError("\n  ".join([f"{blamed} has {count}", *(problem for _, problem in problems)]))
    recipe.origins.update({path: value.origin for path, value in overrides.items() if isinstance(value, Lent)})
    return recipe


def parse_assignments(assignments: Iterable[str]) -> dict[str, Any]:
    """`["prior.strength=0.5"]` -> `{"prior.strength": 0.5}`; values are YAML.

    Raises:
        RecipeError: one of them has no `=`, or its value is not YAML.
    """
    values = {}
    for assignment in assignments:
        path, equals, value = assignment.partition("=")
        if not equals or not path.strip():
            raise RecipeError(f"--set: expected path=value (such as prior.strength=0.5), found {assignment!r}")
        try:
            values[path.strip()] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise RecipeError(f"--set {path}: the value {value!r} is not valid YAML") from error
    return values


def dump_recipe(recipe: Recipe, *leave_out: str) -> str:
    """The recipe as YAML, every setting written out, but for the sections to leave out."""
    return yaml.safe_dump(recipe.model_dump(mode="json", exclude=set(leave_out)), sort_keys=False, allow_unicode=True)


def flatten(value: Any, path: str = "") -> dict[str, Any]:
    """Nested settings -> `{"prior.strength": 0.5, "guides[0].weight": 1.0}`."""
    if isinstance(value, dict) and value:
        items = {f"{path}.{key}" if path else str(key): inner for key, inner in value.items()}
    elif isinstance(value, list) and value:
        items = {f"{path}[{i}]": inner for i, inner in enumerate(value)}
    else:
        return {path: value}
    return {name: leaf for inner_path, inner in items.items() for name, leaf in flatten(inner, inner_path).items()}


def read_recipe(path: Path, overrides: Mapping[str, Any]) -> Recipe:
    """Reads a recipe file.

    Raises:
        RecipeError: it cannot be read, or has problems.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: expected a readable YAML recipe; {error}") from error
    return load_recipe(text, overrides, str(path))


def _put(data: dict[str, Any], path: str, value: Any) -> str | None:
    """Sets data[a][0][b] for the path `a[0].b`; a problem as text where that is impossible."""
    steps: list[str | int] = [
        int(step) if step.isdecimal() else step for step in re.split(r"[.\[\]]+", path.rstrip("]")) if step
    ]
    if not steps:
        return f"{path}: expected the path of a setting, such as prior.strength"
    here: Any = data
    for depth, step in enumerate(steps[:-1], 1):
        if isinstance(here, dict):
            default = _default_at(steps[:depth]) if isinstance(steps[depth], int) else {}
            here = here.setdefault(str(step), default)
        elif isinstance(here, list) and isinstance(step, int) and step < len(here):
            here = here[step]
        else:
            return f"{path}: there is no such place in the recipe"
        if not isinstance(here, (dict, list)):
            return f"{path}: expected a section at `{step}`, found {here!r}"
    last = steps[-1]
    if isinstance(here, list) and (not isinstance(last, int) or last >= len(here)):
        return f"{path}: there is no such place in the recipe"
    here[last if isinstance(here, list) else str(last)] = value
    return None


def _default_at(steps: list[str | int]) -> Any:
    """The default list at a path, so that `guides[0].weight` works on a recipe that doesn't spell guides out."""
    value: Any = Recipe().model_dump(mode="json")
    for step in steps:
        value = value.get(step, {}) if isinstance(value, dict) else {}
    return value


def _blamed(paths: list[str], overrides: Mapping[str, Any], where: str) -> str:
    """What has problems at these paths: the recipe, what overrides it, or (also for a problem of several settings) both."""
    values = overrides.values()
    lent = sorted({value.origin for value in values if isinstance(value, Lent)})
    asked = " and ".join([*([] if len(lent) == len(values) else ["the command line"]), *lent])
    ours = [any(path and f"{path}.".startswith((f"{each}.", f"{each}[")) for each in overrides) for path in paths]
    if all(ours):
        return asked
    return f"{where} with {asked}" if overrides and (any(ours) or "" in paths) else where


def _location(problem: Any) -> list[str | int]:
    return [step for step in problem["loc"] if step not in {"float", "int", "bool"}]


def _path(problem: Any) -> str:
    """Where a pydantic error is, as `guides[0].weight`; "" where it is of several settings."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in _location(problem)).lstrip(".")


def _describe(problem: Any) -> str:
    """One line for one pydantic error, in our words."""
    location, path = _location(problem), _path(problem)
    found = problem.get("input")
    match problem["type"]:
        case "extra_forbidden":
            return f"{path}: unknown setting{_nearest(location)}"
        case "value_error":
            message = str(problem["ctx"]["error"])
            return f"{path}: {message}" if path else message
        case "literal_error":
            expected = problem["ctx"]["expected"]
            near = did_you_mean(str(found), re.findall(r"'(.*?)'", expected))
            return f"{path}: expected {expected}; found {found!r}{near}"
        case kind if kind.partition("_")[0] in KINDS:
            auto = " or auto" if len(location) < len(problem["loc"]) else ""
            return f"{path}: expected {KINDS[kind.partition('_')[0]]}{auto}; found {found!r}"
        case _:
            message = problem["msg"][0].lower() + problem["msg"][1:]
            return f"{path}: {message.replace('input should be', 'expected')}; found {found!r}"


def _nearest(location: list[str | int]) -> str:
    """The known setting with the nearest name in the same section, as a question."""
    model: Any = Recipe
    for step in location[:-1]:
        if isinstance(step, int):
            continue
        annotation = model.model_fields[step].annotation
        inner = getattr(annotation, "__args__", None)
        model = annotation if isinstance(annotation, type) and issubclass(annotation, Section) else (inner or [None])[0]
        if not (isinstance(model, type) and issubclass(model, Section)):
            return ""
    near = did_you_mean(str(location[-1]), model.model_fields, likeness=0.5)
    return near or f"; known here: {', '.join(model.model_fields)}"
