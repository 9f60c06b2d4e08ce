"""Does expanding help? A small network from scratch on real test images, the same number of optimiser steps in every arm.

    python benchmarks/utility.py grocery.parquet:30:10 trashnet.parquet:6:20 --prior embedded --work .utility

Each set is FILE:CLASSES:IMAGES: a Parquet file with the columns path (`<class>/<name>` or `<split>/<class>/<name>`) and image
(the file's bytes), the number of classes to take, and of originals in each. Twice as many originals must be there, for the
yardstick of more real images. Where the file has no test split, other images of the same classes are the test set.

Arms: the originals; with five images of PRIOR to each, guided and unguided (the same conditions and noise, guidance off); with
five classical ones; with five made beforehand by RandAugment(2, 9); with 50% and 100% more real images; each with and without
TrivialAugment on the fly. --shares 33,50 adds those of PRIOR and of RandAugment at 33 and at 50% of what is drawn. The learner, the mixing, the last step and
the intervals are those of `gif eval`. Every training is kept in the work folder: killed or repeated, only what is owed is done.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import pyarrow.parquet as pq
import torch
from PIL import Image
from torchvision.transforms import RandAugment

from gifcli import session
from gifcli.compute.devices import choose_device, cores
from gifcli.evaluate.arms import Arm, plain_share
from gifcli.evaluate.cnn import Network
from gifcli.evaluate.intervals import estimate, verdict
from gifcli.evaluate.pool import Pool
from gifcli.evaluate.reading import pixel_pool
from gifcli.evaluate.training import Job, train_all
from gifcli.images.reading import fit, read
from gifcli.state.resolving import own_recipe, source_of
from gifcli.state.shards import digest

RATIO = 5
TEST_A_CLASS = 100
WORKING = 128
"""Short side in pixels to which every image is brought before the learner's own size, whatever it comes from."""


@dataclass(frozen=True)
class Data:
    """A set on disk: folders `originals`, `more` and `test`, with the same class folders in each."""

    name: str
    folder: Path
    classes: list[str]


def unpack(text: str, work: Path) -> Data:
    """FILE:CLASSES:IMAGES -> class folders in the work folder."""
    file, classes, images = text.rsplit(":", 2)
    path, many, each = Path(file), int(classes), int(images)
    folder = work / f"{path.stem}-{many}x{each}"
    chosen = json.loads((folder / "classes.json").read_text()) if (folder / "classes.json").is_file() else None
    if chosen is None:
        chosen = _unpack(path, folder, many, each)
        (folder / "classes.json").write_text(json.dumps(chosen))
    return Data(folder.name, folder, chosen)


def _unpack(path: Path, folder: Path, many: int, each: int) -> list[str]:
    found: defaultdict[str, dict[str, list[tuple[str, str]]]] = defaultdict(lambda: defaultdict(list))
    for name in pq.read_table(path, columns=["path"])["path"].to_pylist():
        *split, label, _ = name.split("/")
        found[label][split[0] if split else ""].append((hashlib.sha256(name.encode()).hexdigest(), name))
    parts: dict[str, list[tuple[str, str]]] = {}
    for label in sorted(found):
        splits = {split: [name for _, name in sorted(names)] for split, names in found[label].items()}
        train, test = splits.get("train", splits.get("", [])), splits.get("test", [])
        test = test or train[2 * each :]
        if len(train) >= 2 * each and len(test) >= min(each, 10) and len(parts) < many:
            parts[label] = [("originals", name) for name in train[:each]]
            parts[label] += [("more", name) for name in train[each : 2 * each]]
            parts[label] += [("test", name) for name in test[:TEST_A_CLASS]]
    if len(parts) < many:
        raise SystemExit(
            f"{path}: expected {many} classes with {2 * each} originals and a test set, found {len(parts)}"
        )
    place = {name: folder / part / label for label, names in parts.items() for part, name in names}
    for batch in pq.ParquetFile(path).iter_batches(64):
        for row in batch.to_pylist():
            if row["path"] in place:
                place[row["path"]].mkdir(parents=True, exist_ok=True)
                (place[row["path"]] / Path(row["path"]).name).write_bytes(row["image"])
    return list(parts)


def pictures(data: Data, part: str) -> Iterator[tuple[int, np.ndarray]]:
    """(label, pixels) of one folder, in order; square, at the working size."""
    for label, name in enumerate(data.classes):
        for path in sorted((data.folder / part / name).iterdir()):
            yield label, fit(read(path).pixels, WORKING, WORKING)


