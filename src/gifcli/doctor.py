"""What this machine offers: device, dtype and why, versions, models, disk."""

import os
import platform
import shutil
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from gifcli import __version__
from gifcli.compute.devices import choose_device
from gifcli.errors import ModelMissingError
from gifcli.judge import safety
from gifcli.models import choose_prior, encoder_card, priors, revision
from gifcli.wording import number_of

PACKAGES = ("torch", "torchvision", "diffusers", "timm", "open_clip_torch", "numpy", "pillow", "pyarrow")


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Facts about this machine; `missing` are packages that gifcli needs and did not find."""

    gifcli: str
    python: str
    cpus: int
    gpus: list[str]
    device: str
    dtype: str
    why: str
    prior: str
    models: list[dict[str, str]]
    versions: dict[str, str]
    missing: list[str]
    disk_free_gb: float

    def to_data(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)

    def to_lines(self) -> list[str]:
        """For people."""
        return [
            f"gifcli {self.gifcli}, Python {self.python}",
            f"device: {self.device} in {self.dtype}, because {self.why}",
            f"{number_of(self.cpus, 'CPU')}; GPUs: {', '.join(self.gpus) or 'none'}",
            f"--prior auto takes {self.prior}",
            *(f"{row['kind']}: {row['name']}, revision {row['revision']}, {row['licence']}" for row in self.models),
            "versions: " + ", ".join(f"{name} {number}" for name, number in self.versions.items()),
            *([f"missing packages: {', '.join(self.missing)}; run: pip install gifcli"] if self.missing else []),
            f"disk: {self.disk_free_gb:.1f} GB free here",
        ]


def diagnose() -> Diagnosis:
    """Asks the machine."""
    import torch

    device = choose_device("auto", "auto")
    name, reason = choose_prior()
    versions = {package: _version(package) for package in PACKAGES}
    return Diagnosis(
        gifcli=__version__,
        python=platform.python_version(),
        cpus=os.cpu_count() or 1,
        gpus=[torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        device=device.name,
        dtype=device.dtype,
        why=device.why,
        prior=f"{name}: {reason}",
        models=models_present(),
        versions={package: number for package, number in versions.items() if number},
        missing=[package for package, number in versions.items() if not number],
        disk_free_gb=round(shutil.disk_usage(Path.cwd()).free / 1e9, 1),
    )


def models_present() -> list[dict[str, str]]:
    """The priors and encoders that are ready on this machine, and the model of the safety check."""
    rows = [
        {"kind": "prior", "name": card.name, "revision": card.revision, "licence": card.licence} for card in priors()
    ]
    if file := safety.model_file():
        rows.append({"kind": "safety", "name": "open_nsfw", "revision": revision([file]), "licence": safety.LICENCE})
    try:
        card = encoder_card("embedded")
    except ModelMissingError:
        return rows
    return [
        *rows,
        {
            "kind": "encoder",
            "name": "embedded",
            "revision": revision(card.files),
            "licence": f"{card.name}, {card.licence}",
        },
    ]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
