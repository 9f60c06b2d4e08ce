"""Black, flat, NaN and blurred images are rejected; seeds and their soft but recognisable children are not."""

import numpy as np
import torch
from PIL import Image, ImageFilter

from gifcli.checks import SampleBatch, Table
from gifcli.checks.broken import BrokenCheck


def blurred(pixels, radius):
    return np.array(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius)))


def judged(check, pair):
    return check.judge(Table(check.measure(*pair), {}))


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


def test_rejects_what_is_not_a_number(rules, seeds, make_pair):
    batch, parents = make_pair([seeds[0].pixels, seeds[0].pixels], [seeds[0]] * 2)
    pixels = batch.pixels.clone()
    pixels[0, 0, 3, 3] = torch.nan
    assert judged(BrokenCheck(rules), (SampleBatch(batch.keys, pixels, batch.features), parents)) == [
        "broken: not a number",
        None,
    ]