def expanded(data: Data, arm: str, prior: str, settings: list[str], size: int) -> tuple[np.ndarray, np.ndarray]:
    """(images, labels) that gif makes of the originals."""
    run = data.folder / f"run-{arm}{'-' + digest(settings)[:6] if settings else ''}"
    command = [sys.executable, "-m", "gifcli", "expand", data.folder / "originals", "-o", run, "--ratio", f"{RATIO}x"]
    command += ["--prior", prior, "-q", *(word for setting in settings for word in ("--set", setting))]
    start = time.perf_counter()
    code = subprocess.run([*map(str, command)], stdout=subprocess.DEVNULL, check=False).returncode
    if code not in {0, 4}:
        raise SystemExit(f"gif expand ended with {code}: {' '.join(map(str, command))}")
    talk(
        f"{data.name}: {arm}: expanded in {time.perf_counter() - start:.0f} s{' (short of the ratio)' if code else ''}"
    )
    with session.opened(source_of(run), run, own_recipe(run, {}), session.Access()) as opened:
        pool = pixel_pool(opened, size)
        order = np.array([data.classes.index(label) for label in opened.scan.classes])
    return pool.x[pool.originals :], order[pool.labels[pool.originals :]]


def randaugmented(data: Data, size: int) -> tuple[np.ndarray, np.ndarray]:
    """(images, labels): five of each original by RandAugment(2, 9), torchvision's."""
    images, labels, augment = [], [], RandAugment(2, 9)
    torch.manual_seed(0)
    for label, pixels in pictures(data, "originals"):
        for _ in range(RATIO):
            images.append(fit(np.array(augment(Image.fromarray(pixels))), size, size))
            labels.append(label)
    return np.stack(images), np.array(labels)


def stacked(data: Data, part: str, size: int) -> tuple[np.ndarray, np.ndarray]:
    images = list(pictures(data, part))
    return np.stack([fit(pixels, size, size) for _, pixels in images]), np.array([label for label, _ in images])


def pool_with(originals: tuple, generated: tuple | None = None) -> Pool:
    """A pool of real images, and of generated ones."""
    x, labels = (
        originals if generated is None else (np.concatenate(pair) for pair in zip(originals, generated, strict=True))
    )
    m = len(originals[1])
    return Pool(x, labels.astype(np.int64), np.zeros(len(x), np.int64), np.ones(len(x), np.float32), m)


def pools(data: Data, options: argparse.Namespace) -> Iterator[tuple[str, Pool, float]]:
    """(arm, pool, share of generated images) of every arm."""
    size = options.size
    originals, more = stacked(data, "originals", size), stacked(data, "more", size)
    yield "originals", pool_with(originals), 0.0
    made = {
        f"+ 5x guided {options.prior}": (options.prior, []),
        f"+ 5x unguided {options.prior}": (options.prior, ["guidance.steps=0"]),
        "+ 5x guided classical": ("classical", []),
    }
    for arm, (prior, settings) in made.items():
        extra = options.settings if prior == options.prior else []
        pool = pool_with(originals, expanded(data, arm[2:].replace(" ", "-"), prior, [*extra, *settings], size))
        yield from shared(arm, pool, options.shares if prior == options.prior else [])
    yield from shared("+ 5x RandAugment(2, 9)", pool_with(originals, randaugmented(data, size)), options.shares)
    half = np.concatenate([np.flatnonzero(more[1] == label)[::2] for label in range(len(data.classes))])
    yield "+ 50% real", pool_with(originals, (more[0][half], more[1][half])), -1.0
    yield "+ 100% real", pool_with(originals, more), -1.0


def shared(arm: str, pool: Pool, percents: list[int]) -> Iterator[tuple[str, Pool, float]]:
    """The arm as it is, all images equally often; and with generated images at other shares of what is drawn."""
    yield arm, pool, plain_share(pool.originals, pool.generated)
    for percent in percents:
        yield f"{arm}, {percent}% of what is drawn", pool, percent / 100


@dataclass(frozen=True)
class Keeping:
    """A learner that keeps what every training came to as soon as it is there: which test images it got right."""

    learner: Network
    labels: np.ndarray
    paths: dict[tuple[Arm, int], Path]

    @property
    def name(self) -> str:
        return self.learner.name

    @property
    def steps(self) -> int:
        return self.learner.steps

    def train(self, pool: Pool, arm: Arm, rng: int, classes: int, tests: dict) -> dict:
        found = self.learner.train(pool, arm, rng, classes, tests)
        _save(self.paths[arm, rng], found["test"].argmax(1) == self.labels)
        return found


