"""The axes are the principal components, as scikit-learn finds them; the drawing holds all points at one scale."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from gifcli.report.cloud import EDGE, WIDTH, draw_cloud, principal

RNG = np.random.default_rng(4)


@pytest.mark.parametrize("shape", [(40, 8), (12, 50)])
def test_principal_axes_equal_sklearns(shape: tuple[int, int]) -> None:
    x = RNG.normal(size=shape) * np.linspace(3, 0.2, shape[1])
    centre, axes, spread = principal(x)
    expected = PCA(2, svd_solver="full").fit(x)
    assert np.allclose(np.abs(axes @ expected.components_.T), np.eye(2), atol=1e-8)
    assert np.allclose(centre, expected.mean_)
    assert spread == pytest.approx(expected.explained_variance_ratio_.sum())
    assert all(axis[np.abs(axis).argmax()] > 0 for axis in axes)


def test_all_points_are_inside_at_one_scale() -> None:
    features = RNG.normal(size=(60, 16)) * np.linspace(2, 0.1, 16)
    groups = {
        "seed": [("a", f) for f in features[:20]],
        "kept": [("b", f) for f in features[20:]],
        "rejected": [("a", 3 * features[0])],
    }
    cloud = draw_cloud(groups)
    assert cloud
    assert len(cloud.points) == 61
    assert all(EDGE - 0.1 <= x <= WIDTH - EDGE + 0.1 and 0 <= y <= cloud.height for x, y, *_ in cloud.points)
    _, axes, _ = principal(features)
    flat, drawn = features @ axes.T, np.array([point[:2] for point in cloud.points[:60]])
    far = np.linalg.norm(flat[0] - flat[1:], axis=1), np.linalg.norm(drawn[0] - drawn[1:], axis=1)
    assert np.allclose(far[1] / far[0], far[1][0] / far[0][0], rtol=0.05)


def test_nothing_to_spread_gives_no_map() -> None:
    same = [("a", np.ones(4))] * 5
    assert draw_cloud({"seed": same, "kept": same}) is None
    assert draw_cloud({"seed": same[:1], "kept": same[:1]}) is None
