"""The report's metrics are those of the references on the features of the run; few images give none."""

from pathlib import Path

import numpy as np
import pytest
from prdc import compute_prdc

from gifcli.metrics.kid import kid, rescaled
from gifcli.records import Array
from gifcli.report import Likeness
from gifcli.reporting import likeness
from gifcli.reporting.likeness import compare, sample_features, seed_features
from gifcli.reporting.tally import Tally, tally
from gifcli.state.files import PLAN
from gifcli.state.plan import Plan
from gifcli.state.shards import ShardStore


@pytest.fixture(scope="module")
def opened(reference: Path) -> tuple[ShardStore, dict[str, int], Tally]:
    store = ShardStore(reference)
    plan = Plan.from_state(store.load(PLAN))
    places = {source.key: n for n, shard in enumerate(plan.shards) for source in shard}
    return store, places, tally(reference / "manifest.parquet", 4)


def both(store: ShardStore, places: dict[str, int], counted: Tally) -> tuple[Array, Array]:
    real = seed_features(store, places, [row.seed for row in counted.seeds.rows])
    made = sample_features(store, counted.kept.rows)
    keys = [f"{row.seed}-k{row.k}-a{row.attempt}" for row in counted.kept.rows]
    return np.stack([real[row.seed] for row in counted.seeds.rows]), np.stack([made[key] for key in keys])


def test_every_seed_and_every_kept_sample_has_its_feature(opened: tuple[ShardStore, dict[str, int], Tally]) -> None:
    x, y = both(*opened)
    assert (len(x), len(y)) == (12, 24)
    assert np.allclose(np.linalg.norm(x, axis=1), 1, atol=1e-3)
    assert np.allclose(np.linalg.norm(y, axis=1), 1, atol=2e-3)
    parents = {row.seed: i for i, row in enumerate(opened[2].seeds.rows)}
    own = [y[i] @ x[parents[row.seed]] for i, row in enumerate(opened[2].kept.rows)]
    assert np.mean(own) > np.mean(y @ x.T) + 0.05  # rows are not mixed up
    given = [row.nn_seed for row in opened[2].kept.rows]
    assert np.allclose(own, given, atol=0.02)


def test_few_images_have_a_map_and_no_metrics(opened: tuple[ShardStore, dict[str, int], Tally]) -> None:
    found = compare(*opened)
    assert isinstance(found, Likeness)
    assert (found.measures, found.notes) == (
        [],
        ["Metrics need 30 originals and as many kept images at least; there are 12 and 24."],
    )
    assert found.cloud
    assert {kind for *_, kind, _ in found.cloud.points} >= {"seed", "kept"}
    assert compare(*opened) == found


def test_metrics_equal_the_references(
    opened: tuple[ShardStore, dict[str, int], Tally], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(likeness, "FEWEST_IMAGES", 6)
    found = compare(*opened)
    assert found
    x, y = both(*opened)
    measures = {measure.name: measure for measure in found.measures}
    expected = {**compute_prdc(x, y, 5), "KID": kid(rescaled(x), rescaled(y))}
    assert set(measures) == set(expected)
    for name, value in expected.items():
        assert measures[name].value == pytest.approx(value, abs=1e-9), name
        assert measures[name].low <= measures[name].value <= measures[name].high
    assert measures["KID"].low < measures["KID"].high
    assert measures["precision"].halves is not None
    assert any("No Frechet distance (FID): under 2,000" in note for note in found.notes)


def test_a_run_whose_checks_kept_no_features_has_none(
    opened: tuple[ShardStore, dict[str, int], Tally], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gifcli.judge.judging.features", lambda *_: None)
    assert compare(*opened) is None
