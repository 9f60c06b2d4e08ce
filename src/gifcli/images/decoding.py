"""Image files of samples -> pixels, in threads, one batch ahead of the one that is computed."""

import io
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from PIL import Image

from gifcli.records import Array, Sample


class Decoder:
    """Decodes samples in the order of their places; at most two batches of pixels are held."""

    def __init__(self, samples: Sequence[Sample], pool: ThreadPoolExecutor) -> None:
        self.samples, self.pool = samples, pool
        self._pixels: dict[int, Future[Array]] = {}

    def pixels(self, batch: Sequence[int], places: Sequence[int]) -> Array:
        """(b h w 3) uint8 of the batch, some of `places` (samples of one size, ascending); may be asked again.

        As many of those that come after it are begun.
        """
        first = places.index(batch[0])
        self._pixels = {place: pixels for place, pixels in self._pixels.items() if place >= batch[0]}
        for place in places[first : first + 2 * len(batch)]:
            if place not in self._pixels:
                self._pixels[place] = self.pool.submit(decode, self.samples[place])
        return np.stack([self._pixels[place].result() for place in batch])


def decode(sample: Sample) -> Array:
    """-> (h w 3) uint8."""
    with Image.open(io.BytesIO(sample.image)) as image:
        return np.array(image.convert("RGB"))
