import numpy as np
import pytest
import torch

from gifcli.compute.transfer import land, upload

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here"))]


@pytest.mark.parametrize("device", DEVICES)
def test_what_goes_up_comes_back(device: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), dtype=np.uint8)
    tensor = upload(pixels, device)
    assert tensor.device.type == device
    landing = land(tensor.permute(0, 3, 1, 2).float() / 127.5 - 1)
    assert np.array_equal(landing.pixels(), pixels)
    assert np.array_equal(landing.pixels(), pixels)  # as often as one likes


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_the_host_does_not_wait_for_the_device() -> None:
    large = torch.randn(4096, 4096, device="cuda")
    for _ in range(50):
        large = large @ large / 64
    landing = land(large[:3, :64].reshape(1, 3, 8, 8))
    assert landing.arrived is not None
    assert not landing.arrived.query()
    assert landing.levels.is_pinned()


def test_values_are_clipped_and_rounded() -> None:
    images = torch.tensor([-2.0, -1.0, 0.0, 0.999, 5.0]).view(1, 1, 1, 5).expand(1, 3, 1, 5)
    assert land(images).pixels()[0, 0, :, 0].tolist() == [0, 0, 128, 255, 255]
