import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from gifcli.images.decoding import Decoder
from gifcli.records import Sample


def sample(level: int) -> Sample:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 3), (level, 0, 0)).save(buffer, "PNG")
    return Sample("s", level, 0, buffer.getvalue(), ".png", 4, 3)


def test_batches_come_in_order_again_when_asked_again_and_little_is_held() -> None:
    samples = [sample(level) for level in range(20)]
    places = list(range(0, 20, 2))
    with ThreadPoolExecutor(2) as pool:
        decoder = Decoder(samples, pool)
        for batch in (
            places[:4],
            places[:2],
            places[2:4],
            places[4:8],
            places[8:],
        ):  # the second: out of memory, halved
            pixels = decoder.pixels(batch, places)
            assert pixels.shape == (len(batch), 3, 4, 3)
            assert np.array_equal(pixels[:, 0, 0, 0], batch)
            assert len(decoder._pixels) <= 8
