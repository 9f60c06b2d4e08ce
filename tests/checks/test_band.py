"""PSNR and SSIM equal scikit-image's; samples outside the bands are rejected."""

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from gifcli.checks import Table
from gifcli.checks.band import MOST_PSNR, BandCheck, psnr, ssim
from gifcli.checks.seed_measures import luma


def greys(seeds):
    pixels = torch.from_numpy(np.stack([seed.pixels for seed in seeds])).permute(0, 3, 1, 2) / 127.5 - 1
    return luma(pixels)


def test_equal_to_scikit_image(seeds):
    square = [seed for seed in seeds if seed.pixels.shape[1] == 160]
    x, y = greys(square[:4]), greys(square[1:5])
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    for i in range(4):
        a, b = (each[i, 0].double().numpy() for each in (x, y))
        assert ssim(x, y)[i].item() == pytest.approx(structural_similarity(a, b, **options), abs=1e-4)
        assert psnr(x, y)[i].item() == pytest.approx(peak_signal_noise_ratio(a, b, data_range=1.0), abs=1e-3)


def test_rejects_what_lies_outside_the_bands(rules, seeds, make_pair):
    noisy = np.clip(seeds[0].pixels + np.random.default_rng(0).normal(0, 12, seeds[0].pixels.shape), 0, 255)
    images = [seeds[0].pixels, noisy.astype(np.uint8), seeds[6].pixels]
    columns = BandCheck(rules).measure(*make_pair(images, [seeds[0]] * 3))
    assert columns["ssim"][0] == pytest.approx(1, abs=1e-5)
    assert columns["psnr"][0] == MOST_PSNR
    far, near = (
        BandCheck(rules, **limit).judge(Table(columns, {})) for limit in ({"min_ssim": 0.3}, {"max_psnr": 50.0})
    )
    assert far[:2] == [None, None]
    assert far[2].startswith("band: ssim 0.")
    assert near == ["band: psnr 100.000 > 50.000", None, None]


def test_no_limit_no_reason(rules, seeds, make_pair):
    check = BandCheck(rules)
    table = Table(check.measure(*make_pair([seeds[6].pixels], [seeds[0]])), {})
    assert check.judge(table) == [None]
    assert check.thresholds(table) == {}


def test_images_smaller_than_a_window():
    x = torch.rand(2, 1, 1, 1).expand(2, 3, 6, 9)
    band = BandCheck(None)
    batch = type("Batch", (), {"pixels": x})()
    assert np.isfinite(band.measure(batch, batch)["ssim"]).all()
