"""How a run's kept images lie among its originals, in the encoder's space: metrics with intervals, and a map."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

import numpy as np

from gifcli.judge import judging
from gifcli.metrics.bootstrap import draws, interval, means
from gifcli.metrics.frechet import FEWEST, frechet
from gifcli.metrics.kid import kernel, kid, mmd2, rescaled
from gifcli.metrics.manifold import NEIGHBOURS, prdc, shares
from gifcli.records import Array
from gifcli.report import Likeness, Measure
from gifcli.report.cloud import draw_cloud
from gifcli.reporting.tally import Drawn, Tally
from gifcli.state import packing
from gifcli.state.shards import ShardId, ShardStore

FEWEST_IMAGES = 30
"""Originals, and kept images, below which no metric is shown: nearest neighbours of fewer say nothing."""

MEANINGS = {
    "precision": "generated images that lie among the originals",
    "recall": "originals that lie among the generated images",
    "density": "how crowded with originals the places of generated images are; originals themselves: about 1",
    "coverage": "originals that have a generated image nearby",
    "KID": "distance of the two sets; around 0 (also slightly below): the same distribution",
}


def compare(store: ShardStore, places: Mapping[str, int], counted: Tally) -> Likeness | None:
    """Metrics and map of the rows that were drawn; `places`: seed -> shard. None where the run kept no features."""
    seeds, made = counted.seeds.rows, counted.kept.rows
    real = seed_features(store, places, [row.seed for row in seeds])
    features = sample_features(store, [*made, *counted.rejected.rows])
    groups = {
        "seed": [(row, real[row.seed]) for row in seeds if row.seed in real],
        "kept": [(row, features[key]) for row in made if (key := _key(row)) in features],
        "rejected": [(row, features[key]) for row in counted.rejected.rows if (key := _key(row)) in features],
    }
    originals, kept = groups["seed"], groups["kept"]
    if not originals or not kept:
        return None
    x, y = (np.stack([feature for _, feature in group]) for group in (originals, kept))
    measures, notes = _measures(x, y, [row.seed for row, _ in originals], [row.seed for row, _ in kept])
    cloud = draw_cloud({kind: [(row.label, feature) for row, feature in group] for kind, group in groups.items()})
    return Likeness(len(x), len(y), measures, cloud, notes)


def _measures(x: Array, y: Array, own: Sequence[str], parents: Sequence[str]) -> tuple[list[Measure], list[str]]:
    """Metrics of originals x (n d) and kept images y (m d), with the seed that each row belongs to; and notes."""
    if min(len(x), len(y)) < FEWEST_IMAGES:
        there = f"there are {len(x)} and {len(y)}"
        return [], [f"Metrics need {FEWEST_IMAGES} originals and as many kept images at least; {there}."]
    p, q = draws(own, rng=0), draws(parents, rng=1)
    half = _halves(x)
    found = [*_manifold(x, y, p, q, half), _kid(x, y, p, q, half), *_frechet(x, y)]
    return found, [*_notes(bool(half)), *_no_frechet(x, y)]


def _manifold(x: Array, y: Array, p: Array, q: Array, half: Mapping[str, float]) -> list[Measure]:
    """Precision, recall, density, coverage; p and q (r n), (r m) are how often rows of x and y are drawn."""
    result = []
    for name, values in asdict(shares(x, y)).items():
        value = float(values.mean())
        low, high = interval(value, means(values, q if name in {"precision", "density"} else p))
        limit = None if name == "density" else 1.0
        span = (max(low, 0.0), high if limit is None else min(high, limit))
        result.append(Measure(name, value, *span, MEANINGS[name], half.get(name), limit))
    return result


def _kid(x: Array, y: Array, p: Array, q: Array, half: Mapping[str, float]) -> Measure:
    x, y = rescaled(x), rescaled(y)
    kernels = kernel(x, x), kernel(y, y), kernel(x, y)
    value = float(mmd2(*kernels, np.ones((1, len(x))), np.ones((1, len(y))))[0])
    return Measure("KID", value, *interval(value, mmd2(*kernels, p, q)), MEANINGS["KID"], half.get("KID"), None)


def _halves(x: Array) -> dict[str, float]:
    """The same metrics of two halves of the originals, which come in random order; {} where those are too few."""
    middle = len(x) // 2
    if middle < FEWEST_IMAGES:
        return {}
    first, second = x[:middle], x[middle:]
    return {**prdc(first, second), "KID": kid(rescaled(first), rescaled(second))}


def _frechet(x: Array, y: Array) -> list[Measure]:
    if min(len(x), len(y)) < FEWEST:
        return []
    value = frechet(x, y)
    meaning = "Frechet distance of these features; not the FID of publications, which takes Inception's"
    return [Measure("Frechet", value, value, value, meaning, None, None)]


def _no_frechet(x: Array, y: Array) -> list[str]:
    few = min(len(x), len(y)) < FEWEST
    return [f"No Frechet distance (FID): under {FEWEST:,} images of a kind it measures their number."] if few else []


def _notes(halves: bool) -> list[str]:
    return [
        f"Nearest neighbours: {NEIGHBOURS}; KID: the unbiased estimate, with the kernel (1 + cosine)³.",
        (
            "Brackets hold 95% bootstrap intervals: originals, and seeds with all their images, are drawn again; for the "
            "first four the neighbourhoods stay as they are."
        ),
        *(["“Halves” compares two random halves of the originals: what to expect of real images."] if halves else []),
        (
            "Generated images descend from these originals, so lying near them is no proof of use: measure that on images "
            "held out (gif eval)."
        ),
    ]


def seed_features(store: ShardStore, places: Mapping[str, int], keys: Sequence[str]) -> dict[str, Array]:
    """Finite features (d) of seeds by key; those of unknown seeds are left out."""
    shards: defaultdict[int, list[str]] = defaultdict(list)
    for key in keys:
        if key in places:
            shards[places[key]].append(key)
    found: dict[str, Array] = {}
    for n, wanted in sorted(shards.items()):
        members = store.read("extract", ShardId(n), tuple(f"{key}{end}" for key in wanted for end in _HEAD))
        found |= {seed.key: seed.feature for seed in packing.unpack_seeds(members)}
    return {key: feature for key, feature in found.items() if np.isfinite(feature).all()}


_HEAD = (".json", ".feature.npy")


def sample_features(store: ShardStore, rows: Sequence[Drawn]) -> dict[str, Array]:
    """Finite features (d) of samples by key; those that no shard holds are left out."""
    wanted = {(row.seed, row.k, row.attempt): _key(row) for row in rows}
    found: dict[str, Array] = {}
    for shard, mark in store.done("filter").items():
        slots = [(place, wanted[slot]) for place, slot in enumerate(map(_slot, mark["slots"])) if slot in wanted]
        features = judging.features(store, shard) if slots else None
        if features is not None:
            found |= {key: features[place] for place, key in slots if np.isfinite(features[place]).all()}
    return found


def _key(row: Drawn) -> str:
    return f"{row.seed}-k{row.k}-a{row.attempt}"


_slot: Callable[[Sequence[object]], tuple[object, ...]] = tuple
