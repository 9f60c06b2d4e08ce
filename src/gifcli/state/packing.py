"""Records as shard members and back. Arrays are .npy, pixels .png, everything else .json; nothing is pickled."""

import io
import json
from collections.abc import Iterable, Iterator
from itertools import groupby

import numpy as np
from PIL import Image

from gifcli.records import Array, Noise, Sample, Seed
from gifcli.state.seals import to_json

Member = tuple[str, bytes]


def pack_seed(seed: Seed) -> list[Member]:
    """A seed -> its members, all named after its key."""
    head = {
        "label": seed.label,
        "split": seed.split,
        "path": seed.path,
        "sha256": seed.sha256,
        "width": seed.width,
        "height": seed.height,
        "measures": seed.measures,
        "phash": seed.phash,
    }
    return [
        (f"{seed.key}.feature.npy", _to_npy(seed.feature)),
        (f"{seed.key}.json", to_json(head)),
        (f"{seed.key}.latent.npy", _to_npy(seed.latent)),
        (f"{seed.key}.mirrored.npy", _to_npy(seed.mirrored)),
        (f"{seed.key}.pixels.png", _to_png(seed.pixels)),
    ]


def unpack_seeds(members: Iterable[Member]) -> Iterator[Seed]:
    """Inverse of `pack_seed` over a whole shard; arrays whose members were left out are empty."""
    for key, parts in _grouped(members):
        head = json.loads(parts["json"])
        yield Seed(
            key=key,
            pixels=_from_png(parts["pixels.png"]) if "pixels.png" in parts else np.zeros((0, 0, 3), np.uint8),
            latent=_from_npy(parts.get("latent.npy")),
            feature=_from_npy(parts.get("feature.npy")),
            mirrored=_from_npy(parts.get("mirrored.npy")),
            **head,
        )


def pack_noise(noise: Noise) -> list[Member]:
    """A perturbation -> its members."""
    key = f"{noise.seed}-k{noise.k:05d}"
    head = {"attempt": noise.attempt, "scores_start": noise.scores_start, "scores_end": noise.scores_end}
    return [(f"{key}.b.npy", _to_npy(noise.b)), (f"{key}.json", to_json(head)), (f"{key}.z.npy", _to_npy(noise.z))]


def unpack_noises(members: Iterable[Member]) -> Iterator[Noise]:
    """Inverse of `pack_noise` over a whole shard."""
    for key, parts in _grouped(members):
        seed, _, k = key.partition("-k")
        head = json.loads(parts["json"])
        yield Noise(seed, int(k), z=_from_npy(parts.get("z.npy")), b=_from_npy(parts.get("b.npy")), **head)


def pack_sample(sample: Sample) -> list[Member]:
    """A generated image -> its file, and its provenance."""
    key = f"{sample.seed}-k{sample.k:05d}"
    head = {
        "attempt": sample.attempt,
        "suffix": sample.suffix,
        "width": sample.width,
        "height": sample.height,
        "info": sample.info,
    }
    return [(f"{key}.image{sample.suffix}", sample.image), (f"{key}.json", to_json(head))]


def unpack_samples(members: Iterable[Member]) -> Iterator[Sample]:
    """Inverse of `pack_sample` over a whole shard; without the image members the images are empty."""
    for key, parts in _grouped(members):
        seed, _, k = key.partition("-k")
        head = json.loads(parts["json"])
        yield Sample(seed, int(k), image=parts.get(f"image{head['suffix']}", b""), **head)


def pack_columns(columns: dict[str, Array]) -> list[Member]:
    """A table of measures -> one member a column."""
    return [(f"{name}.npy", _to_npy(column)) for name, column in columns.items()]


def unpack_columns(members: Iterable[Member]) -> dict[str, Array]:
    """Inverse of `pack_columns`."""
    return {name.removesuffix(".npy"): _from_npy(content) for name, content in members}


FEATURES = "features.f16"
"""The member that holds the features of a shard's samples; measures are read without it."""


def pack_features(features: Array) -> Member:
    """Features (n d) -> a member, in half precision."""
    return FEATURES, _to_npy(features.astype(np.float16))


def unpack_features(members: Iterable[Member]) -> Array | None:
    """Inverse of `pack_features`, (n d) float32; None where the shard has none."""
    return next((_from_npy(content).astype(np.float32) for _, content in members), None)


def _grouped(members: Iterable[Member]) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Members of one record: those that share what stands before the first dot."""
    for key, group in groupby(members, key=lambda member: member[0].partition(".")[0]):
        yield key, {name.partition(".")[2]: content for name, content in group}


def _to_npy(array: Array) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _from_npy(content: bytes | None) -> Array:
    return np.zeros(0, np.float32) if content is None else np.load(io.BytesIO(content), allow_pickle=False)


def _to_png(pixels: Array) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _from_png(content: bytes) -> Array:
    with Image.open(io.BytesIO(content)) as image:
        return np.array(image.convert("RGB"))
