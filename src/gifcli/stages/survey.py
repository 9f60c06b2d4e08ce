"""survey: what the checks want to know of source images beyond what extract notes; no command of its own."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch

from gifcli.checks.fingerprints import perceptual_hash, sketch
from gifcli.compute.batches import pixels_to_tensor
from gifcli.records import Array
from gifcli.stages import Tools

Scorer = Callable[[Array], Array]


def survey(
    images: Iterable[tuple[str, Array]], tools: Tools, scorer: Scorer | None, *, features: bool
) -> Iterator[dict[str, Any]]:
    """One row for each (key, pixels (h w 3) uint8), in order: key; sketch and phash with `features`; safety with a `scorer`."""
    for key, pixels in images:
        row: dict[str, Any] = {"key": key}
        if features:
            row["sketch"], row["phash"] = _fingerprints(pixels, tools)
        if scorer is not None:
            row["safety"] = scorer(pixels[None])[0]
        yield row


@torch.inference_mode()
def _fingerprints(pixels: Array, tools: Tools) -> tuple[Array, np.uint64]:
    features = tools.encoder.images(pixels_to_tensor(pixels[None], tools.device))
    return sketch(features)[0], perceptual_hash(pixels[None])[0]
