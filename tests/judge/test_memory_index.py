"""A small index knows its own images and copies of them, tells others apart, and comes back as it was saved."""

from pathlib import Path

import numpy as np
import pytest

from gifcli.errors import ModelMissingError
from gifcli.judge.memory_index import MemoryIndex, build, components, load


def unit(features: np.ndarray) -> np.ndarray:
    return (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def features() -> np.ndarray:
    """600 features with the falling spectrum and the common mean that real ones have."""
    random = np.random.default_rng(0)
    return unit(random.standard_normal((600, 96)) / np.arange(1, 97) ** 0.5 + 0.3)


@pytest.fixture(scope="module")
def index(features: np.ndarray) -> MemoryIndex:
    return build(features, 32, 128, "abc")


def test_it_finds_its_own_images(index: MemoryIndex, features: np.ndarray) -> None:
    similarity, where = index.nearest(features)
    assert (where == np.arange(600)).mean() == 1
    assert similarity.min() > 0.98


def test_it_finds_copies_and_tells_others_apart(index: MemoryIndex, features: np.ndarray) -> None:
    random = np.random.default_rng(1)
    copies = unit(features[:50] + 0.02 * random.standard_normal((50, 96)))
    similarity, where = index.nearest(copies)
    assert (where == np.arange(50)).all()
    others = unit(random.standard_normal((50, 96)) / np.arange(1, 97) ** 0.5 + 0.3)
    exact = (others @ features.T).max(1)
    found = index.nearest(others)[0]
    assert found.max() < similarity.min()
    assert np.corrcoef(found, exact)[0, 1] > 0.7


def test_blocks_change_nothing(index: MemoryIndex, features: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = index.nearest(features[:20])
    monkeypatch.setattr("gifcli.judge.memory_index.ROWS", 7)
    again = index.nearest(features[:20])
    assert whole[1].tolist() == again[1].tolist()
    assert whole[0] == pytest.approx(again[0], abs=1e-6)


def test_it_comes_back_as_it_was_saved(index: MemoryIndex, features: np.ndarray, tmp_path: Path) -> None:
    size = index.save(tmp_path / "memorised.npz")
    first = (tmp_path / "memorised.npz").read_bytes()
    index.save(tmp_path / "memorised.npz")
    assert (tmp_path / "memorised.npz").read_bytes() == first
    assert size < 600 * 16 + 2 * 32 * 96 + 3000
    again = load(tmp_path / "memorised.npz")
    assert (again.size, again.encoder) == (128, "abc")
    assert again.nearest(features)[0].tolist() == index.nearest(features)[0].tolist()


def test_another_encoder_is_refused(index: MemoryIndex, tmp_path: Path) -> None:
    index.save(tmp_path / "memorised.npz")
    assert load(tmp_path / "memorised.npz", "abc").encoder == "abc"
    with pytest.raises(ModelMissingError, match="revision abc, found xyz"):
        load(tmp_path / "memorised.npz", "xyz")


def test_a_damaged_file_is_our_own_error(tmp_path: Path) -> None:
    (tmp_path / "memorised.npz").write_bytes(b"not an index")
    with pytest.raises(ModelMissingError, match="install gifcli anew"):
        load(tmp_path / "memorised.npz")
    with pytest.raises(ModelMissingError):
        load(tmp_path / "nowhere.npz")


def test_a_hundred_thousand_images_fit_six_megabytes() -> None:
    r = components(100_000, 1280, 6_000_000)
    assert r % 2 == 0
    assert 5_900_000 < 100_000 * r / 2 + 2 * r * 1280 <= 6_000_000
    assert components(10, 1280, 6_000_000) == 1280
