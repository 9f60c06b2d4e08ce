"""Recipes: YAML and `--set path=value` become one validated, frozen model; all problems are reported at once."""

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from gifcli.errors import RecipeError

Auto = Literal["auto"]


class Section(BaseModel):
    """A part of a recipe: unknown keys are refused, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class InputSection(Section):
    """What is read from the source folder."""

    limit: int | None = Field(None, ge=1, description="take at most so many images of each class")
    holdout: float = Field(0.0, ge=0, lt=1, description="share of the seeds set aside, per class, before anything sees them")
    max_failures: float = Field(0.05, ge=0, le=1, description="share of unreadable files that is still fine")
    classes: str | None = Field(None, description="YAML file: folder name -> readable class name")

    @field_validator("holdout", "max_failures", mode="before")
    @classmethod
    def _percent(cls, value: Any) -> Any:
        return parse_percent(value)


class PriorSection(Section):
    """The generative model and how it is sampled."""

    name: str = Field("auto", description="auto, classical, embedded, or a diffusers folder or hub id")
    strength: float | Auto = Field("auto", description="how far from the seed, from 0 (the seed) to 1")
    steps: int | Auto = Field("auto", description="denoising steps")
    guidance_scale: float | Auto = Field("auto", description="classifier-free guidance scale; 1 = off")
    mirror: bool | Auto = Field("auto", description="may images be mirrored; auto = if the seeds keep their class")
    prompt: str = Field("a photo of a {label}", description="template with {label}, {domain}, {adjective}")
    domains: list[str] = Field([], description="texts to draw {domain} from")
    adjectives: list[str] = Field([], description="texts to draw {adjective} from")

    @field_validator("strength")
    @classmethod
    def _strength(cls, value: float | str) -> float | str:
        return _within(value, 0, 1)

    @field_validator("steps", "guidance_scale")
    @classmethod
    def _positive(cls, value: float | str) -> float | str:
        return _within(value, 1, 1000)


class EncoderSection(Section):
    """The model that guides and checks look through."""

    name: str = Field("embedded", description="embedded, or an open_clip model as ARCH:TAG or ARCH:FILE")


class ClassifierSection(Section):
    """The classifier that guides and checks ask."""

    kind: Literal["auto", "prototype", "text"] = Field("auto", description="auto = the better one on your seeds")
    max_clusters: int = Field(3, ge=1, le=16, description="prototypes a class, at most")


class GuidanceSection(Section):
    """How the perturbation (z, b) of each seed's latent is optimised."""

    where: Literal["before"] = Field("before", description="before = on the latent, before denoising")
    granularity: Literal["auto", "channel", "element", "token", "vector"] = Field("auto", description="shape of z and b")
    steps: int = Field(5, ge=0, le=1000, description="ascent steps; 0 = unguided, same noise")
    optimizer: Literal["adam", "sign"] = "adam"
    lr: float | Auto = Field("auto", description="step length, in standard deviations of the latent")
    noise_scale: float | Auto = Field("auto", description="size of the random start, in standard deviations")
    eps: float | Auto = Field("auto", description="largest displacement of an element, in standard deviations")
    encoder_size: int | None = Field(128, ge=32, description="side in pixels at which the encoder looks; null = its own")

    @field_validator("lr", "noise_scale", "eps")
    @classmethod
    def _positive(cls, value: float | str) -> float | str:
        return _within(value, 0, 1000)


class GuideSection(Section):
    """One term of the objective."""

    name: Literal["consistency", "entropy", "diversity"]
    weight: float = 1.0


class CheckSection(Section):
    """A check; thresholds left at null are calibrated on the seeds."""

    enabled: bool = True


class LabelSection(CheckSection):
    """Is the class kept?"""

    quantile: float = Field(0.05, ge=0, le=1, description="of the seeds' own leave-one-out p(label)")
    min_prob: float | None = Field(None, ge=0, le=1)
    top_k: int | None = Field(None, ge=1, description="the true label among the first k saves the sample")


class DriftSection(CheckSection):
    """Is it inside the range of its class's features?"""

    quantile: float = Field(0.99, ge=0, le=1)
    max_distance: float | None = Field(None, ge=0)


class UnchangedSection(CheckSection):
    """Is it more than a copy of its seed?"""

    max_similarity: float | None = Field(None, ge=-1, le=1)


class DuplicateSection(CheckSection):
    """Is it near an earlier sample, or another seed?"""

    max_similarity: float | None = Field(None, ge=-1, le=1)
    max_hash_distance: int | None = Field(None, ge=0, le=64)


class BrokenSection(CheckSection):
    """Is it NaN, flat, or blurred?"""

    min_sharpness: float | None = Field(None, ge=0, description="relative to the seed")


class ChecksSection(Section):
    """What a sample must pass."""

    broken: BrokenSection = BrokenSection()
    label: LabelSection = LabelSection()
    drift: DriftSection = DriftSection()
    unchanged: UnchangedSection = UnchangedSection()
    duplicate: DuplicateSection = DuplicateSection()


