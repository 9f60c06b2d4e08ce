"""Measures compare across sizes, and say what they are named after."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from skimage import data

from gifcli.checks.seed_measures import SEED_MEASURES, contrast, sharpness
from gifcli.compute.batches import pixels_to_tensor


def tensor(image):
    return pixels_to_tensor(np.array(image)[None])


@pytest.mark.parametrize("name", SEED_MEASURES)
def test_one_number_an_image_whatever_the_batch(name):
    images = torch.cat([tensor(data.cat()), tensor(data.cat()[:, ::-1].copy())])
    values = SEED_MEASURES[name](images)
    assert values.shape == (2,)
    assert values[0].item() == pytest.approx(SEED_MEASURES[name](images[:1]).item(), rel=1e-4)


def test_sharpness_falls_with_blur_and_hardly_with_size():
    picture = Image.fromarray(data.coffee())
    blurred = [sharpness(tensor(picture.filter(ImageFilter.GaussianBlur(radius)))).item() for radius in (0, 4, 8)]
    assert blurred[0] > 3 * blurred[1] > 9 * blurred[2]
    half = picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.LANCZOS)
    assert sharpness(tensor(half)).item() == pytest.approx(blurred[0], rel=0.25)


def test_contrast_is_the_spread_of_the_luma():
    halves = np.zeros((64, 64, 3), np.uint8)
    halves[:, 32:] = 255
    assert contrast(tensor(halves)).item() == pytest.approx(0.5)
    assert contrast(tensor(np.full((64, 64, 3), 90, np.uint8))).item() == pytest.approx(0, abs=1e-6)
