"""What the tests of README, recipes and examples share: a tiny folder, and ways to run what is written there."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import skimage.data
from PIL import Image

from gifcli.cli import main

ROOT = Path(__file__).parents[1]
PICTURES = {
    "slides": ("ihc.png", "retina.jpg", "microaneurysms.png"),
    "surfaces": ("brick.png", "grass.png", "gravel.png"),
    "views": ("coffee.png", "rocket.jpg", "motorcycle_left.png"),
}
SIDE = 96


def save_tiny(folder: Path) -> Path:
    """Three classes of three pictures that differ, so that thresholds calibrated on them let their children pass."""
    for label, names in PICTURES.items():
        (folder / label).mkdir(parents=True)
        for name in names:
            picture = Image.open(Path(skimage.data.__file__).parent / name).convert("RGB")
            side = min(picture.size)
            picture.crop((0, 0, side, side)).resize((SIDE, SIDE)).save(folder / label / f"{Path(name).stem}.png")
    return folder


def gif(*arguments: str) -> int:
    """Runs `gif ARGUMENTS` in this process, which has torch imported already; -> its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["gif", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    return int(left.value.code or 0)


def bash(command: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs shell lines in `folder`, stopping at the first that fails, with the `gif` and `python` of this environment."""
    programs = folder / ".bin"
    programs.mkdir(exist_ok=True)
    for name, words in {"gif": f'"{sys.executable}" -m gifcli', "python": f'"{sys.executable}"'}.items():
        (programs / name).write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        (programs / name).chmod(0o755)
    path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT / "src"), "HOME": str(folder), **environment}
    words = [shutil.which("bash") or "bash", "-e", "-o", "pipefail", "-c", command]
    return subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False)
