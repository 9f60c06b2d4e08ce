"""What is known of each prior and encoder without loading it: files, licence, content hash, default settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from gifcli.errors import ModelMissingError
from gifcli.models import hub
from gifcli.models.checkpoint import Checkpoint
from gifcli.models.encoder_cards import EncoderCard, embedded_encoder_weights, encoder_card
from gifcli.models.hashes import revision
from gifcli.models.parts import lora_files, prior_checkpoint, tiny_checkpoint, tiny_of

__all__ = [
    "CLASSICAL",
    "EMBEDDED",
    "EMBEDDED_FOLDER",
    "EncoderCard",
    "PriorCard",
    "choose_prior",
    "component_files",
    "embedded_encoder_weights",
    "encoder_card",
    "lora_files",
    "prior_card",
    "prior_checkpoint",
    "priors",
    "revision",
    "tiny_checkpoint",
]

RECOMMENDED = "sd-turbo"
"""What `--prior auto` takes on a GPU, if it is there."""


@dataclass(frozen=True, slots=True)
class PriorCard:
    """A prior's facts and defaults. eps, lr and noise_scale are in standard deviations of the latent.

    wheres     where guidance may act: "before", "during", "after"
    scheduler  of a diffusion prior         tiny     the tiny autoencoder that guidance decodes with, or "none"
    encoder    what guides and checks look through, unless another is asked for
    scales     (eps, lr, noise_scale) of granularities where they differ from the card's own
    """

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
    wheres: tuple[str, ...] = ("before",)
    scheduler: str = "own"
    tiny: str = "none"
    encoder: str = "embedded"
    scales: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)

    def at(self, granularity: str) -> "PriorCard":
        """The card for another granularity: its latent is another one, and so are the scales in it."""
        eps, lr, noise_scale = self.scales.get(granularity, (self.eps, self.lr, self.noise_scale))
        return replace(self, granularity=granularity, eps=eps, lr=lr, noise_scale=noise_scale)


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
    granularity="view",
    strength=0.3,
    steps=10,
    guidance_scale=1.0,
    eps=CLASSICAL.eps,
    lr=CLASSICAL.lr,
    noise_scale=CLASSICAL.noise_scale,
    batch_size=32,
    scales=dict.fromkeys(("channel", "element"), (0.8, 0.1, 0.3)) | {"vector": (0.8, 0.1, 0.5)},
)


DIFFUSION = PriorCard(
    name="",
    licence="",
    granularity="channel",
    strength=0.5,
    steps=25,
    guidance_scale=7.5,
    eps=0.8,
    lr=0.1,
    noise_scale=0.3,
    batch_size=8,
    wheres=("before", "during", "after"),
    scheduler="dpm++",
)
"""Stable Diffusion of any version, without distillation (DPM-Solver++, arXiv 2211.01095, in 25 steps)."""

PACES = {
    "full": DIFFUSION,
    "turbo": replace(DIFFUSION, steps=4, guidance_scale=1.0, scheduler="own"),
    "lcm": replace(DIFFUSION, steps=8, guidance_scale=8.0, scheduler="lcm"),
    "lcm-lora": replace(DIFFUSION, steps=8, guidance_scale=1.5, scheduler="lcm"),
}
"""Defaults by how many steps a denoiser was distilled to: none, adversarially (SD-Turbo), or to consistency (LCM)."""

MAE = replace(DIFFUSION, granularity="token", steps=1, guidance_scale=1.0, wheres=("before",), scheduler="own")


def prior_card(name: str, lora: str | None = None) -> PriorCard:
    """The facts of a prior: of one that gifcli has, or of the checkpoint of that path, hub id or short name.

    Raises:
        ModelMissingError: its files, or those of the LoRA, are not on this machine, or broken.
        UsageError: no prior has that name.
    """
    match name:
        case "classical":
            return CLASSICAL
        case "embedded":
            return replace(EMBEDDED, revision=revision(component_files(EMBEDDED_FOLDER)))
        case _:
            return _checkpoint_card(name, prior_checkpoint(name), lora)


def _checkpoint_card(name: str, checkpoint: Checkpoint, lora: str | None) -> PriorCard:
    pace = "lcm-lora" if lora and "lcm" in Path(hub.ALIASES.get(lora, lora)).name.lower() else checkpoint.pace
    defaults = MAE if checkpoint.kind == "mae" else PACES[pace]
    card = replace(defaults, name=name, licence=checkpoint.licence, revision=checkpoint.revision)
    match checkpoint.kind:
        case "mae":
            return card
        case "unclip":
            return replace(
                card, granularity="vector", strength=1.0, guidance_scale=10.0, wheres=("before",), encoder=name
            )
        case _:
            return replace(card, tiny=tiny_of(checkpoint))


def priors() -> list[PriorCard]:
    """Those that are ready on this machine: gifcli's own, and the checkpoints in the hub's cache."""
    found = [prior_card("classical")]
    if (EMBEDDED_FOLDER / "model_index.json").is_file():
        found.append(prior_card("embedded"))
    for name in hub.cached():
        try:
            found.append(prior_card(name))
        except ModelMissingError:  # another kind of model, or not all of one
            continue
    return found


def choose_prior(device: str = "auto") -> tuple[str, str]:
    """What `--prior auto` takes on this machine, and why, as one line; nothing is downloaded for it."""
    if device != "cpu" and hub.find(RECOMMENDED) is not None and _has_gpu():
        return RECOMMENDED, f"a GPU, and {hub.ALIASES[RECOMMENDED]} is in the local cache"
    return "embedded", "the diffusion model inside the package: no download, no GPU"


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


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
