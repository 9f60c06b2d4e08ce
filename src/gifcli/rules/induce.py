"""How the rules of a set are induced from its seeds' features: prototypes, temperature, quantiles. Plain numpy, no torch."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from gifcli.errors import UsageError
from gifcli.rules.clusters import Clusters, find_clusters, leave_one_out, spread
from gifcli.rules.rules import Rules

Array = NDArray[Any]

TEXT_TAU = 100.0
MIRROR_MINIMUM, MIRROR_MARGIN = 8, 0.02
SHOWN = 3
BY_CLASS = ("sharpness",)
"""Measures whose percentiles are kept for each class as well."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the rules are induced from; see `induce`."""

    features: Array
    labels: Array
    classes: list[str]
    keys: list[str]
    text: Array | None
    mirrored: Array | None
    measures: Mapping[str, Array]


def induce(  # noqa: PLR0913 - data goes by position, each setting by name
    features: Array,
    labels: Array,
    classes: list[str],
    keys: list[str],
    *,
    kind: str = "auto",
    text: Array | None = None,
    max_clusters: int = 3,
    mirrored: Array | None = None,
    measures: Mapping[str, Array] | None = None,
) -> Rules:
    """The rules of n seeds of the train split; the same bytes for the same seeds, whatever the number of threads.

    features  (n d) unit norm        labels    (n) index into `classes`      keys  n names, shown in the summary
    text      (C d) unit norm text features of the class names, or None where the encoder has no text
    mirrored  (n d) unit norm features of the mirrored seeds, or None: mirror_safe is then False
    measures  name -> (n,), e.g. sharpness: their percentiles join the quantiles as they are
    kind      "prototype", "text", or "auto": the better of the two on the seeds (a tie goes to prototype)

    Raises:
        UsageError: `kind` is unknown, or is "text" and there are no text features.

    """
    if kind not in ("auto", "prototype", "text") or (kind == "text" and text is None):
        found = f"{kind!r}, with an encoder without text" if kind == "text" else repr(kind)
        raise UsageError(f"guidance.classifier: expected auto, prototype or (with a text encoder) text; found {found}")
    features, labels = np.asarray(features, np.float32), np.asarray(labels, np.int64)
    evidence = Evidence(features, labels, list(classes), list(keys), text, mirrored, measures or {})
    with threadpool_limits(1):  # sums of floats depend on the number of threads
        return _induce(evidence, kind, max_clusters)


def _induce(seeds: Evidence, kind: str, max_clusters: int) -> Rules:
    features, labels = seeds.features, seeds.labels
    clusters, tau = find_clusters(features, labels, len(seeds.classes), max_clusters)
    similarity = {"prototype": leave_one_out(clusters, features, features, labels)}
    own = similarity["prototype"][np.arange(len(labels)), labels]
    judged = np.isfinite(own)
    if seeds.text is not None:
        similarity["text"] = features @ np.asarray(seeds.text, np.float32).T
    accuracy, notes = _accuracy(similarity, labels, judged, seeds.classes)
    chosen = _choose(kind, accuracy)
    mirror_safe = False
    if seeds.mirrored is not None and judged.any():
        m = leave_one_out(clusters, np.asarray(seeds.mirrored, np.float32), features, labels)[judged]
        mirror_safe = _mirror_safe(similarity["prototype"][judged], m, labels[judged])
        if len(seeds.classes) > 1:
            accuracy["mirrored"] = _round(_hits(m, labels[judged]).mean())
    p = _own_probability(similarity[chosen], labels, TEXT_TAU if chosen == "text" else tau)
    measured = {"drift": 1 - own[judged], "label_prob": p[judged | (chosen == "text")], "nearest": _nearest(features)}
    measured |= {**seeds.measures, **_by_class(seeds)}
    return Rules(
        classes=seeds.classes,
        prototypes=clusters.prototypes.astype(np.float32),
        owners=clusters.owners,
        tau=_round(tau),
        classifier=chosen,
        text=None if seeds.text is None else np.asarray(seeds.text, np.float32),
        accuracy=accuracy,
        quantiles={name: _percentiles(values) for name, values in sorted(measured.items()) if np.size(values)},
        mirror_safe=mirror_safe,
        summary=_summary(seeds, clusters, own, _hits(similarity[chosen], labels)),
        notes=notes,
    )


def beats_chance(hits: int, n: int, chance: float, level: float = 0.05) -> bool:
    """Whether guessing right with probability `chance` gives `hits` or more of n in less than `level` of all cases.

    That is the exact one-sided binomial test.
    """
    if not n or not 0 < chance < 1:
        return False
    k = np.arange(hits, n + 1)
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    log_p = log_factorial[n] - log_factorial[k] - log_factorial[n - k] + k * math.log(chance)
    return bool(np.exp(log_p + (n - k) * math.log1p(-chance)).sum() < level)


