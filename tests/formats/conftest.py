"""Small real datasets: crops of scikit-image pictures, encoded and marked as a run would."""

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from skimage import data

from gifcli.formats import Count, DatasetInfo, Item, Model
from gifcli.images.marks import encode_image

MakeItem = Callable[..., Item]
MakeInfo = Callable[..., DatasetInfo]


@pytest.fixture(scope="session")
def pictures() -> list[np.ndarray]:
    return [np.ascontiguousarray(data.cat()[y : y + 64, x : x + 80]) for y in (60, 90, 120) for x in (100, 160, 220)]


@pytest.fixture
def make_item(pictures: list[np.ndarray]) -> MakeItem:
    def make(
        name: str, label: str = "cat", *, split: str = "train", made: bool = False, n: int = 0, **more: Any
    ) -> Item:
        suffix = more.pop("suffix", ".jpg")
        image = encode_image(pictures[n % len(pictures)], suffix, 90, {"prior": "classical", "key": name})
        key = hashlib.sha256(f"{name}{suffix}{label}{split}".encode("utf-8", "surrogateescape")).hexdigest()[:16]
        row = {"key": key, "parent_key": key, "parent_path": f"{label}/{name}{suffix}", "prior": "x" if made else None}
        return Item(name, suffix, split, label, more.pop("label_id", 0), made, lambda: image, row | more)

    return make


@pytest.fixture
def make_info() -> MakeInfo:
    def make(labels: list[str], counts: dict[str, dict[str, Count]] | None = None, **more: Any) -> DatasetInfo:
        settings: dict[str, Any] = {
            "name": "photos-5x",
            "source": "photos",
            "classes": {label: label for label in labels},
            "counts": counts or {"train": {label: Count(1, 0) for label in labels}},
            "kept": 5,
            "rejected": {"label": 2, "drift": 1},
            "recipe": "rng: 0\nratio: 5\n",
            "prior": Model("classical", "1", "none needed"),
            "encoder": Model("embedded", "a" * 64, "Apache-2.0"),
        }
        return DatasetInfo(**settings | more)

    return make
