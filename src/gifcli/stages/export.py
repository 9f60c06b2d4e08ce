"""export: seeds, samples and verdicts -> items of a dataset, each with its manifest row."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any

from gifcli.formats import Item
from gifcli.records import Array, Noise, Sample, Source

MAX_NOISE = 4096
"""Values of z and b up to which they go into the manifest; larger ones stay in the noise shard."""


def original_item(source: Source, label_id: int, load: Callable[[], bytes], size: tuple[int, int] | None) -> Item:
    """A source image as it is; `size` is (width, height) in pixels where that is known."""
    path = PurePosixPath(source.path)
    row = {
        "key": source.key,
        "label": source.label,
        "label_id": label_id,
        "split": source.split,
        "is_synthetic": False,
        "parent_path": source.path,
        "verdict": "original",
        "weight": 1.0,
        "width": size[0] if size else None,
        "height": size[1] if size else None,
        "sha256": source.sha256,
    }
    return Item(path.stem, path.suffix, source.split, source.label, label_id, is_synthetic=False, load=load, row=row)


def sample_item(sample: Sample, parent: Source, label_id: int, row: dict[str, Any]) -> Item:
    """A kept sample, named after its parent."""
    name = f"{PurePosixPath(parent.path).stem}_{sample.seed[:8]}_k{sample.k}"
    return Item(
        name,
        sample.suffix,
        parent.split,
        parent.label,
        label_id,
        is_synthetic=True,
        load=lambda: sample.image,
        row=row,
    )


def sample_row(
    sample: Sample, parent: Source, label_id: int, noise: Noise, measures: Mapping[str, Any]
) -> dict[str, Any]:
    """The manifest row of a sample, but for its file, verdict and fingerprint. `measures` are the checks' figures."""
    info = sample.info
    row = {
        "key": sample.key,
        "label": parent.label,
        "label_id": label_id,
        "split": parent.split,
        "is_synthetic": True,
        "parent_key": parent.key,
        "parent_sha256": parent.sha256,
        "parent_path": parent.path,
        "k": sample.k,
        "attempt": sample.attempt,
        "z": _small(noise.z),
        "b": _small(noise.b),
        "scores_start": info.get("scores_start", noise.scores_start),  # where guidance acted in generate, that knows
        "scores_end": info.get("scores_end", noise.scores_end),
        "weight": 1.0,
        "width": sample.width,
        "height": sample.height,
        "sha256": hashlib.sha256(sample.image).hexdigest(),
    }
    for name in ("rng", "prompt", "prior", "revision", "lora", "lora_scale", "lora_revision"):
        row[name] = info.get(name)
    for name in ("dtype", "steps", "strength", "guidance_scale"):
        row[name] = info.get(name)
    for name in ("label_prob", "nn_seed", "nn_set", "nn_prior", "safety"):
        row[name] = float(measures[name]) if name in measures else None
    row["phash"] = f"{int(measures['phash']):016x}" if "phash" in measures else None
    return row


def _small(values: Array) -> Array | None:
    return values if values.size <= MAX_NOISE else None
