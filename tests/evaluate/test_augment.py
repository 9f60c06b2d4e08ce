import pytest
import torch
from skimage import data
from torchvision.transforms.v2 import functional as F

from gifcli.evaluate.augment import OPERATIONS, recolour, trivial, warp, weak

PICTURE = torch.from_numpy(data.coffee()[100:164, 200:264].copy()).permute(2, 0, 1)[None]
X = PICTURE.float() / 255
REFERENCES = {
    "brightness": lambda x, s: F.adjust_brightness(x, 1 + 0.99 * s),
    "color": lambda x, s: F.adjust_saturation(x, 1 + 0.99 * s),
    "contrast": lambda x, s: F.adjust_contrast(x, 1 + 0.99 * s),
    "sharpness": lambda x, s: F.adjust_sharpness(x, 1 + 0.99 * s),
    "posterize": lambda x, s: F.posterize(x, 8 - round(abs(s) * 6)),
    "solarize": lambda x, s: F.solarize(x, 255 * (1 - abs(s))),
    "autocontrast": lambda x, s: F.autocontrast(x),
    "equalize": lambda x, s: F.equalize(x),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_operations_equal_torchvisions(name):
    near = 8 if name == "equalize" else 2  # that one spreads levels by other rounding
    for strength in (-0.7, 0.4):
        ours = recolour(name, X, torch.tensor([abs(strength)]), torch.tensor([1.0 if strength > 0 else -1.0]))
        other = REFERENCES[name](PICTURE, strength).float()
        assert ((ours * 255 - other).abs() > near).float().mean() < 0.02


def test_rotation_and_shift_go_as_far_as_torchvisions():
    turned = warp(X, torch.tensor([5]), torch.tensor([1 / 3]))
    other = F.rotate(X, 45)
    assert min((turned - other).abs().mean(), (turned - F.rotate(X, -45)).abs().mean()) < 0.03
    moved = warp(X, torch.tensor([3]), torch.tensor([0.5]))
    assert torch.equal(moved[..., :48], X[..., 16:])
    assert (moved[..., 48:] == 0).all()


def test_trivial_takes_each_operation_and_repeats_itself():
    images = X.expand(280, -1, -1, -1)
    one, two = (trivial(images, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one, two)
    assert one.shape == images.shape
    assert one.min() >= 0
    assert one.max() <= 1
    same = (one == images).flatten(1).all(1).float().mean()
    assert 1 / len(OPERATIONS) * 0.4 < same < 0.3


def test_weak_mirrors_only_where_it_may():
    ramp = torch.linspace(0, 1, 32).expand(64, 3, 32, 32)
    draw = torch.Generator().manual_seed(0)
    assert (weak(ramp, draw, mirror=False).diff(dim=-1) >= 0).all()
    mirrored = weak(ramp, draw, mirror=True)[:, 0, 0]
    assert 16 < (mirrored[:, -1] < mirrored[:, 0]).sum() < 48
