"""What flows from stage to stage: Source -> Seed -> Noise -> Sample. Plain numpy, no torch, no files."""

from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]
Scores = dict[str, float]


@dataclass(frozen=True, slots=True)
class Source:
    """One usable file of the source folder, before its pixels are decoded.

    `key` identifies the seed: the first 16 hex digits of the sha256 of sha256, label and split, joined by zero bytes.
    """

    key: str
    label: str
    split: str
    path: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Failure:
    """A file of the source folder that could not be used, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Seed:
    """A source image, checked and prepared.

    pixels   (h w 3) uint8 sRGB, at the working size
    latent   the prior's latent f, float32, any shape
    feature  (d) float32, unit norm, in the encoder's space
    mirrored (d) float32, unit norm: the feature of the mirrored image
    measures what the checks want to know of the seeds, such as sharpness
    phash    64-bit perceptual hash
    width, height  of the source image, in pixels, EXIF orientation applied
    """

    key: str
    label: str
    split: str
    path: str
    sha256: str
    width: int
    height: int
    pixels: Array
    latent: Array
    feature: Array
    mirrored: Array
    measures: Scores = field(default_factory=dict)
    phash: int = 0


@dataclass(frozen=True, slots=True)
class Noise:
    """One guided perturbation (z, b) of a seed's latent, with the guides' scores at the start and at the end."""

    seed: str
    k: int
    attempt: int
    z: Array
    b: Array
    scores_start: Scores
    scores_end: Scores


@dataclass(frozen=True, slots=True)
class Sample:
    """One generated image, encoded as the file that will be exported.

    `info` is its provenance: prior, revision, dtype, steps, strength, guidance_scale, prompt, rng, ...
    """

    seed: str
    k: int
    attempt: int
    image: bytes
    suffix: str
    width: int
    height: int
    info: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Name of the sample, unique in a run."""
        return f"{self.seed}-k{self.k}-a{self.attempt}"
