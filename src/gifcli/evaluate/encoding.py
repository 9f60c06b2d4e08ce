"""Features of images that the run has none of: test images, corrupted ones, and augmented originals."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from gifcli.compute.batches import pixels_to_tensor
from gifcli.compute.devices import cores
from gifcli.encoders import Encoder
from gifcli.evaluate.augment import trivial, weak
from gifcli.evaluate.training import one_thread_each
from gifcli.noise import Slot, generator
from gifcli.records import Array, Seed

BATCH = 16
COPIES = 2
"""Augmented copies of each original that the probe draws from."""


@dataclass(frozen=True, slots=True)
class Features:
    """An encoder as a function of lists of images; on a CPU batches go side by side, a core each."""

    encoder: Encoder
    device: str
    advance: Callable[[int], None] | None = None

    def __call__(self, images: list[Array]) -> Array:
        """Images (h w 3) uint8 of any sizes -> features (n d) float32, unit norm."""
        sizes: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
        for place, image in enumerate(images):
            sizes[image.shape].append(place)
        batches = [places[i : i + BATCH] for places in sizes.values() for i in range(0, len(places), BATCH)]

        def work(places: list[int]) -> Array:
            with torch.inference_mode():
                pixels = pixels_to_tensor(np.stack([images[place] for place in places]), self.device)
                found: Array = self.encoder.images(pixels).float().cpu().numpy()
            if self.advance:
                self.advance(len(places))
            return found

        with one_thread_each(cores() if self.device == "cpu" else 1) as threads:
            parts = list(threads.map(work, batches))
        result = np.zeros((len(images), self.encoder.dim), np.float32)
        for places, part in zip(batches, parts, strict=True):
            result[places] = part
        return result


def augmented(seeds: list[Seed], copy: int, rng: int, *, mirror: bool) -> list[Array]:
    """Every seed's pixels (h w 3) under classical augmentation; the same for the same rng, seed and copy."""
    result = []
    for seed in seeds:
        draw = generator(rng, Slot(seed.key, copy, 0), "evaluation")
        side = min(seed.pixels.shape[:2])
        top, left = ((length - side) // 2 for length in seed.pixels.shape[:2])
        square = seed.pixels[top : top + side, left : left + side]
        x = torch.from_numpy(square.copy()).permute(2, 0, 1)[None].float() / 255
        x = trivial(weak(x, draw, mirror=mirror), draw)
        result.append((x[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy())
    return result
