"""Which generated images help? Halves of a finished run's kept images, by what is known of each, train the same network.

    python benchmarks/which_images.py grocery.parquet:30:10 RUN --work .utility

The set is FILE:CLASSES:IMAGES and RUN a run folder of its originals, as `utility.py` makes them. Of each original's images the lower and
the upper half by `label_prob` (its class), `nn_seed` (most like a seed), the size of its noise, and by chance; 70% of what is
drawn is generated, no augmentation. Odd ones go to the upper half, so compare halves of the same side.
"""

import argparse
import hashlib
import os
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import pyarrow.parquet as pq
from utility import Data, Keeping, pool_with, stacked, unpack

from gifcli.compute.devices import choose_device
from gifcli.evaluate.arms import Arm
from gifcli.evaluate.cnn import Network
from gifcli.evaluate.training import Job, train_all
from gifcli.images.reading import fit, read

SHARE = 0.7
COLUMNS = ["file", "label", "parent_key", "is_synthetic", "label_prob", "nn_seed", "b"]


def measures(rows: list[dict]) -> dict[str, np.ndarray]:
    """What the images are halved by -> (n)."""
    known = {name: np.array([row[name] for row in rows]) for name in ("label_prob", "nn_seed")}
    noise = np.array([np.sqrt(np.mean(np.square(row["b"]))) for row in rows])
    return {"chance": np.random.default_rng(0).random(len(rows)), **known, "size of noise": noise}


def upper(values: np.ndarray, parents: np.ndarray) -> np.ndarray:
    """(n) bool: whether a value lies in the upper half of its parent's."""
    ranks = np.empty(len(values))
    for parent in np.unique(parents):
        own = np.flatnonzero(parents == parent)
        ranks[own[np.argsort(values[own])]] = np.arange(1, len(own) + 1) / len(own)
    return ranks > 0.5


def accuracy(data: Data, chosen: tuple[np.ndarray, np.ndarray], options: argparse.Namespace) -> list[float]:
    """Accuracy in % with each random number, trained on the originals and the chosen images."""
    device = choose_device("auto", "auto")
    learner = Network("cnn", steps=options.steps, device=device.name, dtype=device.dtype)
    test, labels = stacked(data, "test", options.size)
    pool, arm = pool_with(stacked(data, "originals", options.size), chosen), Arm(SHARE, "none")
    mark = f"{hashlib.sha256(pool.x.tobytes()).hexdigest()[:16]}-{options.steps}"
    paths = {(arm, rng): data.folder / "trained" / f"half-{mark}-{rng}.npy" for rng in range(options.rngs)}
    jobs = [Job(pool, arm, rng, {"test": test}) for (_, rng), path in paths.items() if not path.is_file()]
    train_all(Keeping(learner, labels, paths), jobs, len(data.classes), device.name)
    return [100.0 * float(np.load(path).mean()) for path in paths.values()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", metavar="FILE:CLASSES:IMAGES")
    parser.add_argument("run", type=Path)
    parser.add_argument("--work", type=Path, default=Path(".utility"))
    parser.add_argument("--rngs", type=int, default=4)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--size", type=int, default=64)
    options = parser.parse_args()
    data = unpack(options.set, options.work)
    rows = pq.read_table(options.run / "manifest.parquet", columns=COLUMNS).to_pylist()
    rows = [row for row in rows if row["is_synthetic"] and row["file"] is not None]
    x = np.stack([fit(read(options.run / row["file"]).pixels, options.size, options.size) for row in rows])
    y = np.array([data.classes.index(row["label"]) for row in rows])
    parents = np.array([row["parent_key"] for row in rows])
    print("| by | half | images | accuracy % |\n|---|---|---|---|")
    for name, values in measures(rows).items():
        high = upper(values, parents)
        for side, keep in (("lower", ~high), ("upper", high)):
            found = accuracy(data, (x[keep], y[keep]), options)
            each = ", ".join(f"{value:.1f}" for value in found)
            print(f"| {name} | {side} | {keep.sum()} | {np.mean(found):.1f} ({each}) |", flush=True)


if __name__ == "__main__":
    main()
