"""The training scripts on a few real crops: every one runs, resumes, and what comes out is a prior that samples."""

import io
import runpy
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest
import torch

from gifcli.compute.batches import SeedBatch
from gifcli.noise import NoiseSource, Slot
from gifcli.priors import PriorSettings
from gifcli.priors.latent_diffusion import LatentDiffusionPrior
from runs import save_crops

ROOT = Path(__file__).parents[2]
STEPS = [
    "pack.py photos",
    "autoencoder.py --steps 2 --batch 4 --every 1",
    "finish.py",
    "features.py --batch 8",
    "latents.py --size 64",
    "latents.py --size 128 --most 8",
    "maps.py --batch 8",
    "denoiser.py --steps 2 --batch 8 --every 1 --widths 32 32",
    "export.py --out export",
]


def script(line: str, folder: Path) -> str:
    """What a training script prints, run in `folder`; every path it takes is below it."""
    name, *arguments = line.split()
    threads, printed = torch.get_num_threads(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed):
        patch.chdir(folder)
        patch.syspath_prepend(str(ROOT / "training"))
        patch.setattr(sys, "argv", [name, *arguments])
        runpy.run_path(str(ROOT / "training" / name), run_name="__main__")
    torch.set_num_threads(threads)
    return printed.getvalue()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("training")
    for label in ("brick", "cat", "coffee"):
        save_crops(folder / "photos" / label, label, 4)
    for line in STEPS:
        script(line, folder)
    return folder


def test_what_the_scripts_make_is_a_prior_that_samples(trained: Path) -> None:
    settings = PriorSettings("embedded", 4, 0.5, 1.5, None, mirror=True, granularity="view")
    prior = LatentDiffusionPrior(trained / "export", settings, "cpu", "float32")
    x = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0)) * 2 - 1
    seeds = SeedBatch(["a", "b"], torch.zeros(2, dtype=torch.long), ["x", "x"], x, torch.zeros(2, 1280))
    noise = NoiseSource(0, [Slot("a", 0, 0), Slot("b", 0, 0)])
    made = prior.sample(prior.encode(seeds), seeds, prior.condition(["", ""], seeds), noise)
    assert made.shape == x.shape
    assert made.isfinite().all()


def test_training_goes_on_where_it_stopped(trained: Path) -> None:
    assert "from step 2" in script("autoencoder.py --steps 3 --batch 4 --every 1", trained)
    assert "from step 2" in script("denoiser.py --steps 1 --batch 8 --every 1", trained)


def test_what_is_done_is_not_done_again(trained: Path) -> None:
    assert script("features.py --batch 8", trained) == script("latents.py --size 64", trained) == ""
    assert script("maps.py --batch 8", trained) == ""


def test_pictures_of_the_result_can_be_looked_at(trained: Path) -> None:
    script("sample.py photos/cat --weights export --out look.png --strengths 0.5 --samples 1 --size 64", trained)
    from PIL import Image

    with Image.open(trained / "look.png") as sheet:
        assert sheet.size == (3 * 64, 4 * 64)
