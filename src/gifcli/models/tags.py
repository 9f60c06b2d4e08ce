"""Weights of open_clip models by ARCH:TAG: where they lie on this machine, and getting them before any worker asks."""

from pathlib import Path
from typing import Any

from gifcli.errors import ModelMissingError
from gifcli.models import hub
from gifcli.models.broken import told_if_broken

SAFE, USUAL = "open_clip_model.safetensors", "open_clip_pytorch_model.bin"
"""What open_clip calls weights on the hub unless a tag says otherwise; it takes safetensors where there are any."""


def is_tagged(name: str) -> bool:
    """Whether a name is ARCH:TAG with a tag that open_clip knows."""
    return bool(_config(name))


def tag_files(name: str) -> tuple[Path, ...]:
    """The weights that open_clip takes for ARCH:TAG, where they are on this machine; else none. Opens no connection."""
    identity, _, file = str(_config(name).get("hf_hub", "")).rpartition("/")
    folder = hub.find(identity) if identity else None
    if folder is None:
        return ()
    names = (SAFE, USUAL) if not file else (str(Path(file).with_suffix(".safetensors")), file)
    return tuple(folder / each for each in names if (folder / each).is_file())[:1]


def pull_tag(name: str) -> Path:
    """Downloads the weights and the tokenizer of ARCH:TAG to where open_clip looks for them.

    Raises:
        ModelMissingError: no connection, or this is offline.
    """
    import open_clip
    from open_clip.pretrained import download_pretrained

    if hub.offline():
        raise ModelMissingError(f"{name} cannot be downloaded offline; unset HF_HUB_OFFLINE")
    with told_if_broken(f"{name} cannot be downloaded", hub.NOT_PULLED):
        path = download_pretrained(_config(name))
        open_clip.get_tokenizer(name.partition(":")[0])
    return Path(path)


def need_tag(name: str) -> None:
    """Refuses a tag whose weights are not on this machine; any other name passes.

    Raises:
        ModelMissingError: they are not.
    """
    if is_tagged(name) and not tag_files(name):
        raise ModelMissingError(f"encoder: {name} is not on this machine; get it with: gif models pull {name}")


def _config(name: str) -> dict[str, Any]:
    """What open_clip knows of a tag; nothing where the name is another encoder's, or that of a file."""
    arch, colon, tag = name.partition(":")
    if not (arch and colon and tag) or Path(tag).is_file():
        return {}
    import open_clip

    found: dict[str, Any] = open_clip.get_pretrained_cfg(arch, tag) or {}
    return found
