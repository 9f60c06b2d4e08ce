from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from gifcli import session
from gifcli.compute.batches import pixels_to_tensor
from gifcli.encoders.embedded import EmbeddedEncoder
from gifcli.judge import judging
from gifcli.judge.memory_index import build
from gifcli.judge.nearness import figures, nearness, to_lines
from gifcli.models import encoder_card, revision
from gifcli.rules.rules import Rules
from gifcli.state import packing
from gifcli.state.shards import ShardStore


def test_figures_are_percentiles() -> None:
    assert figures(np.linspace(0, 1, 101)) == {"median": 0.5, "p95": 0.95, "p99": 0.99, "nearest": 1.0}


def test_of_kept_samples_only(rules: Rules) -> None:
    samples = {
        "seed": np.array(["a", "a", "b"]),
        "k": np.arange(3),
        "attempt": np.zeros(3, int),
        "nn_seed": np.array([0.9, 0.8, 0.99]),
        "nn_set": np.array([0.5, -np.inf, 0.99]),
        "nn_prior": np.array([0.3, 0.4, 0.9]),
        "nn_prior_seed": np.array([0.35, 0.35, 0.2]),
    }
    found = nearness(samples, np.array([True, True, False]), rules)
    assert found["own_seed"]["nearest"] == 0.9
    assert found["other_seed"]["nearest"] == 0.5
    assert found["prior"]["nearest"] == 0.4
    assert found["closest"] == [["a-k0-a0", 0.5]]
    assert to_lines(found)[-1].startswith(
        "similarity of samples to the nearest training image of the prior: median 0.35"
    )
    assert to_lines({"closest": []}) == []


def test_a_run_keeps_it_and_the_manifest_has_it(reference: Path) -> None:
    """nn_set is the greatest cosine to the features of a seed that is not the sample's own, as sketches estimate it."""
    store = ShardStore(reference)
    seeds = [seed for shard in store.done("extract") for seed in packing.unpack_seeds(store.read("extract", shard))]
    features = np.stack([seed.feature for seed in seeds])
    keys = np.array([seed.key for seed in seeds])
    rows = {row["key"]: row for row in pq.read_table(reference / "manifest.parquet").to_pylist() if row["is_synthetic"]}
    for shard in store.done("filter"):
        measures, looks = judging.measures(store, shard), judging.features(store, shard)
        assert looks is not None
        for i, key in enumerate(measures["seed"]):
            row = rows[f"{key}-k{measures['k'][i]}-a{measures['attempt'][i]}"]
            exact = (features @ looks[i])[keys != key].max()
            assert row["nn_set"] == pytest.approx(exact, abs=0.3)
            assert row["nn_seed"] == pytest.approx(float(features[keys == key][0] @ looks[i]), abs=2e-3)
    found = judging.nearness_of(store)
    assert found["other_seed"]["median"] <= found["other_seed"]["p95"] <= found["other_seed"]["nearest"] <= 1
    kept = [row["nn_set"] for row in rows.values() if row["reason"] is None]
    assert found["other_seed"]["nearest"] == pytest.approx(max(kept), abs=1e-4)


def test_nearness_to_what_the_prior_was_trained_on(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if this prior had been trained on the seeds of two classes, and shipped an index that says so."""
    store, encoder = ShardStore(finished), EmbeddedEncoder()
    seeds = [seed for shard in store.done("extract") for seed in packing.unpack_seeds(store.read("extract", shard))]
    known = [pixels_to_tensor(seed.pixels[None]) for seed in seeds if seed.label != "brick"]
    with torch.no_grad():
        features = torch.cat([encoder.images(pixels, 128) for pixels in known]).numpy()
    build(features, 6, 128, revision(encoder_card("embedded").files)).save(finished / "memorised.npz")
    for module in ("judge.checklist", "tasks.parts"):
        monkeypatch.setattr(f"gifcli.{module}.memory_file", lambda _: finished / "memorised.npz")
    done = session.run_stage("filter", finished, {})
    assert done.nearness["prior_seeds"]["nearest"] > 0.98
    assert done.nearness["prior"]["nearest"] <= 1
    assert "nearest training image of the prior" in "\n".join(done.to_lines())
    session.run_stage("export", finished, {})
    rows = [row for row in pq.read_table(finished / "manifest.parquet").to_pylist() if row["is_synthetic"]]
    near = [row["nn_prior"] for row in rows if row["label"] != "brick"]
    far = [row["nn_prior"] for row in rows if row["label"] == "brick"]
    assert np.median(near) > np.median(far)
    assert session.run_stage("filter", finished, {}).seconds == 0
