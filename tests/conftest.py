"""A small real set, made once: crops of scikit-image pictures as five classes, encoded, with induced rules.

And an even smaller folder of them, with a finished run that tests copy.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data

from gifcli import session
from gifcli.checks import SampleBatch
from gifcli.checks.fingerprints import perceptual_hash
from gifcli.checks.seed_measures import SEED_MEASURES
from gifcli.compute.batches import SeedBatch, pixels_to_tensor, seed_batch
from gifcli.encoders.embedded import EmbeddedEncoder
from gifcli.priors import PriorSettings
from gifcli.priors.classical import ClassicalPrior
from gifcli.priors.classical.parameters import TOTAL
from gifcli.records import Array, Seed
from gifcli.rules.induce import induce
from gifcli.rules.rules import Rules
from gifcli.stages import Tools
from runs import save_crops, tiny

Pair = tuple[SampleBatch, SeedBatch]
MakePair = Callable[[list[Array], list[Seed]], Pair]

CLASSES = {name: name for name in ("brick", "cat", "coffee", "grass", "gravel")}
CORNERS = ((0, 0), (0, 100), (60, 40), (60, 140), (100, 0), (100, 100))
SIDE = 160


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of four small pictures; not to be written to."""
    folder = tmp_path_factory.mktemp("source") / "photos"
    for label in ("brick", "cat", "coffee"):
        save_crops(folder / label, label, 4)
    return folder


@pytest.fixture(scope="session")
def reference(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of `photos` under TINY that nothing interrupted; not to be written to."""
    root = tmp_path_factory.mktemp("reference") / "out"
    session.expand(photos, root, tiny())
    return root


@pytest.fixture
def finished(reference: Path, tmp_path: Path) -> Path:
    """A copy of the finished run."""
    return Path(shutil.copytree(reference, tmp_path / "out"))


@pytest.fixture
def own_photos(photos: Path, tmp_path: Path) -> Path:
    """A copy of the source, with the same times, to be changed."""
    return Path(shutil.copytree(photos, tmp_path / "photos"))


@pytest.fixture(scope="session")
def encoder() -> EmbeddedEncoder:
    return EmbeddedEncoder()


@pytest.fixture(scope="session")
def seeds(encoder: EmbeddedEncoder) -> list[Seed]:
    """Six crops of each class; every third is landscape."""
    made = []
    for label in CLASSES:
        picture = getattr(data, label)()
        picture = np.stack([picture] * 3, -1) if picture.ndim == 2 else picture
        for i, (y, x) in enumerate(CORNERS):
            pixels = np.ascontiguousarray(picture[y : y + SIDE, x : x + SIDE + (40 if i % 3 == 2 else 0)])
            images = pixels_to_tensor(pixels[None])
            feature = encoder.images(images)[0].numpy()
            measures = {name: measure(images).item() for name, measure in SEED_MEASURES.items()}
            latent = np.zeros(TOTAL, np.float32)
            h, w = pixels.shape[:2]
            made.append(
                Seed(
                    key=f"{label}{i}",
                    label=label,
                    split="train",
                    path=f"{label}/{i}.png",
                    sha256="0" * 64,
                    width=w,
                    height=h,
                    pixels=pixels,
                    latent=latent,
                    feature=feature,
                    mirrored=feature,
                    measures=measures,
                    phash=int(perceptual_hash(pixels[None])[0]),
                )
            )
    return made


@pytest.fixture(scope="session")
def rules(seeds: list[Seed]) -> Rules:
    labels = np.array([list(CLASSES).index(seed.label) for seed in seeds])
    measures = {name: np.array([seed.measures[name] for seed in seeds]) for name in SEED_MEASURES}
    features = np.stack([seed.feature for seed in seeds])
    return induce(features, labels, list(CLASSES), [seed.key for seed in seeds], measures=measures)


@pytest.fixture
def tools(encoder: EmbeddedEncoder, rules: Rules) -> Tools:
    prior = ClassicalPrior(PriorSettings("classical", 1, 1.0, 1.0, None, mirror=True))
    return Tools(prior, encoder, rules, CLASSES, "cpu", batch_size=8, rng=0)


@pytest.fixture
def make_pair(encoder: EmbeddedEncoder) -> MakePair:
    """Images (h w 3) uint8 of one size as samples of the given seeds."""

    def make(images: list[Array], parents: list[Seed]) -> Pair:
        pixels = pixels_to_tensor(np.stack(images))
        with torch.no_grad():
            features = encoder.images(pixels)
        keys = [f"{parent.key}-k0-a0" for parent in parents]
        return SampleBatch(keys, pixels, features), seed_batch(parents, CLASSES, "cpu")

    return make
