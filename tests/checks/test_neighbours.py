"""Blocks find what one big product finds, whatever their size."""

import numpy as np
import pytest

from gifcli.checks import neighbours
from gifcli.checks.neighbours import near_pairs, nearest, nearest_bits


@pytest.fixture
def images():
    random = np.random.default_rng(0)
    sketches = random.standard_normal((23, 64))
    sketches = np.concatenate([sketches, sketches[:9] + 0.05 * random.standard_normal((9, 64))])
    sketches /= np.linalg.norm(sketches, axis=1, keepdims=True)
    hashes = random.integers(0, 2**63, 23, dtype=np.uint64)
    return {"sketch": sketches.astype(np.float16), "phash": np.concatenate([hashes, hashes[:9] ^ np.uint64(3)])}


@pytest.fixture(params=[(1024, 8192), (5, 7), (1, 1)])
def blocks(request, monkeypatch):
    for name, size in zip(("ROWS", "COLUMNS"), request.param, strict=True):
        monkeypatch.setattr(neighbours, name, size)


def cosines(images):
    sketches = images["sketch"].astype(np.float32)
    return sketches @ sketches.T


@pytest.mark.usefixtures("blocks")
def test_near_pairs_are_near_both_ways(images):
    rows = np.arange(32)
    found = {pair for i, j in near_pairs(images, rows, images, rows, (0.9, 2)) for pair in zip(i, j, strict=True)}
    bits = np.bitwise_count(images["phash"][:, None] ^ images["phash"][None])
    assert found == set(zip(*np.nonzero((cosines(images) > 0.9) & (bits <= 2)), strict=True))
    assert len(found) == 32 + 18


@pytest.mark.usefixtures("blocks")
def test_the_nearest_is_not_oneself(images):
    own = np.arange(32)
    similarity = cosines(images)
    np.fill_diagonal(similarity, -1)
    best, where = nearest(images, images, own)
    assert where.tolist() == similarity.argmax(1).tolist()
    assert best == pytest.approx(similarity.max(1), abs=1e-6)


def test_no_neighbour_at_all(images):
    nobody = {"sketch": np.zeros((0, 64), np.float16), "phash": np.zeros(0, np.uint64)}
    best, where = nearest(images, nobody)
    assert np.isneginf(best).all()
    assert set(where.tolist()) == {-1}
    assert nearest_bits(images["phash"][:1]).tolist() == []


@pytest.mark.usefixtures("blocks")
def test_the_nearest_hash(images):
    bits = np.bitwise_count(images["phash"][:, None] ^ images["phash"][None])
    np.fill_diagonal(bits, 64)
    assert nearest_bits(images["phash"]).tolist() == bits.min(1).tolist()
