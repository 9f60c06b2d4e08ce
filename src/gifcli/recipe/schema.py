"""What a recipe may say: one frozen, validated model a section. Unknown keys are refused."""

import re
from typing import Any, Literal

from pydantic import Field, PrivateAttr, field_validator, model_validator

from gifcli.recipe.schema_checks import ChecksSection
from gifcli.recipe.section import Auto, Section


class InputSection(Section):
    """What is read from the source folder."""

    limit: int | None = Field(None, ge=1, description="take at most so many images of each class")
    holdout: float = Field(
        0.0, ge=0, lt=1, description="share of the seeds set aside, per class, before anything sees them"
    )
    max_failures: float = Field(0.05, ge=0, le=1, description="share of unreadable files that is still fine")
    classes: str | None = Field(None, description="YAML file: folder name -> readable class name")
    labels: str | None = Field(None, description="CSV or JSON Lines file: image -> label, instead of class folders")

    @field_validator("holdout", "max_failures", mode="before")
    @classmethod
    def _percent(cls, value: Any) -> Any:
        share = parse_percent(value)
        if str(share).isdecimal() and 1 < int(share) < 100:
            raise ValueError(f"expected a share from 0 to 1, or a percentage; found {value}; did you mean {value}%?")
        return share


class PriorSection(Section):
    """The generative model and how it is sampled."""

    name: str = Field("auto", description="auto, classical, embedded, or a checkpoint: folder, hub id or short name")
    lora: str | None = Field(None, description="LoRA added to the prior: file, folder or hub id")
    lora_scale: float = Field(1.0, ge=-10, le=10, description="how strongly it is added")
    strength: float | Auto = Field("auto", description="how far from the seed, from 0 (the seed) to 1")
    steps: int | Auto = Field("auto", description="denoising steps")
    guidance_scale: float | Auto = Field("auto", description="classifier-free guidance scale; 1 = off")
    scheduler: Auto | Literal["own", "dpm++", "euler", "euler-a", "ddim", "lcm"] = Field(
        "auto", description="how the steps are taken; own = as the checkpoint has it"
    )
    tiny: str = Field("auto", description="tiny autoencoder that guidance decodes with: none, a folder or a hub id")
    decoder: Literal["vae", "tiny"] = Field("vae", description="what images are decoded with in the end")
    noise_level: int = Field(0, ge=0, lt=1000, description="noise on an unCLIP prior's image embedding")
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

    name: str = Field(
        "auto", description="auto, embedded, an open_clip model as ARCH:TAG or ARCH:FILE, or an unCLIP checkpoint"
    )


class ClassifierSection(Section):
    """The classifier that guides and checks ask."""

    kind: Literal["auto", "prototype", "text"] = Field("auto", description="auto = the better one on your seeds")
    max_clusters: int = Field(3, ge=1, le=16, description="prototypes a class, at most")


class GuidanceSection(Section):
    """How the perturbation (z, b) of each seed's latent is optimised."""

    where: Literal["before", "during", "after"] = Field(
        "before", description="on the latent before denoising; on what is predicted during it; on what comes out of it"
    )
    at: list[float] = Field([0.5], description="where: during acts at these points of the denoising, from 0 to 1")
    granularity: Literal["auto", "channel", "element", "token", "vector", "view"] = Field(
        "auto", description="shape of z and b; view = parameters of a view of the seed"
    )
    steps: int = Field(5, ge=0, le=1000, description="ascent steps; 0 = unguided, same noise")
    optimizer: Literal["adam", "sign"] = "adam"
    lr: float | Auto = Field("auto", description="step length, in standard deviations of the latent")
    noise_scale: float | Auto = Field("auto", description="size of the random start, in standard deviations")
    eps: float | Auto = Field("auto", description="largest displacement of an element, in standard deviations")
    keep_norm: bool | Auto = Field(
        "auto", description="true: guidance turns z and b, and leaves them no longer than they were drawn"
    )
    retreat: float = Field(0.75, gt=0, le=1, description="share of the noise that every other attempt starts with")
    encoder_size: int | Auto | None = Field(
        "auto", description="side in pixels at which the encoder looks, 32 to 4096; null = its own"
    )

    @field_validator("at")
    @classmethod
    def _points(cls, value: list[float]) -> list[float]:
        if not value or not all(0 <= point < 1 for point in value):
            raise ValueError(f"expected points of the denoising from 0 to less than 1; found {value}")
        return value

    @field_validator("encoder_size")
    @classmethod
    def _side(cls, value: int | str | None) -> int | str | None:
        return value if value is None or isinstance(value, str) else int(_within(value, 32, 4096))

    @field_validator("lr", "noise_scale", "eps")
    @classmethod
    def _positive(cls, value: float | str) -> float | str:
        return _within(value, 0, 1000)


class GuideSection(Section):
    """One term of the objective."""

    name: Literal["consistency", "entropy", "diversity", "prototype"]
    weight: float = 1.0


class ImageSection(Section):
    """The files that are written."""

    format: Literal["jpg", "png", "webp"] = "jpg"
    quality: int = Field(95, ge=1, le=100)
    size: int | None = Field(None, ge=16, le=4096, description="short side in pixels; null = the prior's own choice")


class ExportSection(Section):
    """What the dataset looks like."""

    to: Literal["imagefolder", "webdataset", "parquet"] = "imagefolder"
    licence: str = Field("unknown", description="of the source images, as you state it")
    certificate: str | None = Field(None, description="PEM file: sign generated files with it (C2PA)")
    private_key: str | None = Field(None, description="PEM file: the key of that certificate")


class RunSection(Section):
    """How and where it runs; nothing here changes what is owed."""

    device: str = Field("auto", description="auto, cpu or cuda:0; with engine: local also several: cuda:0,cuda:1")
    timeout: float = Field(1800.0, gt=0, description="seconds without a sign of life after which a worker is replaced")
    ray_address: str | None = Field(None, description="of a Ray cluster, for engine: ray; null = one on this machine")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    batch_size: int | Auto = "auto"
    engine: Literal["inline", "local", "ray"] = "inline"
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
    guides: list[GuideSection] = Field(
        [
            GuideSection(name="consistency"),
            GuideSection(name="prototype"),
            GuideSection(name="entropy", weight=0.1),
            GuideSection(name="diversity", weight=0.2),
        ]
    )
    checks: ChecksSection = ChecksSection()
    image: ImageSection = ImageSection()
    export: ExportSection = ExportSection()
    run: RunSection = RunSection()
    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    @property
    def origins(self) -> dict[str, str]:
        """Settings that nobody asks for now, by path -> where they come from: a variable, a run's own recipe. No part of it."""
        return self._origins

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
    raise ValueError(f"expected a number from {low} to {high}; found {value:g}")


def parse_percent(value: Any) -> Any:
    """'20%' -> 0.2; anything else as it is."""
    if isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)?%", value.strip()):
        return float(value.strip()[:-1]) / 100
    return value


def parse_ratio(value: Any) -> Any:
    """'5x' -> 5.0; what is no text as it is."""
    if not isinstance(value, str):
        return value
    try:
        return float(value.strip().removesuffix("x").removesuffix("×"))
    except ValueError:
        raise ValueError(f"expected a number such as 5 or 5x; found {value!r}") from None
