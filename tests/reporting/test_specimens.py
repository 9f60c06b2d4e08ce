"""The pictures beside a seed are its own, kept ones first, within the page's room."""

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from gifcli.images.reading import fit, read
from gifcli.reporting.specimens import PICTURES, SIDE, Specimens, layout
from gifcli.reporting.tally import siblings
from gifcli.state.files import PLAN
from gifcli.state.plan import Plan
from gifcli.state.shards import ShardStore


@pytest.fixture(scope="module")
def specimens(reference: Path) -> Specimens:
    store = ShardStore(reference)
    plan = Plan.from_state(store.load(PLAN))
    places = {source.key: n for n, shard in enumerate(plan.shards) for source in shard}
    names = {source.key: source.path for source in plan.sources}
    return Specimens(store, places, names, siblings(reference / "manifest.parquet", set(places)), 8)


def test_each_strip_holds_a_seed_and_its_own_samples(specimens: Specimens, reference: Path, photos: Path) -> None:
    seeds = list(specimens.places)
    strips = list(specimens.strips(seeds))
    table = pq.read_table(reference / "manifest.parquet").to_pandas()
    assert [strip.seed.name for strip in strips] == [specimens.names[seed] for seed in seeds]
    for seed, strip in zip(seeds, strips, strict=True):
        original = fit(read(photos / strip.seed.name).pixels, *strip.seed.pixels.shape[1::-1])
        assert np.abs(strip.seed.pixels.astype(int) - original).mean() < 4
        rows = table[table["parent_key"] == seed]
        kept = rows[rows["verdict"] == "kept"].sort_values("k")
        assert [picture.name.partition(",")[0] for picture in strip.samples if not picture.reason] == [
            f"k{k:.0f}" for k in kept["k"]
        ]
        first = read(reference / kept["file"].iloc[0]).pixels
        assert (
            np.abs(strip.samples[0].pixels.astype(int) - fit(first, *strip.samples[0].pixels.shape[1::-1])).mean() < 4
        )
        assert strip.more == len(rows) - len(strip.samples)
        assert Counter(picture.reason for picture in strip.samples if picture.reason) <= Counter(
            rows["reason"].dropna()
        )


def test_rejected_samples_keep_a_place(reference: Path) -> None:
    rows = [{"k": k, "attempt": 0, "verdict": "kept", "reason": None} for k in range(20)]
    refused = [{"k": k, "attempt": k, "verdict": "rejected", "reason": "drift: x"} for k in range(6)]
    some = Specimens(ShardStore(reference), {}, {}, {"s": [*refused, *rows], "t": refused, "u": rows[:3]}, 8)
    assert [row["verdict"] for row in some._pick("s")] == ["kept"] * 4 + ["rejected"] * 4
    assert [row["attempt"] for row in some._pick("t")] == [0, 1, 2, 3, 4, 5]
    assert len(some._pick("u")) == 3
    assert list(some.strips(["s"])) == []  # in no shard


def test_pictures_are_small(specimens: Specimens) -> None:
    assert all(max(strip.seed.pixels.shape) <= SIDE for strip in specimens.strips(list(specimens.places)[:2]))


@pytest.mark.parametrize("classes", [1, 8, 30, 100, 1000, 100_000])
def test_there_is_room_for_so_many_and_no_more(classes: int) -> None:
    room = layout(classes)
    shown = min(classes, room.classes) * room.seeds * (1 + room.samples)
    assert room.seeds >= 1
    assert room.samples >= 3
    assert shown <= PICTURES * 1.01
    assert shown >= min(classes * 30, PICTURES // 2)
