"""What is known of each prior and encoder without loading it: files, licence, content hash, default settings."""

from dataclasses import replace
from pathlib import Path

from gifcli.errors import ModelMissingError
from gifcli.models import hub
from gifcli.models.checkpoint import Checkpoint
from gifcli.models.encoder_cards import EncoderCard, embedded_encoder_weights, encoder_card
from gifcli.models.hashes import revision
from gifcli.models.names import shown
from gifcli.models.parts import lora_files, prior_checkpoint, tiny_checkpoint, tiny_of
from gifcli.models.prior_cards import CLASSICAL, EMBEDDED, MAE, PACES, PriorCard

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

EMBEDDED_FOLDER = Path(__file__).parent / "embedded"


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
    card = replace(defaults, name=shown(name), licence=checkpoint.licence, revision=checkpoint.revision)
    match checkpoint.kind:
        case "mae":
            return card
        case "unclip":
            return replace(
                card,
                granularity="vector",
                strength=1.0,
                guidance_scale=10.0,
                takes=card.takes | {"noise_level"},
                wheres=("before",),
                encoder=name,
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
