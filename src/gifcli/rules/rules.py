"""The induced rules of a set: what its seeds say of each class, frozen at the end of extract. No torch."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from gifcli.errors import InputError

Array = NDArray[Any]

ARRAYS = "rules.safetensors"
TEXT = "rules.yaml"
HEADER = "# What the seeds say of each class; made by `gif extract`, used by all later stages. Do not edit.\n"


@dataclass(frozen=True, slots=True)
class Rules:
    """Induced once from all seeds of the train split, used for all.

    classes     C labels in label order (folder names)
    prototypes  (p d) float32, unit norm: up to 3 cluster means a class, sorted by owner
    owners      (p) int64: the class of each prototype
    tau         temperature of the prototype classifier, calibrated leave-one-out
    classifier  "prototype" or "text": the better one on the seeds
    text        (C d) unit norm text features of the class names, or None where the encoder has no text
    accuracy    accuracy in [0, 1] on the seeds by classifier (prototype: leave-one-out), "chance" (share of the largest
                class) and "mirrored" (prototype, of the mirrored seeds); what could not be measured is absent
    quantiles   name -> (101,) percentiles 0..100 over the seeds of what the checks measure, leave-one-out: "label_prob"
                (of the true class, under the chosen classifier), "drift" (see `drift`), "nearest" (similarity to the
                nearest other seed), and the seeds' own measures by name, sharpness by class too ("sharpness/0"); what could
                not be measured is absent
    mirror_safe whether mirrored seeds keep their class as well as the seeds themselves do
    summary     per label: count, accuracy, clusters, spread along the leading directions, typical and unusual seeds
    notes       what the user should know before trusting the guide, one sentence each
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
    notes: list[str] = field(default_factory=list)


def drift(rules: Rules, features: Array, labels: Array) -> Array:
    """How far features (n d) lie from their own class (n): 1 - cos to the nearest prototype of it, in [0, 2].

    A label of -1, or a class without a prototype, gives 0.
    """
    similarity = np.where(rules.owners[None] == labels[:, None], features @ rules.prototypes.T, -np.inf)
    distance = 1 - similarity.max(1, initial=-np.inf)
    return np.where(np.isfinite(distance), distance, 0)


def dump(rules: Rules) -> dict[str, bytes]:
    """File name -> bytes: the arrays, and everything else as YAML that a person can read. Same rules, same bytes."""
    arrays = {"prototypes": rules.prototypes, "owners": rules.owners}
    arrays |= {f"quantiles.{name}": values for name, values in sorted(rules.quantiles.items())}
    if rules.text is not None:
        arrays["text"] = rules.text
    readable = {
        key: getattr(rules, key)
        for key in ("classifier", "accuracy", "tau", "mirror_safe", "notes", "classes", "summary")
    }
    text = HEADER + yaml.safe_dump(readable, sort_keys=False, allow_unicode=True, width=120)
    return {ARRAYS: save_arrays({k: np.ascontiguousarray(a) for k, a in arrays.items()}), TEXT: text.encode()}


def parse(files: Mapping[str, bytes]) -> Rules:
    """The rules that `dump` wrote.

    Raises:
        InputError: a file is missing or damaged.

    """
    try:
        arrays = load_arrays(files[ARRAYS])
        readable = yaml.safe_load(files[TEXT].decode())
        quantiles = {k.removeprefix("quantiles."): a for k, a in arrays.items() if k.startswith("quantiles.")}
        return Rules(
            prototypes=arrays["prototypes"],
            owners=arrays["owners"],
            text=arrays.get("text"),
            quantiles=dict(sorted(quantiles.items())),
            **readable,
        )
    except (KeyError, TypeError, ValueError, SafetensorError, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0]
        message = f"the rules are missing or damaged ({reason}); make them anew with --refresh-rules"
        raise InputError(message) from error


def save(rules: Rules, folder: Path) -> None:
    """Writes the files of `dump` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in dump(rules).items():
        (folder / name).write_bytes(data)


def load(folder: Path) -> Rules:
    """Reads what `save` wrote; raises InputError where a file is missing or damaged."""
    return parse({name: (folder / name).read_bytes() for name in (ARRAYS, TEXT) if (folder / name).is_file()})


def digest(rules: Rules) -> str:
    """64 hex digits; equal for equal rules."""
    files = dump(rules)
    return hashlib.sha256(b"\0".join(files[name] for name in sorted(files))).hexdigest()
