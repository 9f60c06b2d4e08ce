"""How near the kept samples lie to images that they should not copy: their seeds, other seeds, the prior's training images.

All figures are cosine similarities of features; the distance is 1 minus that. 1 is a copy.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from gifcli.records import Array
from gifcli.rules.rules import Rules

PERCENTILES = {"median": 50, "p95": 95, "p99": 99, "nearest": 100}
CLOSEST = 5

Figures = dict[str, float]


def nearness(samples: Mapping[str, Array], kept: Array, rules: Rules) -> dict[str, Any]:
    """What a run's state keeps of it, as JSON values; `samples` has nn_seed, nn_set and maybe nn_prior, `kept` is (n) bool.

    own_seed, other_seed  of the kept samples to their seed and to the nearest other one
    seeds                 of each seed to the nearest other one: what is usual in this set
    prior, prior_seeds    of the kept samples, and of their seeds, to the nearest training image of the prior, where known
    closest               the kept samples nearest to a seed that is not theirs: [sample, similarity], nearest first
    """
    found: dict[str, Any] = {}
    columns = {"own_seed": "nn_seed", "other_seed": "nn_set", "prior": "nn_prior", "prior_seeds": "nn_prior_seed"}
    for name, column in columns.items():
        values = samples[column][kept] if column in samples else np.zeros(0)
        values = values[np.isfinite(values)]
        if len(values):
            found[name] = figures(values)
    if "nearest" in rules.quantiles:
        found["seeds"] = figures(rules.quantiles["nearest"])
    return {**found, "closest": _closest(samples, kept)}


def figures(values: Array) -> Figures:
    """The median, the 95th and 99th percentile and the greatest of some similarities, to 4 digits."""
    return {name: round(float(np.percentile(values, at)), 4) for name, at in PERCENTILES.items()}


def to_lines(found: Mapping[str, Any]) -> list[str]:
    """For people: what lies how near, and what to compare it with."""
    lines = []
    if "other_seed" in found:
        usual = f" (the seeds among themselves: {_short(found['seeds'])})" if "seeds" in found else ""
        lines.append(
            f"similarity of samples to the nearest seed that is not theirs: {_short(found['other_seed'])}{usual}"
        )
    if "prior" in found:
        lines.append(
            f"similarity of samples to the nearest training image of the prior: {_short(found['prior'])} "
            f"(the seeds, which it has not seen: {_short(found['prior_seeds'])})"
        )
    return lines


def _short(each: Figures) -> str:
    return f"median {each['median']:.2f}, nearest {each['nearest']:.2f}"


def _closest(samples: Mapping[str, Array], kept: Array) -> list[list[Any]]:
    near = np.where(kept & np.isfinite(samples["nn_set"]), samples["nn_set"], -np.inf)
    order = [row for row in np.argsort(-near, kind="stable")[:CLOSEST].tolist() if np.isfinite(near[row])]
    names = [f"{samples['seed'][row]}-k{samples['k'][row]}-a{samples['attempt'][row]}" for row in order]
    return [[name, round(float(near[row]), 4)] for name, row in zip(names, order, strict=True)]
