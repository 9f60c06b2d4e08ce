"""State files that prove themselves: JSON that carries the sha256 of what it says, so that one flipped bit shows."""

import hashlib
import json
from typing import Any

SEAL = "/sha256"
"""No relative path and no setting has this name."""
_LAST = "# sha256 of the lines above: "
PLAIN = "/value"
"""Where a value lies that is no mapping of its own."""


def to_json(value: Any) -> bytes:
    """Readable JSON with the same bytes every time."""
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=True) + "\n").encode()


def seal(value: Any) -> bytes:
    """A JSON value as the bytes of a sealed file; the same bytes every time."""
    body = value if isinstance(value, dict) else {PLAIN: value}
    return to_json({**body, SEAL: hashlib.sha256(to_json(body)).hexdigest()})


def unseal(data: bytes) -> Any:
    """The value in a sealed file, or in plain JSON; whether the seal is whole is asked of `is_whole`."""
    value = json.loads(data)
    if isinstance(value, dict):
        value.pop(SEAL, None)
        return value.get(PLAIN, value)
    return value


def seal_text(text: str) -> bytes:
    """Lines of text, and a comment (#) with their sha256."""
    return f"{text}{_LAST}{hashlib.sha256(text.encode()).hexdigest()}\n".encode()


def is_text_whole(data: bytes) -> bool:
    """Whether these are, bit for bit, the bytes that `seal_text` wrote."""
    text, mark, _ = data.decode("utf-8", "replace").rpartition(_LAST)
    return bool(mark) and seal_text(text) == data


def is_whole(data: bytes) -> bool:
    """Whether these are, bit for bit, the bytes that `seal` wrote."""
    try:
        return seal(unseal(data)) == data
    except (ValueError, RecursionError):
        return False
