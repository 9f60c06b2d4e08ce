"""The same content more than once in a source: used once, and told where it matters."""

from collections import defaultdict
from collections.abc import Iterator

from gifcli.records import Source
from gifcli.sources.folders import printable
from gifcli.wording import number_of, some


def once(sources: list[Source]) -> tuple[list[Source], list[str]]:
    """Each (content, label, split) once, by its first place in the list; the rest in one warning."""
    first: dict[str, Source] = {}
    pairs = [(source, first.setdefault(source.key, source)) for source in sources]
    repeats = [_pair(twin, kept) for twin, kept in pairs if kept is not twin]
    if not repeats:
        return sources, []
    files = f"{number_of(len(repeats), 'file')} {'repeats' if len(repeats) == 1 else 'repeat'}"
    return list(first.values()), [f"{files} another of the same class, used once: {some(repeats)}"]


def shared(sources: list[Source]) -> Iterator[str]:
    """Warns of one content under two labels, and of one in train and in another split; sources ordered, train first."""
    groups: defaultdict[str, list[Source]] = defaultdict(list)
    for source in sources:
        groups[source.sha256].append(source)
    labels = [_differing(group, "label") for group in groups.values()]
    leaks = [_differing(group, "split") for group in groups.values() if group[0].split == "train"]
    for pairs, what in ((labels, "under two labels"), (leaks, "both in train and in another split (a leak)")):
        examples = [_pair(*pair) for pair in pairs if pair]
        if examples:
            yield f"the same content lies {what}: {some(examples)}"


def _differing(group: list[Source], name: str) -> tuple[Source, Source] | None:
    """The first of a group, and the first that differs from it in that field."""
    one = group[0]
    other = next((source for source in group if getattr(source, name) != getattr(one, name)), None)
    return (one, other) if other else None


def _pair(one: Source, other: Source) -> str:
    return f"{printable(one.path)} = {printable(other.path)}"
