import numpy as np
import pytest
from skimage import data

from gifcli.evaluate.corruptions import CORRUPTIONS, corrupt

PICTURE = data.astronaut()[:96, 100:196]


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_each_is_repeatable_visible_and_leaves_the_content(name):
    one, two = (corrupt(name, PICTURE, 5) for _ in range(2))
    assert (one == two).all()
    assert one.dtype == np.uint8
    assert one.shape == PICTURE.shape
    assert np.abs(one.astype(int) - PICTURE).mean() > 2
    assert np.corrcoef(one.ravel(), PICTURE.ravel())[0, 1] > 0.6


def test_noise_differs_from_image_to_image():
    assert (corrupt("gaussian noise", PICTURE, 1) != corrupt("gaussian noise", PICTURE, 2)).mean() > 0.5
    assert (corrupt("contrast", PICTURE, 1) == corrupt("contrast", PICTURE, 2)).all()
