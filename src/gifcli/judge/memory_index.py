"""What a prior was trained on, small enough to ship: principal components of the training images' features, 4 bits each."""

import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gifcli.errors import ModelMissingError

Array = NDArray[Any]

FILE = "memorised.npz"
STEP = 0.3352
"""Step of the best uniform quantiser of a normal distribution in 16 levels, in standard deviations (Max 1960, table II)."""
LEVELS = 16
ROWS = 16_384
"""Images looked up at once: about 6 MB."""


@dataclass(frozen=True)
class MemoryIndex:
    """n training images as r principal components.

    mean   (d) float32: the mean feature               basis   (r d) float32, orthonormal rows
    steps  (r) float32: the quantiser's step           codes   (n r/2) uint8: two levels a byte, the even component low
    size   side in pixels at which the images were encoded;    encoder  revision of the encoder
    """

    mean: Array
    basis: Array
    steps: Array
    codes: Array
    size: int
    encoder: str

    def nearest(self, features: Array) -> tuple[Array, Array]:
        """(b d) unit norm -> similarity to the nearest training image (b), in [-1, 1], and its place (b) in the index.

        Both sides are compared as their r components, so unlike images come out somewhat more alike than they are.
        """
        sought = self._unit(features.astype(np.float32) @ self.basis.T)
        best, where = np.full(len(sought), -np.inf, np.float32), np.full(len(sought), -1)
        for start in range(0, len(self._images), ROWS):
            similarity = sought @ self._images[start : start + ROWS].astype(np.float32).T
            at = similarity.argmax(1)
            found = similarity[np.arange(len(at)), at]
            nearer = found > best
            best[nearer], where[nearer] = found[nearer], at[nearer] + start
        return best, where

    def save(self, path: Path) -> int:
        """Writes the index; the same bytes for the same index -> how many."""
        np.savez_compressed(
            path,
            mean=self.mean,
            basis=self.basis.astype(np.float16),
            steps=self.steps,
            codes=self.codes,
            size=np.array(self.size),
            encoder=np.array(self.encoder),
        )
        return path.stat().st_size

    @cached_property
    def _images(self) -> Array:
        """(n r+1) float16, unit norm."""
        parts = [self._decode(self.codes[start : start + ROWS]) for start in range(0, len(self.codes), ROWS)]
        return np.concatenate([np.zeros((0, len(self.basis) + 1), np.float16), *parts])

    def _decode(self, codes: Array) -> Array:
        levels = np.stack([codes & 15, codes >> 4], -1).reshape(len(codes), -1)
        components = (levels - (LEVELS - 1) / 2) * self.steps + self.basis @ self.mean
        return self._unit(components.astype(np.float32)).astype(np.float16)

    def _unit(self, components: Array) -> Array:
        """Components about zero (b r) -> (b r+1), unit norm: the last is what all images share outside the basis."""
        shared = np.sqrt(max(0.0, float(self.mean @ self.mean - np.sum((self.basis @ self.mean) ** 2))))
        whole = np.concatenate([components, np.full((len(components), 1), shared, np.float32)], 1)
        unit: Array = whole / np.maximum(np.linalg.norm(whole, axis=1, keepdims=True), 1e-12)
        return unit


@dataclass(frozen=True)
class PriorMemory:
    """An index with the encoder it was made with: `encode(images, size)` gives unit features."""

    index: MemoryIndex
    encode: Callable[..., Any] = field(repr=False)

    def features(self, images: Any) -> Any:
        """(b 3 h w) in [-1, 1] -> (b d) unit norm, at the size at which the training images were encoded."""
        return self.encode(images, self.index.size)

    def nearest(self, features: Array) -> tuple[Array, Array]:
        """See `MemoryIndex.nearest`."""
        return self.index.nearest(features)


def components(images: int, dim: int, budget: int) -> int:
    """The even number of components whose codes and basis fill `budget` bytes."""
    return max(2, min(dim, int(budget / (images / 2 + 2 * dim))) // 2 * 2)


def build(features: Array, r: int, size: int, encoder: str) -> MemoryIndex:
    """Indexes (n d) unit features of training images; r even, n > r."""
    mean = features.mean(0, dtype=np.float64)
    covariance = np.zeros((features.shape[1],) * 2)
    for start in range(0, len(features), ROWS):
        part = features[start : start + ROWS].astype(np.float32) - mean.astype(np.float32)
        covariance += part.T @ part
    values, vectors = np.linalg.eigh(covariance / len(features))
    basis = vectors[:, ::-1][:, :r].T.astype(np.float16).astype(np.float32)  # as it is saved
    steps = (STEP * np.sqrt(np.maximum(values[::-1][:r], 1e-12))).astype(np.float32)
    parts = [
        _encode((features[start : start + ROWS].astype(np.float32) - mean.astype(np.float32)) @ basis.T / steps)
        for start in range(0, len(features), ROWS)
    ]
    return MemoryIndex(mean.astype(np.float32), basis, steps, np.concatenate(parts), size, encoder)


def load(path: Path, encoder: str | None = None) -> MemoryIndex:
    """Reads what `save` wrote; `encoder` is the revision of the encoder that it must have been made with.

    Raises:
        ModelMissingError: the file is missing or damaged, or was made with another encoder.
    """
    try:
        with np.load(path, allow_pickle=False) as found:
            arrays = {name: found[name] for name in ("mean", "basis", "steps", "codes")}
            size, made_with = int(found["size"]), str(found["encoder"])
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ModelMissingError(
            f"{path}: expected an index of training images, found something else ({error}); install gifcli anew"
        ) from error
    if encoder not in (None, made_with):
        raise ModelMissingError(
            f"{path}: made with the encoder of revision {made_with}, found {encoder}; install gifcli with its constraints.txt, "
            "or turn the check off: --set checks.memorised.enabled=false"
        )
    return MemoryIndex(**{**arrays, "basis": arrays["basis"].astype(np.float32)}, size=size, encoder=made_with)


def _encode(scaled: Array) -> Array:
    """(n r) in steps -> (n r/2) uint8."""
    levels = np.clip(np.floor(scaled) + LEVELS // 2, 0, LEVELS - 1).astype(np.uint8)
    codes: Array = levels[:, 0::2] | (levels[:, 1::2] << 4)
    return codes
