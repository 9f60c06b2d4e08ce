"""Where the files of a model lie: a local folder, or a snapshot in the hub's cache. Finding opens no connection; pulling does."""

import fnmatch
import os
import re
from collections.abc import Sequence
from pathlib import Path

from gifcli.errors import ModelMissingError, UsageError
from gifcli.models.broken import told_if_broken
from gifcli.wording import did_you_mean

PRIORS = {
    "sd-1.5": "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "sd-turbo": "stabilityai/sd-turbo",
    "sdxl": "stabilityai/stable-diffusion-xl-base-1.0",
    "sdxl-turbo": "stabilityai/sdxl-turbo",
    "lcm": "SimianLuo/LCM_Dreamshaper_v7",
    "unclip": "stabilityai/stable-diffusion-2-1-unclip-small",
    "mae": "facebook/vit-mae-large",
}
"""Short names of priors on the hub."""

ALIASES = {
    **PRIORS,
    "taesd": "madebyollin/taesd",
    "taesdxl": "madebyollin/taesdxl",
    "lcm-lora": "latent-consistency/lcm-lora-sdv1-5",
    "lcm-lora-sdxl": "latent-consistency/lcm-lora-sdxl",
}
"""Short names of hub ids, for --prior, --lora and `gif models pull`; any other id works as well."""

FITTING = {"prior.tiny": ("none", "taesd", "taesdxl"), "lora": ("lcm-lora", "lcm-lora-sdxl")}
"""Setting -> the short names that make sense there."""

TINY = {"sd": "taesd", "unclip": "taesd", "sdxl": "taesdxl"}
"""The tiny autoencoder (TAESD) of each kind of checkpoint."""

NOT_PULLED = "check the network and the id; some ask to accept terms and log in (hf auth login); one in a folder is taken by its path"

OFF = ("", "0", "false", "no", "off")
"""Values of HF_HUB_OFFLINE that mean online."""

_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")
_LEFT_OUT = ("safety_checker/*", "*/flax_*", "*/openvino_*", "*non_ema*", "*/onnx/*", "*ema_only*")
_SMALL = ("*.json", "*.txt", "*.model", "README.md", "LICENSE*")


def offline() -> bool:
    """Whether no connection may be opened: --offline, or HF_HUB_OFFLINE in the environment."""
    return os.environ.get("HF_HUB_OFFLINE", "").lower() not in OFF


def go_offline(wanted: bool) -> None:
    """Tells the libraries that fetch models to stay off the network, where that is wanted."""
    if wanted:
        os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")  # read when those libraries are imported


def hub_id(name: str) -> str | None:
    """The hub id that a name stands for (OWNER/NAME or OWNER/NAME@REVISION), None where it is no id."""
    if Path(name).exists():
        return None
    name = ALIASES.get(name, name)
    return name if _ID.fullmatch(name) and not name.startswith(("./", "../")) else None


def is_model_name(name: str) -> bool:
    """Whether a name may stand for a model: a path that is there or looks like one, a short name, or a hub id."""
    return Path(name).exists() or name.startswith((".", "/", "~")) or hub_id(name) is not None


def find(name: str) -> Path | None:
    """The folder (or file) of a model on this machine, None where a hub id is not in the cache; opens no connection."""
    path = Path(name).expanduser()
    if path.exists():
        return path
    return _snapshot(identity) if (identity := hub_id(name)) else None


def is_missing(name: str) -> bool:
    """Whether a name is that of a model on the hub which is not on this machine and may be downloaded."""
    return not offline() and ":" not in name and hub_id(name) is not None and find(name) is None


def locate(name: str, what: str) -> Path:
    """The folder of a model on this machine; `what` is the flag or setting that named it.

    Raises:
        ModelMissingError: it is not there.
        UsageError: that is neither a path nor a hub id.
    """
    if (found := find(name)) is not None:
        return found
    if (identity := hub_id(name)) is not None:
        how = "this is offline; get it where there is a network" if offline() else "get it"
        raise ModelMissingError(f"{what}: {identity} is not on this machine; {how} with: gif models pull {name}")
    if is_model_name(name):
        raise ModelMissingError(f"{what}: expected a model in {name}, found no such folder")
    known = FITTING.get(what, tuple(ALIASES))
    raise UsageError(
        f"{what}: expected a path that is there, a hub id (OWNER/NAME) or one of {', '.join(known)}; "
        f"found {name!r}{did_you_mean(name, known)}"
    )


def pull(name: str) -> Path:
    """Downloads what is needed of a model into the hub's cache: configuration, tokenizer, safetensors weights.

    Raises:
        ModelMissingError: no connection, no such model, or it has no safetensors weights.
        UsageError: that is no hub id.
    """
    identity = hub_id(name)
    if identity is None:
        raise UsageError(
            f"models pull: expected a hub id (OWNER/NAME), an open_clip model as ARCH:TAG, or one of {', '.join(ALIASES)}; "
            f"found {name!r}"
        )
    if offline():
        raise ModelMissingError(f"{identity} cannot be downloaded offline; unset HF_HUB_OFFLINE")
    from huggingface_hub import HfApi, snapshot_download

    repository, _, revision = identity.partition("@")
    with told_if_broken(f"{identity} cannot be downloaded", NOT_PULLED):
        info = HfApi().model_info(repository, revision=revision or None)
        names = wanted([file.rfilename for file in info.siblings or []])
        if any(each.endswith(".safetensors") for each in names):
            return Path(snapshot_download(repository, revision=revision or None, allow_patterns=names))
    raise ModelMissingError(f"{identity} has no safetensors weights, and others are not loaded")


def wanted(files: Sequence[str]) -> list[str]:
    """The files of a repository that loading needs: one set of safetensors a folder, half precision where there is one.

    Weights beside the folders of a pipeline are the same once more, in one file, and are left out.
    """
    kept = [file for file in files if not any(fnmatch.fnmatch(file, pattern) for pattern in _LEFT_OUT)]
    pipeline = "model_index.json" in files
    weights = [file for file in kept if file.endswith(".safetensors") and ("/" in file or not pipeline)]
    halves = {file.rpartition("/")[0] for file in weights if ".fp16" in file}
    weights = [file for file in weights if (file.rpartition("/")[0] in halves) == (".fp16" in file)]
    small = [file for file in kept if any(fnmatch.fnmatch(file.rpartition("/")[2], pattern) for pattern in _SMALL)]
    return sorted({*weights, *small})


def cached() -> list[str]:
    """The hub ids in the cache, by name; opens no connection."""
    names = [folder.name.removeprefix("models--").replace("--", "/", 1) for folder in _cache().glob("models--*--*")]
    return sorted(name for name in names if _snapshot(name))


def _cache() -> Path:
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE)


def _snapshot(identity: str) -> Path | None:
    """The folder that the cache holds of a hub id; a branch stays at the commit that was pulled last."""
    repository, _, revision = identity.partition("@")
    folder = _cache() / f"models--{repository.replace('/', '--')}"
    ref = folder / "refs" / (revision or "main")
    commit = ref.read_text(encoding="utf-8").strip() if ref.is_file() else revision
    found = folder / "snapshots" / commit
    return found if commit and found.is_dir() else None