def measured(data: Data, options: argparse.Namespace) -> dict[tuple[str, str], np.ndarray]:
    """(arm, augmentation) -> (rngs, test images) of 100 where right, else 0; from the work folder where it is there."""
    device = choose_device("auto", "auto")
    learner = Network(options.learner, steps=options.steps, device=device.name, dtype=device.dtype)
    test, labels = stacked(data, "test", options.size)
    talk(f"{data.name}: {len(labels)} test images of {len(data.classes)} classes; {options.learner} on {device.name}")
    setting = [options.learner, options.steps, options.size, device.dtype, _mark_of(test)]
    found = {}
    for name, pool, asked in pools(data, options):
        used = replace(pool, originals=len(pool)) if asked < 0 else pool  # more real images are originals too
        arms = {augmentation: Arm(max(asked, 0.0), augmentation) for augmentation in ("none", "classical")}
        paths = {
            (arm, rng): data.folder / "trained" / f"{digest([arm.name, rng, _mark(used), *setting])}.npy"
            for rng in range(options.rngs)
            for arm in arms.values()
        }
        start = time.perf_counter()
        jobs = [Job(used, arm, rng, {"test": test}) for (arm, rng), path in paths.items() if not path.is_file()]
        train_all(Keeping(learner, labels, paths), jobs, len(data.classes), device.name)
        for augmentation, arm in arms.items():
            right = [np.load(paths[arm, rng]) for rng in range(options.rngs)]
            found[name, augmentation] = 100.0 * np.stack(right)
        means = ", ".join(f"{augmentation} {found[name, augmentation].mean():.1f}%" for augmentation in arms)
        talk(f"{data.name}: {name}: {means}; {len(jobs)} trainings in {time.perf_counter() - start:.0f} s")
    return found


def _mark(pool: Pool) -> str:
    return f"{_mark_of(pool.x)}{_mark_of(pool.labels)}{pool.originals}"


def _mark_of(values: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()[:16]


def _save(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".tmp").open("wb") as file:
        np.save(file, values)
    path.with_suffix(".tmp").replace(path)


def table(results: dict[str, dict[tuple[str, str], np.ndarray]]) -> list[str]:
    """Accuracy of every arm with its 90% interval; in brackets the gain over the originals under the same augmentation."""
    columns = [(name, augmentation) for name in results for augmentation in ("none", "classical")]
    heads = [f"{name}{', TrivialAugment' if augmentation == 'classical' else ''}" for name, augmentation in columns]
    lines = ["| arm | " + " | ".join(heads) + " |", "|---|" + "---|" * len(heads)]
    for arm in dict.fromkeys(arm for found in results.values() for arm, _ in found):
        cells = []
        for name, augmentation in columns:
            right, base = results[name][arm, augmentation], results[name]["originals", augmentation]
            mean = estimate(right)
            cell = f"{mean.mean:.1f} ± {mean.high - mean.mean:.1f}"
            if arm != "originals":
                gain = estimate(right - base)
                mark = {"helps": "**", "hurts": "", "no clear difference": ""}[verdict(gain)]
                cell += f" ({mark}{gain.mean:+.1f}{mark} ± {gain.high - gain.mean:.1f})"
            cells.append(cell)
        lines.append(f"| {arm} | " + " | ".join(cells) + " |")
    return lines


def talk(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", metavar="FILE:CLASSES:IMAGES")
    parser.add_argument("--prior", default="embedded")
    parser.add_argument(
        "--set", dest="settings", action="append", default=[], metavar="PATH=VALUE", help="of PRIOR's recipe"
    )
    parser.add_argument("--work", type=Path, default=Path(".utility"), help="where runs and trainings are kept")
    parser.add_argument("--learner", default="cnn", help="cnn or timm:NAME")
    parser.add_argument("--rngs", type=int, default=3)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument(
        "--shares",
        type=lambda text: [int(percent) for percent in text.split(",")],
        default=[],
        metavar="33,50",
        help="also with so many percent of generated images among those drawn",
    )
    options = parser.parse_args()
    start = time.perf_counter()
    results = {}
    for text in options.sets:
        data = unpack(text, options.work)
        results[data.name] = measured(data, options)
    print(
        f"{options.learner} from scratch at {options.size} px, {options.steps} steps in every arm, last step, {options.rngs} random "
        f"numbers; accuracy % on real test images ± half of the 90% interval; in parentheses the gain over the originals, in bold "
        f"where its interval lies above 0. {cores()} CPUs, {time.perf_counter() - start:.0f} s.\n"
    )
    print("\n".join(table(results)))


if __name__ == "__main__":
    main()
