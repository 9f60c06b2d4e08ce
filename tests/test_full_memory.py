"""A whole run on a device whose memory holds three images: what comes out is what comes out of a large one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gifcli import session
from gifcli.encoders.embedded import EmbeddedEncoder
from gifcli.priors.classical import ClassicalPrior
from gifcli.state import packing
from gifcli.state.shards import ShardStore
from gifcli.tasks.models import batch_limit
from runs import tiny

ROOM = 3


@pytest.fixture
def small_device(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The models raise what torch raises when more than ROOM images go into them; -> the sizes that were tried."""
    tried: list[int] = []

    def limited(kind: Any, name: str) -> None:
        own = getattr(kind, name)

        def call(self: Any, images: Any, *rest: Any, **more: Any) -> Any:
            tried.append(len(images))
            if len(images) > ROOM:
                raise torch.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {len(images)} GiB")
            return own(self, images, *rest, **more)

        monkeypatch.setattr(kind, name, call)

    limited(ClassicalPrior, "sample")
    limited(ClassicalPrior, "features")
    limited(EmbeddedEncoder, "images")
    batch_limit.cache_clear()
    yield tried
    batch_limit.cache_clear()


@pytest.mark.slow
def test_a_run_on_a_small_device_loses_and_doubles_nothing(
    small_device: list[int], photos: Path, reference: Path, tmp_path: Path
) -> None:
    root = tmp_path / "out"
    session.expand(photos, root, tiny(run__workers=1))
    assert {4, 16} & set(small_device)  # it did run out
    small, large = ShardStore(root), ShardStore(reference)
    for stage in ("extract", "optimize"):
        marks = [store.done(stage) for store in (small, large)]
        first = [shard for shard in marks[1] if shard.attempt in (None, 0)]
        assert [marks[0][shard]["seeds"] for shard in first] == [marks[1][shard]["seeds"] for shard in first]
    shards = [shard for shard in large.done("generate") if shard.attempt == 0]
    for shard in shards:
        pairs = [list(packing.unpack_samples(store.read("generate", shard))) for store in (small, large)]
        assert [(s.seed, s.k) for s in pairs[0]] == [(s.seed, s.k) for s in pairs[1]]
        noises = [list(packing.unpack_noises(store.read("optimize", shard))) for store in (small, large)]
        for a, b in zip(*noises, strict=True):
            np.testing.assert_allclose(a.b, b.b, atol=1e-3)
    slots = [tuple(slot) for shard in small.done("generate") for slot in small.done("generate")[shard]["slots"]]
    attempts = [shard.attempt for shard in small.done("generate") for _ in small.done("generate")[shard]["slots"]]
    assert len(set(zip(slots, attempts, strict=True))) == len(slots)
