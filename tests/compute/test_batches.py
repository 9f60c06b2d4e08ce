import numpy as np
import torch

from conftest import CLASSES
from gifcli.compute.batches import pixels_to_tensor, seed_batch, tensor_to_pixels
from gifcli.records import Seed


def test_every_level_survives_the_round_trip() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, 3)
    images = pixels_to_tensor(levels)
    assert images.shape == (1, 3, 16, 16)
    assert (images.min(), images.max()) == (-1, 1)
    assert np.array_equal(tensor_to_pixels(images), levels)


def test_what_is_outside_is_clipped() -> None:
    images = torch.tensor([-9.0, -1.0, 0.0, 1.0, 9.0]).view(1, 1, 1, 5).expand(1, 3, 1, 5)
    assert tensor_to_pixels(images)[0, 0, :, 0].tolist() == [0, 0, 128, 255, 255]


def test_a_batch_keeps_its_rows_together(seeds: list[Seed]) -> None:
    square = [seed for seed in seeds if seed.pixels.shape[0] == seed.pixels.shape[1]]
    batch = seed_batch(square, CLASSES, "cpu")
    assert len(batch) == len(square)
    taken = batch.take([5, 0, 5])
    assert taken.keys == [square[i].key for i in (5, 0, 5)]
    assert taken.names == [square[i].label for i in (5, 0, 5)]
    assert [list(CLASSES)[label] for label in taken.labels] == taken.names
    for row, i in enumerate((5, 0, 5)):
        assert np.array_equal(tensor_to_pixels(taken.pixels[row : row + 1])[0], square[i].pixels)
        assert np.array_equal(taken.features[row].numpy(), square[i].feature)


def test_repeat_puts_siblings_side_by_side(seeds: list[Seed]) -> None:
    batch = seed_batch(seeds[:2], CLASSES, "cpu")
    assert batch.repeat(3).keys == [seeds[0].key] * 3 + [seeds[1].key] * 3


def test_a_label_that_the_run_does_not_know_is_minus_one(seeds: list[Seed]) -> None:
    batch = seed_batch(seeds[:1], {"other": "other"}, "cpu")
    assert batch.labels.tolist() == [-1]
    assert batch.names == [seeds[0].label]