def _accuracy(
    similarity: dict[str, Array], labels: Array, judged: Array, classes: list[str]
) -> tuple[dict[str, float], list[str]]:
    """Accuracy by classifier on the same seeds, chance, and what the user should know of them."""
    if len(classes) < 2:
        return {}, ["one class only: consistency with a class is off, and no accuracy can be measured"]
    used = judged if judged.any() else np.ones_like(judged)
    n, chance = int(used.sum()), float(np.bincount(labels[used]).max() / used.sum())
    hits = {name: int(_hits(s, labels)[used].sum()) for name, s in similarity.items() if name == "text" or judged.any()}
    notes = []
    if lone := [name for c, name in enumerate(classes) if (labels == c).sum() == 1]:
        shown = ", ".join(lone[:SHOWN]) + (", ..." if len(lone) > SHOWN else "")
        notes.append(f"classes of one image, which leave-one-out leaves out: {len(lone)} ({shown})")
    if not any(beats_chance(count, n, chance) for count in hits.values()):
        figures = ", ".join(f"{name} {count / n:.1%}" for name, count in hits.items()) or "nothing could be measured"
        known = hits and beats_chance(n, n, chance)
        what = (
            "the guide cannot tell these classes apart"
            if known
            else "too few images to say if the guide knows the classes"
        )
        notes.append(
            f"{what} ({figures} on {n} seeds, chance {chance:.1%}): do not trust "
            "consistency, prototype and the label check; try another encoder or more images, or turn them off"
        )
    return {name: _round(count / n) for name, count in hits.items()} | {"chance": _round(chance)}, notes


def _choose(kind: str, accuracy: dict[str, float]) -> str:
    if kind != "auto":
        return kind
    return "text" if accuracy.get("text", -1.0) > accuracy.get("prototype", -0.5) else "prototype"


def _mirror_safe(s: Array, m: Array, y: Array) -> bool:
    """Whether mirroring keeps the class: similarities (n C) of the seeds and of the mirrored seeds, labels (n).

    A wrong yes costs labels, a wrong no only some variety: so at least 8 seeds, seeds told apart better than by chance,
    no net loss of more than 2% of all seeds, nor of more than one seed (or 10%) in any class. With one class: mirrored
    seeds that lie in the middle no farther from the class than its three quarters do.
    """
    if len(y) < MIRROR_MINIMUM:
        return False
    rows = np.arange(len(y))
    if s.shape[1] == 1:
        return bool(np.median(m[rows, y]) >= np.percentile(s[rows, y], 25))
    before, after = _hits(s, y), _hits(m, y)
    counts = np.bincount(y)
    lost = np.bincount(y, before.astype(float) - after)
    known = beats_chance(int(before.sum()), len(y), counts.max() / len(y))
    return bool(known and lost.sum() <= MIRROR_MARGIN * len(y) and np.all(lost <= np.maximum(1, 0.1 * counts)))


def _hits(similarity: Array, y: Array) -> Array:
    hits: Array = similarity.argmax(1) == y
    return hits


def _own_probability(similarity: Array, y: Array, tau: float) -> Array:
    """softmax(tau * similarity)[y]: (n C), (n) -> (n)."""
    similarity = np.maximum(similarity, -1).astype(np.float64)  # -inf: left out
    logits = tau * (similarity - similarity.max(1, keepdims=True))
    own: Array = np.exp(logits[np.arange(len(y)), y]) / np.exp(logits).sum(1)
    return own


def _nearest(features: Array, block: int = 1024) -> Array:
    """Similarity of each seed to the nearest other one: (n d) -> (n), or (0) for a lone seed."""
    if len(features) < 2:
        return np.zeros(0)
    nearest = np.empty(len(features))
    for start in range(0, len(features), block):
        similarity = features[start : start + block] @ features.T
        rows = np.arange(len(similarity))
        similarity[rows, start + rows] = -np.inf
        nearest[start : start + block] = similarity.max(1)
    return nearest


def _by_class(seeds: Evidence) -> dict[str, Array]:
    """The measures in BY_CLASS of the seeds of each class, as "sharpness/0", ..."""
    classes = np.unique(seeds.labels).tolist()
    names = [name for name in BY_CLASS if name in seeds.measures]
    return {f"{name}/{c}": np.asarray(seeds.measures[name])[seeds.labels == c] for name in names for c in classes}


def _summary(seeds: Evidence, clusters: Clusters, own: Array, hits: Array) -> dict[str, dict[str, Any]]:
    """Per label, in plain numbers and names: what a person wants to know of a class."""
    summary: dict[str, dict[str, Any]] = {}
    for c, label in enumerate(seeds.classes):
        members = np.flatnonzero(seeds.labels == c)
        order = members[np.argsort(-own[members], kind="stable")]
        measurable = len(members) > 1 and len(seeds.classes) > 1
        summary[label] = {
            "count": len(members),
            "accuracy": _round(hits[members].mean()) if measurable else None,
            "clusters": [int(size) for size in clusters.sizes[clusters.owners == c]],
            "spread": [_round(share) for share in spread(seeds.features[members])[:SHOWN]],
            "typical": [seeds.keys[i] for i in order[:SHOWN]],
            "unusual": [seeds.keys[i] for i in order[SHOWN:][::-1][:SHOWN]],
        }
    return summary


def _percentiles(values: Array) -> Array:
    return np.percentile(np.asarray(values, np.float64), np.arange(101)).astype(np.float32)


def _round(value: float) -> float:
    return round(float(value), 6)
