"""The five verbs: extract, optimize, generate, filter, export. Each maps records to records and knows no files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # export is a stage too, and needs no torch
    from gifcli.compute.batching import BatchLimit
    from gifcli.encoders import Encoder
    from gifcli.priors import Prior
    from gifcli.rules.rules import Rules


@dataclass(frozen=True, slots=True)
class Tools:
    """What every stage works with. `classes`: label -> readable name, in label order; `rules` is None in extract.

    batch_size  rows that go through a model together     limit  what follows the memory from there; None = a new one
    """

    prior: Prior
    encoder: Encoder
    rules: Rules | None
    classes: Mapping[str, str]
    device: str
    batch_size: int
    rng: int
    limit: BatchLimit | None = None
