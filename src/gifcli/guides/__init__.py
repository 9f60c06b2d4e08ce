"""Guides: differentiable scores of imagined features; higher is better. One `match` lists them all."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from gifcli.compute.batches import SeedBatch

Classifier = Callable[[Tensor], Tensor]
"""Unit features (n d) -> class probabilities (n C), differentiable."""


class Guide(Protocol):
    """One score of K siblings of b seeds."""

    def __call__(self, features: Tensor, seeds: SeedBatch) -> Tensor:
        """(b k d) unit features -> (b k), higher is better."""
        ...


@dataclass(frozen=True, slots=True)
class Weighted:
    """A guide with its name and its weight in the sum."""

    name: str
    weight: float
    guide: Guide


@dataclass(frozen=True, slots=True)
class Prototypes:
    """What each class looks like: unit norm `means` (C d), zero for a class without seeds, and `groups` (p d), the means of
    its clusters, of which `owners` (p) says the class.
    """

    means: Tensor
    groups: Tensor
    owners: Tensor


def make_guide(name: str, classifier: Classifier, prototypes: Prototypes | None = None) -> Guide:
    """Makes a guide by name; `prototypes` are for the guide of that name.

    Raises:
        UsageError: no guide has that name.
    """
    match name:
        case "consistency":
            from gifcli.guides.consistency import Consistency

            return Consistency(classifier)
        case "entropy":
            from gifcli.guides.entropy import Entropy

            return Entropy(classifier)
        case "diversity":
            from gifcli.guides.diversity import Diversity

            return Diversity()
        case "prototype" if prototypes is not None:
            from gifcli.guides.prototype import Prototype

            return Prototype(prototypes)
        case _:
            from gifcli.errors import UsageError

            raise UsageError(f"guides: expected consistency, entropy, diversity or prototype; found {name!r}")
