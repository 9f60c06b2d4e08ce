"""Clusters and leave-one-out, against the long way round."""

import numpy as np
import pytest

from gifcli.rules.clusters import calibrate, find_clusters, leave_one_out, spread


def unit(x: np.ndarray) -> np.ndarray:
    return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(np.float32)


def blobs(centres: np.ndarray, each: int, noise: float, rng: int = 0) -> np.ndarray:
    g = np.random.default_rng(rng)
    return unit(np.repeat(unit(centres), each, axis=0) + noise * g.normal(size=(len(centres) * each, centres.shape[1])))


def test_leave_one_out_equals_recomputing_without_the_seed() -> None:
    x, y = blobs(np.eye(4, 16), 20, 0.2), np.repeat([0, 0, 1, 2], 20)
    clusters, _ = find_clusters(x, y, 3, 3)
    assert sorted(clusters.owners.tolist()) == [0, 0, 1, 2]
    s = leave_one_out(clusters, x, x, y)
    for i in range(0, len(x), 7):
        keep = np.arange(len(x)) != i
        for c in range(3):
            own = [p for p in range(len(clusters.owners)) if clusters.owners[p] == c]
            means = [unit(x[keep & (clusters.member == p)].mean(0)) for p in own]
            assert s[i, c] == pytest.approx(max(x[i] @ m for m in means), abs=1e-5)


def test_a_class_of_one_image_and_a_class_of_none_are_left_out() -> None:
    x, y = blobs(np.eye(3, 8), 2, 0.1), np.array([0, 0, 0, 0, 1, 3])
    clusters, tau = find_clusters(x, y, 4, 3)
    s = leave_one_out(clusters, x, x, y)
    assert np.isneginf(s[4, 1])
    assert np.isneginf(s[5, 3])
    assert np.isneginf(s[:, 2]).all()
    assert np.isfinite(s[:4, :2]).all()
    assert np.isfinite(tau)


def test_a_class_gets_clusters_where_they_help_and_only_there() -> None:
    two_faced = blobs(np.array([[1.0, 0, 0, 0, 0], [-1.0, 0.5, 0, 0, 0]]), 12, 0.2)
    plain = blobs(np.array([[0.0, 0, 1, 0, 0], [0, 0, 0, 1, 0]]), 24, 0.2)
    clusters, _ = find_clusters(np.concatenate([two_faced, plain]), np.repeat([0, 1, 2], 24), 3, 3)
    assert (clusters.owners == 0).sum() >= 2
    small, _ = find_clusters(two_faced[6:18], np.repeat([0, 1], 6), 2, 3)
    assert small.owners.tolist() == [0, 1]


def test_tau_is_the_best_of_a_fine_grid() -> None:
    g = np.random.default_rng(1)
    y = g.integers(0, 4, 60)
    s = (0.3 * g.normal(size=(60, 4)) + 0.3 * np.eye(4)[y]).astype(np.float32)
    target = np.where(np.eye(4)[y] > 0, 61 / 62, 1 / 62 / 3)

    def loss(tau: float) -> float:
        return float(-(target * (tau * s - np.log(np.exp(tau * s).sum(1, keepdims=True)))).sum(1).mean())

    grid = np.geomspace(1, 300, 3000)
    assert calibrate(s, y) == pytest.approx(grid[np.argmin([loss(t) for t in grid])], rel=0.01)


def test_tau_stays_finite_when_every_seed_is_right() -> None:
    s = np.eye(2, dtype=np.float32)[[0, 1] * 10] * 0.5
    few, many = calibrate(s, np.array([0, 1] * 10)), calibrate(np.tile(s, (50, 1)), np.array([0, 1] * 500))
    assert 1 < few < many < 100


def test_spread_equals_principal_component_analysis() -> None:
    from sklearn.decomposition import PCA

    for n in (10, 60):
        x = blobs(np.ones((1, 20)), n, 0.3)
        wanted = PCA().fit(x.astype(np.float64)).explained_variance_ratio_[:5]
        assert np.allclose(spread(x)[:5], wanted, atol=1e-6)
    assert spread(x[:1]).size == 0
