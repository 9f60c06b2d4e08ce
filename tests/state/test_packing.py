import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from gifcli.records import Noise, Sample, Seed
from gifcli.state import packing
from gifcli.state.shards import ShardId, ShardStore


def same(a: object, b: object) -> bool:
    """Whether two records are equal, arrays by dtype and value."""
    for name in type(a).__slots__:
        left, right = getattr(a, name), getattr(b, name)
        if isinstance(left, np.ndarray):
            if left.dtype != right.dtype or not np.array_equal(left, right):
                return False
        elif left != right:
            return False
    return True


@pytest.fixture
def store(tmp_path) -> ShardStore:
    return ShardStore(tmp_path)


def test_seeds_come_back_as_they_were_by_key(seeds: list[Seed], store: ShardStore) -> None:
    odd = replace(
        seeds[0], key="00aa", path="ca\udcff/a.b c😀.png", label="größe", latent=np.zeros((4, 8, 8), np.float32)
    )
    given = [*seeds[:3], replace(odd, phash=2**64 - 1)]
    store.write("extract", ShardId(0), [member for seed in given for member in packing.pack_seed(seed)], {})
    found = list(packing.unpack_seeds(store.read("extract", ShardId(0))))
    assert [seed.key for seed in found] == sorted(seed.key for seed in given)
    assert all(same(seed, next(g for g in given if g.key == seed.key)) for seed in found)


def test_seeds_come_without_what_was_left_out(seeds: list[Seed], store: ShardStore) -> None:
    store.write("extract", ShardId(0), packing.pack_seed(seeds[0]), {})
    (seed,) = packing.unpack_seeds(store.read("extract", ShardId(0), (".json", ".feature.npy")))
    assert np.array_equal(seed.feature, seeds[0].feature)
    assert (seed.latent.size, seed.mirrored.size, seed.pixels.shape) == (0, 0, (0, 0, 3))


def test_noises_come_back_as_they_were(store: ShardStore) -> None:
    rng = np.random.default_rng(0)
    given = [
        Noise("0a1b", k, 1, *rng.normal(size=(2, 56)).astype(np.float32), {"total": 0.25}, {"total": -1.5})
        for k in (0, 1, 2, 10, 12345)
    ]
    store.write("optimize", ShardId(0, 0, 1), [m for noise in given for m in packing.pack_noise(noise)], {})
    found = list(packing.unpack_noises(store.read("optimize", ShardId(0, 0, 1))))
    assert len(found) == len(given)
    assert all(map(same, found, given))
    heads = packing.unpack_noises(store.read("optimize", ShardId(0, 0, 1), (".json",)))
    assert [noise.k for noise in heads] == [0, 1, 2, 10, 12345]


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_samples_come_back_as_they_were(store: ShardStore, suffix: str) -> None:
    given = [Sample("0a1b", k, 0, b"bytes of an image" + bytes([k]), suffix, 96, 64, {"rng": 0}) for k in range(12)]
    store.write("generate", ShardId(0, 0, 0), [m for sample in given for m in packing.pack_sample(sample)], {})
    assert list(packing.unpack_samples(store.read("generate", ShardId(0, 0, 0)))) == given
    heads = packing.unpack_samples(store.read("generate", ShardId(0, 0, 0), (".json",)))
    assert list(heads) == [replace(sample, image=b"") for sample in given]


def test_columns_come_back_as_they_were(store: ShardStore) -> None:
    given = {
        "seed": np.array(["a", "bc"]),
        "sketch": np.ones((2, 64), np.float16),
        "phash": np.array([1, 2**63], np.uint64),
    }
    store.write("filter", ShardId(0, 0, 0), packing.pack_columns(given), {})
    found = packing.unpack_columns(store.read("filter", ShardId(0, 0, 0)))
    assert found.keys() == given.keys()
    assert all(np.array_equal(found[name], given[name]) and found[name].dtype == given[name].dtype for name in given)


def test_nothing_is_pickled() -> None:
    with pytest.raises(ValueError, match="pickle"):
        packing.pack_columns({"x": np.array([{"an": "object"}], object)})


def test_pixels_are_stored_without_loss(seeds: list[Seed]) -> None:
    png = dict(packing.pack_seed(seeds[1]))[f"{seeds[1].key}.pixels.png"]
    with Image.open(io.BytesIO(png)) as image:
        assert np.array_equal(np.asarray(image), seeds[1].pixels)
