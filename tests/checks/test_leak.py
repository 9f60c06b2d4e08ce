"""Copies of test images are rejected, mirrored ones too; everything else stays."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from gifcli.checks import Table
from gifcli.checks.copies import CopySettings
from gifcli.checks.duplicate import DuplicateCheck
from gifcli.checks.fingerprints import mirrored_hash, perceptual_hash, sketch, sketch_error
from gifcli.checks.leak import LeakCheck
from gifcli.checks.resaved import saved_again


@pytest.fixture
def table(rules, seeds, make_pair):
    """As samples of coffee0: the test image saved again and mirrored, another crop of the cat, and coffee0."""
    square = {seed.key: seed for seed in seeds if seed.pixels.shape[1] == 160}
    secret, coffee = square["cat0"], square["coffee0"]
    images = [saved_again(secret.pixels[None])[0], secret.pixels[:, ::-1], square["cat3"].pixels, coffee.pixels]
    images = [np.ascontiguousarray(image) for image in images]
    samples = DuplicateCheck(rules).measure(*make_pair(images, [coffee] * 4))
    samples |= {"seed": np.array([coffee.key] * 4)}
    others = DuplicateCheck(rules).measure(*make_pair([secret.pixels], [secret])) | {
        "key": np.array(["test/cat/0.png"])
    }
    return Table(samples, {}, others)


def test_rejects_copies_of_test_images(rules, table):
    leak = "leak: of test/cat/0.png"
    assert LeakCheck(rules).judge(table) == [leak, leak, None, None]


def test_the_limit_is_how_alike_copies_of_the_seeds_are(rules, table):
    check = LeakCheck(replace(rules, quantiles={"resaved": np.linspace(0.6, 1.0, 101)}), CopySettings(quantile=0.9))
    assert check.thresholds(table)["max_similarity"] == pytest.approx(0.64 - 2 * sketch_error(0.64))


def test_thresholds_can_be_set(rules, table):
    assert LeakCheck(rules, CopySettings(max_similarity=1.0)).judge(table) == [None] * 4
    everything = LeakCheck(rules, CopySettings(max_similarity=-1.0, max_hash_distance=64))
    assert None not in everything.judge(table)
    assert everything.thresholds(table) == {"max_similarity": -1.0, "max_hash_distance": 64}


def test_without_test_images_nothing_leaks(rules, table):
    assert LeakCheck(rules).judge(Table(table.samples, {})) == [None] * 4


def test_sketches_err_as_much_as_is_said():
    random = torch.Generator().manual_seed(0)
    a = torch.nn.functional.normalize(torch.randn(2000, 256, generator=random), dim=1)
    b = torch.nn.functional.normalize(a + 0.75 * torch.randn(2000, 256, generator=random) / 16, dim=1)
    true = (a * b).sum(1).numpy()
    found = (sketch(a).astype(np.float32) * sketch(b).astype(np.float32)).sum(1)
    assert (found - true).std() == pytest.approx(sketch_error(true.mean()), rel=0.15)


def test_the_hash_of_a_mirror_image_is_known_without_it(seeds):
    for seed in seeds[::3]:
        plain, turned = (
            perceptual_hash(image[None]) for image in (seed.pixels, np.ascontiguousarray(seed.pixels[:, ::-1]))
        )
        assert np.bitwise_count(mirrored_hash(plain) ^ turned)[0] <= 10
        assert np.bitwise_count(plain ^ turned)[0] >= 20
