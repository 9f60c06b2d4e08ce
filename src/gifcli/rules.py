"""The induced rules of a set: what its seeds say of each class, frozen at the end of extract."""

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Rules:
    """Induced once from all seeds of the train split, used for all.

    classes     C labels in label order (folder names)
    prototypes  (p d) unit norm: up to 3 cluster means a class
    owners      (p) int64: the class of each prototype
    tau         temperature of the prototype classifier, calibrated leave-one-out
    classifier  "prototype" or "text": the better one on the seeds
    text        (C d) unit norm text features of the class names, or None where the encoder has no text
    accuracy    leave-one-out accuracy in [0, 1] by classifier, and "chance"
    quantiles   name -> (101,) percentiles 0..100 over the seeds of what the checks measure, each leave-one-out
                where it involves the classifier or the prototypes
    mirror_safe whether mirrored seeds keep their class as well as the seeds themselves do
    summary     per label: count, clusters, spread along the leading directions, most typical and most unusual seeds
    """

    classes: list[str]
    prototypes: Array
    owners: Array
    tau: float
    classifier: str
    text: Array | None
    accuracy: dict[str, float]
    quantiles: dict[str, Array]
    mirror_safe: bool
    summary: dict[str, dict[str, Any]]
