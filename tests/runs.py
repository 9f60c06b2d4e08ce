"""Tiny runs: their settings, their pictures, and how two run folders are compared."""

import hashlib
from pathlib import Path
from typing import Any

from PIL import Image
from skimage import data

from gifcli.recipe.recipe import load_recipe
from gifcli.recipe.schema import Recipe

TINY = {
    "prior.name": "classical",
    "ratio": 2,
    "guidance.steps": 1,
    "guidance.encoder_size": 64,
    "run.shard_seeds": 2,
    "checks.safety.enabled": False,
}
"""Settings under which twelve small images become thirty-six in a few seconds, over six shards a stage."""

FLAGS = [flag for path, value in TINY.items() for flag in ("--set", f"{path}={value}")]
"""The same as flags."""

VOLATILE = frozenset([".gifcli/events.jsonl", ".gifcli/lock"])
"""Files that hold times, or nothing."""


def tiny(**changes: Any) -> Recipe:
    """TINY as a recipe; in the names of `changes`, `__` stands for a dot."""
    return load_recipe("", {**TINY, **{path.replace("__", "."): value for path, value in changes.items()}}, "test")


def save_crops(folder: Path, label: str, count: int, side: int = 96, first: int = 0) -> list[Path]:
    """Crops of a scikit-image picture as `folder/0.png`, ...; the same ones whenever it is asked."""
    picture = getattr(data, label)()
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for i in range(first, first + count):
        y, x = 100 * (i % 2) + 5 * (i // 4), 100 * (i // 2 % 2) + 7 * (i // 4)
        paths.append(folder / f"{i}.png")
        Image.fromarray(picture[y : y + side, x : x + side]).save(paths[-1])
    return paths


def tree(root: Path) -> dict[str, str]:
    """Every file and folder below `root` but the volatile ones: path -> sha256, "" for a folder."""
    paths = {path.relative_to(root).as_posix(): path for path in root.rglob("*")}
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for name, path in sorted(paths.items())
        if name not in VOLATILE
    }


def stamps(folder: Path) -> dict[str, int]:
    """The time of the last change of every file below a folder."""
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