class ImageSection(Section):
    """The files that are written."""

    format: Literal["jpg", "png", "webp"] = "jpg"
    quality: int = Field(95, ge=1, le=100)
    size: int | None = Field(None, ge=16, le=4096, description="short side in pixels; null = the prior's own choice")


class ExportSection(Section):
    """What the dataset looks like."""

    to: Literal["imagefolder"] = "imagefolder"
    licence: str = Field("unknown", description="of the source images, as you state it")


class RunSection(Section):
    """How and where it runs; nothing here changes what is owed."""

    device: str = Field("auto", description="auto, cpu, cuda:0, or several: cuda:0,cuda:1")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    batch_size: int | Auto = "auto"
    engine: Literal["inline", "local"] = "inline"
    workers: int | Auto = "auto"
    shard_seeds: int = Field(16, ge=1, description="seeds in a shard, when the plan is first made")
    offline: bool = False

    @field_validator("batch_size", "workers")
    @classmethod
    def _count(cls, value: int | str) -> int | str:
        return int(_within(value, 1, 100_000)) if value != "auto" else value


class Recipe(Section):
    """Everything a run is made of."""

    ratio: float | None = Field(None, gt=0, le=1000, description="kept new images for each original; default 5")
    per_class: int | None = Field(None, ge=1, description="images each class is filled up to, originals included")
    balance: bool = Field(False, description="spend the ratio's budget on the smallest classes first")
    max_attempts: int = Field(3, ge=1, le=100, description="tries a slot gets before it is given up")
    rng: int = Field(0, ge=0, description="the random number")
    input: InputSection = InputSection()
    prior: PriorSection = PriorSection()
    encoder: EncoderSection = EncoderSection()
    classifier: ClassifierSection = ClassifierSection()
    guidance: GuidanceSection = GuidanceSection()
    guides: list[GuideSection] = [
        GuideSection(name="consistency"),
        GuideSection(name="entropy", weight=0.5),
        GuideSection(name="diversity"),
    ]
    checks: ChecksSection = ChecksSection()
    image: ImageSection = ImageSection()
    export: ExportSection = ExportSection()
    run: RunSection = RunSection()

    @field_validator("ratio", mode="before")
    @classmethod
    def _times(cls, value: Any) -> Any:
        return parse_ratio(value)

    @model_validator(mode="after")
    def _one_target(self) -> "Recipe":
        if self.per_class is not None and self.ratio is not None:
            raise ValueError("ratio and per_class: expected one of them, found both")
        if self.per_class is not None and self.balance:
            raise ValueError("balance and per_class: expected one of them, found both")
        return self

    @property
    def ratio_or_default(self) -> float:
        """The ratio, 5 unless stated."""
        return 5.0 if self.ratio is None else self.ratio


def _within(value: float | str, low: float, high: float) -> float | str:
    if isinstance(value, str) or low <= value <= high:
        return value
    raise ValueError(f"expected a number from {low} to {high}, got {value:g}")


def parse_percent(value: Any) -> Any:
    """'20%' -> 0.2; anything else as it is."""
    if isinstance(value, str) and value.strip().endswith("%"):
        return float(value.strip()[:-1]) / 100
    return value


def parse_ratio(value: Any) -> Any:
    """'5x' -> 5.0; anything else as it is."""
    if isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)?[x×]?", value.strip()):
        return float(value.strip().rstrip("x×"))
    return value


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
    problems = [problem for path, value in overrides.items() if (problem := _put(data, path, value))]
    try:
        recipe = Recipe.model_validate(data)
    except ValidationError as error:
        problems += [_describe(problem) for problem in error.errors()]
    if problems:
        count = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise RecipeError("\n  ".join([f"{where} has {count}", *problems]))
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


def dump_recipe(recipe: Recipe) -> str:
    """The recipe as YAML, every setting written out."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


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
        int(step) if step.isdigit() else step for step in re.split(r"[.\[\]]+", path.rstrip("]")) if step
    ]
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


def _describe(problem: Any) -> str:
    """One line for one pydantic error, in our words."""
    location = [step for step in problem["loc"] if step not in {"literal['auto']", "float", "int", "bool"}]
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location).lstrip(".")
    found = problem.get("input")
    match problem["type"]:
        case "extra_forbidden":
            return f"{path}: unknown setting{_did_you_mean(location)}"
        case "missing":
            return f"{path}: this setting is needed"
        case "value_error":
            message = str(problem["ctx"]["error"])
            return f"{path}: {message}" if path else message
        case "literal_error":
            return f"{path}: expected {problem['ctx']['expected']}; found {found!r}"
        case _:
            message = problem["msg"][0].lower() + problem["msg"][1:]
            return f"{path}: {message.replace('input should be', 'expected')}, found {found!r}"


def _did_you_mean(location: list[str | int]) -> str:
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
    near = difflib.get_close_matches(str(location[-1]), list(model.model_fields), n=1, cutoff=0.5)
    return f"; did you mean `{near[0]}`?" if near else f"; known here: {', '.join(model.model_fields)}"
