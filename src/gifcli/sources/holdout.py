"""Seeds set aside before anything has seen them, so that an evaluation on them is honest."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import replace

from gifcli.records import Source

SPLIT = "holdout"


def choose(sources: list[Source], share: float, aside: Collection[str], trained: Collection[str]) -> set[str]:
    """The sha256 of all images to set aside: `share` of each train class, rounded, at least one and never all.

    What was set `aside` before stays aside and what was `trained` on stays in training, so that no image ever changes
    sides in an extended run; new images fill the share up, chosen by their content alone. Copies go together.
    """
    classes: defaultdict[str, list[str]] = defaultdict(list)
    for source in sources:
        if source.split == "train":
            classes[source.label].append(source.sha256)
    chosen = set(aside)
    for members in classes.values() if share else ():
        count = min(max(1, round(share * len(members))), len(members) - 1)
        free = sorted(set(members) - chosen - set(trained))
        chosen |= set(free[: max(0, count - len(chosen.intersection(members)))])
    return chosen


def split_off(sources: list[Source], chosen: Collection[str]) -> list[Source]:
    """Moves the chosen images of train into the split "holdout"."""
    return [
        replace(source, split=SPLIT) if source.split == "train" and source.sha256 in chosen else source
        for source in sources
    ]
