"""Rows come in sample order whatever the batch; the first check with a reason wins; rejected samples are no originals."""

import io
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from PIL import Image

from gifcli.checks import Table, make_check
from gifcli.guides.classifier import make_classifier
from gifcli.records import Sample
from gifcli.stages.filter import judge, measure, seed_rows

NAMES = ("broken", "label", "drift", "unchanged", "duplicate")


@pytest.fixture
def checks(rules):
    settings = {"label": {"classify": partial(make_classifier, rules)}}
    return {name: make_check(name, settings.get(name, {}), rules) for name in reversed(NAMES)}


def sample_of(seed, k, pixels):
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG")
    return Sample(seed.key, k, 0, buffer.getvalue(), ".png", pixels.shape[1], pixels.shape[0])


def cropped(pixels, left):
    image = Image.fromarray(pixels)
    box = (left, left, image.width - left, image.height - left)
    return np.asarray(image.crop(box).resize(image.size, Image.Resampling.LANCZOS))


@pytest.fixture
def samples(seeds):
    """Of cat0: a crop, the crop again, the seed, black twice, coffee; of cat2, which is wider: a crop."""
    by_key = {seed.key: seed for seed in seeds}
    cat, wide = by_key["cat0"], by_key["cat2"]
    crop, black = cropped(cat.pixels, 20), np.zeros_like(cat.pixels)
    images = [crop, crop, cat.pixels, black, black, by_key["coffee0"].pixels]
    return [
        sample_of(cat, 0, images[0]),
        sample_of(wide, 0, cropped(wide.pixels, 20)),
        *(sample_of(cat, k, image) for k, image in enumerate(images[1:], 1)),
    ]


def table_of(rows, seeds, rules):
    columns = ({name: np.stack([np.asarray(row[name]) for row in rows]) for name in rows[0]} for rows in (rows, seeds))
    return Table(*columns)


def test_measures_then_judges(samples, seeds, rules, tools, checks):
    rows = list(measure(samples, {seed.key: seed for seed in seeds}, tools, checks))
    table = table_of(rows, list(seed_rows(seeds, rules.classes)), rules)
    reasons = judge(table, checks)
    assert [reason and reason.split(" (")[0].split(" 0.")[0] for reason in reasons] == [
        None,
        None,
        "duplicate: of cat0-k0-a0",
        "unchanged: similarity 1.000 >",
        "broken: flat",
        "broken: flat",
        "label: p",
    ]


def test_rejected_samples_are_not_copied_from(samples, seeds, rules, tools, checks):
    """With a label check that nothing passes, the second crop has that reason, not that it copies the first."""
    checks["label"] = make_check("label", {"min_prob": 1.0, "classify": partial(make_classifier, rules)}, rules)
    rows = list(measure(samples[:3], {seed.key: seed for seed in seeds}, tools, checks))
    rows = [row | {"label_prob": 0.5 if row["k"] == 0 else 1.0} for row in rows]
    reasons = judge(table_of(rows, list(seed_rows(seeds, rules.classes)), rules), checks)
    assert reasons == ["label: p 0.500 < 1.000", "label: p 0.500 < 1.000", None]


def test_rows_do_not_depend_on_the_batch(samples, seeds, tools, checks):
    parents = {seed.key: seed for seed in seeds}
    together, alone = (list(measure(samples, parents, replace(tools, batch_size=n), checks)) for n in (64, 1))
    for a, b, sample in zip(together, alone, samples, strict=True):
        assert (a["seed"], a["k"], a["attempt"], a["label"]) == (sample.seed, sample.k, 0, 1)
        assert list(a) == list(b)
        for name in ("label_prob", "drift", "nn_seed", "sharpness"):
            assert a[name] == pytest.approx(b[name], abs=1e-4)
        assert a["phash"] == b["phash"]
        assert sum(np.asarray(value).nbytes for name, value in a.items() if name != "feature") < 500
        assert np.allclose(a["feature"].astype(np.float32), b["feature"], atol=1e-3)


def test_nothing_to_do(tools, checks):
    assert list(measure([], {}, tools, checks)) == []
    assert judge(Table({"seed": np.zeros(0, str)}, {}), {}) == []
