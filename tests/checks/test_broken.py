"""Black, flat, NaN and blurred images are rejected; seeds and their soft but recognisable children are not."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from gifcli.checks import SampleBatch, Table
from gifcli.checks.broken import BrokenCheck


def blurred(pixels, radius):
    return np.array(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius)))


def judged(check, pair):
    return check.judge(Table(check.measure(*pair) | {"label": pair[1].labels.numpy()}, {}))


def test_rejects_flat_and_blurred(rules, seeds, make_pair):
    black, grey = np.zeros((160, 160, 3), np.uint8), np.full((160, 160, 3), 120, np.uint8)
    noisy = (grey + np.random.default_rng(0).integers(0, 3, grey.shape)).astype(np.uint8)
    images = [black, grey, noisy, blurred(seeds[0].pixels, 6)]
    reasons = judged(BrokenCheck(rules), make_pair(images, [seeds[0]] * 4))
    assert [reason.split(" (")[0] for reason in reasons] == ["broken: flat"] * 3 + ["broken: blurred"]


def test_keeps_the_seeds_and_mild_changes(rules, seeds, make_pair):
    square = [seed for seed in seeds if seed.pixels.shape == (160, 160, 3)]
    images = [seed.pixels for seed in square] + [blurred(seed.pixels, 0.7) for seed in square]
    assert judged(BrokenCheck(rules), make_pair(images, square * 2)) == [None] * len(images)


def test_an_asked_for_sharpness_is_relative_to_the_seed(rules, seeds, make_pair):
    pair = make_pair([blurred(seeds[0].pixels, 1), seeds[0].pixels], [seeds[0]] * 2)
    reasons = judged(BrokenCheck(rules, min_sharpness=0.9), pair)
    assert reasons[0].startswith("broken: blurred")
    assert reasons[1] is None


def test_blur_is_relative_to_the_class(rules, seeds, make_pair):
    """The same soft child of a sharp seed, under a class whose seeds are as soft, and under one whose are not."""
    quantiles = {**rules.quantiles, "sharpness/0": np.zeros(101), "sharpness/1": np.full(101, 1.0)}
    pair = make_pair([blurred(seeds[0].pixels, 6)] * 2, [seeds[0]] * 2)
    check = BrokenCheck(replace(rules, quantiles=quantiles))
    columns = check.measure(*pair) | {"label": np.array([0, 1])}
    soft_class, sharp_class = check.judge(Table(columns, {}))
    assert soft_class is None
    assert sharp_class.startswith("broken: blurred")


def test_the_rules_know_how_sharp_each_class_is(rules, seeds):
    for label, name in enumerate(rules.classes):
        own = [seed.measures["sharpness"] for seed in seeds if seed.label == name]
        assert rules.quantiles[f"sharpness/{label}"][[0, 100]] == pytest.approx([min(own), max(own)])


def test_rejects_what_is_not_a_number(rules, seeds, make_pair):
    batch, parents = make_pair([seeds[0].pixels, seeds[0].pixels], [seeds[0]] * 2)
    pixels = batch.pixels.clone()
    pixels[0, 0, 3, 3] = torch.nan
    assert judged(BrokenCheck(rules), (SampleBatch(batch.keys, pixels, batch.features), parents)) == [
        "broken: not a number",
        None,
    ]
