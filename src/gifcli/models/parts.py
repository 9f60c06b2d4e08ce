"""The models that a prior is made of, by the names that settings give them: checkpoint, tiny autoencoder, LoRA."""

from pathlib import Path

from gifcli.errors import ModelMissingError, UsageError
from gifcli.models import hub
from gifcli.models.checkpoint import Checkpoint, read_checkpoint
from gifcli.wording import did_you_mean


def prior_checkpoint(name: str) -> Checkpoint:
    """The saved model that a prior of that path, hub id or short name is made of.

    Raises:
        ModelMissingError: it is not on this machine, or broken.
        UsageError: that is no name of a prior.
    """
    if not hub.is_model_name(name):
        raise UsageError(
            "prior: expected auto, classical, embedded, a folder, a hub id (OWNER/NAME) or one of "
            f"{', '.join(hub.PRIORS)}; found {name!r}{did_you_mean(name, ['auto', 'classical', 'embedded', *hub.PRIORS])}"
        )
    checkpoint = read_checkpoint(hub.locate(name, "prior"), "prior")
    if checkpoint.kind == "tiny":
        raise ModelMissingError(f"prior: {name} is a tiny autoencoder, which only decodes; give it as prior.tiny")
    return checkpoint


def tiny_checkpoint(name: str) -> Checkpoint | None:
    """The tiny autoencoder of that path, hub id or short name; None for "none".

    Raises:
        ModelMissingError: it is not on this machine, broken, or another model.
    """
    if name == "none":
        return None
    checkpoint = read_checkpoint(hub.locate(name, "prior.tiny"), "prior.tiny")
    if checkpoint.kind != "tiny":
        raise ModelMissingError(f"prior.tiny: expected an AutoencoderTiny in {name}, found {checkpoint.kind}")
    return checkpoint


def lora_files(name: str) -> list[Path]:
    """The weights of a LoRA, a file or a folder of them: what is loaded with `--lora`.

    Raises:
        ModelMissingError: it is not on this machine, or holds no safetensors.
    """
    path = hub.locate(name, "lora")
    usual = path / "pytorch_lora_weights.safetensors"
    files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    files = [usual] if usual.is_file() else files
    if not files or files[0].suffix != ".safetensors":
        raise ModelMissingError(f"lora: expected safetensors weights in {path}, found none; others are not loaded")
    if len(files) > 1:
        raise ModelMissingError(f"lora: expected one file of weights in {path}, found {len(files)}; name one of them")
    return files


def tiny_of(checkpoint: Checkpoint) -> str:
    """The tiny autoencoder that is ready for a checkpoint: in its own folder, or its kind's in the hub's cache."""
    own = checkpoint.folder / "tiny_vae"
    if own.is_dir():
        return str(own)
    known = hub.TINY[checkpoint.kind]
    return known if hub.find(known) else "none"
