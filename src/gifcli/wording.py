"""Words that many messages share: a count with its noun, the first of a list, and the name that was probably meant."""

import difflib
from collections.abc import Iterable


def number_of(count: int, noun: str, plural: str | None = None) -> str:
    """`1 image`, `2 images`; `plural` where that is not the noun with an s."""
    return f"{count} {noun if count == 1 else plural or noun + 's'}"


def are(count: int) -> str:
    """The verb after a count."""
    return "is" if count == 1 else "are"


def some(items: list[str], limit: int = 3) -> str:
    """The first few of a list, and how many more there are."""
    more = f", and {len(items) - limit} more" if len(items) > limit else ""
    return ", ".join(items[:limit]) + more


def did_you_mean(name: str, known: Iterable[str], likeness: float = 0.6) -> str:
    """The known name that is most like this one, as a question to go on with; "" where none is like it, from 0 to 1."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=likeness)
    return f"; did you mean `{near[0]}`?" if near else ""
