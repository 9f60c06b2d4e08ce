"""What a recipe may say: one frozen, validated model a section. Unknown keys are refused."""

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Auto = Literal["auto"]


class Section(BaseModel):
    """A part of a recipe: unknown keys are refused, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class InputSection(Section):
    """What is read from the source folder."""

    limit: int | None = Field(None, ge=1, description="take at most so many images of each class")
    holdout: float = Field(
        0.0, ge=0, lt=1, description="share of the seeds set aside, per class, before anything sees them"
    )
    max_failures: float = Field(0.05, ge=0, le=1, description="share of unreadable files that is still fine")
    classes: str | None = Field(None, description="YAML file: folder name -> readable class name")

    @field_validator("holdout", "max_failures", mode="before")
    @classmethod
    def _percent(cls, value: Any) -> Any:
        return parse_percent(value)


class PriorSection(Section):
    """The generative model and how it is sampled."""

    name: str = Field("auto", description="auto, classical or embedded")
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

    @field_validator("prompt")
    @classmethod
    def _prompt(cls, value: str) -> str:
        try:
            value.format(label="", domain="", adjective="")
        except (LookupError, ValueError, AttributeError, TypeError):
            known = "{label}, {domain} and {adjective}"
            raise ValueError(f"expected no fields but {known} ({{{{ and }}}} for braces); found {value!r}") from None
        return value

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
    granularity: Literal["auto", "channel", "element", "token", "vector"] = Field(
        "auto", description="shape of z and b"
    )
    steps: int = Field(5, ge=0, le=1000, description="ascent steps; 0 = unguided, same noise")
    optimizer: Literal["adam", "sign"] = "adam"
    lr: float | Auto = Field("auto", description="step length, in standard deviations of the latent")
    noise_scale: float | Auto = Field("auto", description="size of the random start, in standard deviations")
    eps: float | Auto = Field("auto", description="largest displacement of an element, in standard deviations")
    retreat: float = Field(0.75, gt=0, le=1, description="share of the noise that every other attempt starts with")
    encoder_size: int | None = Field(
        128, ge=32, description="side in pixels at which the encoder looks; null = its own"
    )

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
    max_hash_distance: int | None = Field(None, ge=0, le=64)


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

    device: str = Field("auto", description="auto, cpu or cuda:0; with engine: local also several: cuda:0,cuda:1")
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
    max_attempts: int = Field(8, ge=1, le=100, description="tries a slot gets before it is given up")
    rng: int = Field(0, ge=0, lt=2**63, description="the random number")
    input: InputSection = InputSection()
    prior: PriorSection = PriorSection()
    encoder: EncoderSection = EncoderSection()
    classifier: ClassifierSection = ClassifierSection()
    guidance: GuidanceSection = GuidanceSection()
    guides: list[GuideSection] = [
        GuideSection(name="consistency"),
        GuideSection(name="entropy", weight=0.2),
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
    if isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)?%", value.strip()):
        return float(value.strip()[:-1]) / 100
    return value


def parse_ratio(value: Any) -> Any:
    """'5x' -> 5.0; anything else as it is."""
    if isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)?[x×]?", value.strip()):
        return float(value.strip().rstrip("x×"))
    return value
