"""Index what the denoiser was trained on, so that a sample that copies a training image can be told.

    PYTHONPATH=src python training/memory_index.py

Reads crops/NAME.features.npy and NAME.crops.npy of training/features.py, one entry a training image: the mean of its
crops' features. Writes memorised.npz beside the weights, about --bytes in all; gifcli reads it from there.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from gifcli import models
from gifcli.judge.memory_index import FILE, build, components, load


def image_features(features: np.ndarray, crops: np.ndarray) -> np.ndarray:
    """Features of crops (n d), unit norm, and (n 4) image, ... -> the images' (m d) float16, unit norm, by image number."""
    _, images = np.unique(crops[:, 0], return_inverse=True)
    sums = np.zeros((images.max(initial=-1) + 1, features.shape[1]), np.float32)
    np.add.at(sums, images, features.astype(np.float32))
    return (sums / np.linalg.norm(sums, axis=1, keepdims=True)).astype(np.float16)


def read_features(folder: Path) -> np.ndarray:
    """All training images of all sources, (n d) float16, unit norm."""
    sources = sorted(folder.glob("*.features.npy"))
    if not sources:
        raise SystemExit(f"{folder}: expected *.features.npy, found none; first run training/features.py")
    crops = [path.with_name(path.name.replace(".features.", ".crops.")) for path in sources]
    return np.concatenate([image_features(np.load(f), np.load(c)) for f, c in zip(sources, crops, strict=True)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crops", type=Path, default=Path(".work/embedded/crops"))
    parser.add_argument("--out", type=Path, default=models.EMBEDDED_FOLDER / FILE)
    parser.add_argument("--size", type=int, default=128, help="side at which features.py encoded the crops")
    parser.add_argument("--bytes", type=int, default=6_000_000)
    args = parser.parse_args()
    features = read_features(args.crops)
    r = components(*features.shape, args.bytes)
    encoder = models.revision(models.encoder_card("embedded").files)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    written = build(features, r, args.size, encoder).save(args.out)
    print(f"{args.out}: {len(features)} images, {r} components, {written / 1e6:.2f} MB", flush=True)
    _check(features, args.out)


def _check(features: np.ndarray, path: Path) -> None:
    """Prints how well the index knows a few of its own images, and how alike it finds others."""
    rows = np.random.default_rng(0).choice(len(features), min(256, len(features)), replace=False)
    own = features[rows].astype(np.float32)
    similarity, found = load(path).nearest(own)
    true = own @ features.astype(np.float32).T
    true[np.arange(len(rows)), rows] = -1
    print(
        f"of {len(rows)} of its images, found: {(found == rows).mean():.1%}, median similarity {np.median(similarity):.3f}"
    )
    print(f"their nearest other image, exactly: median {np.median(true.max(1)):.3f}, greatest {true.max():.3f}")


if __name__ == "__main__":
    main()
