"""A worker's signs of life: whatever takes long calls `beat` as it goes on; the worker says who hears it."""

import time
from collections.abc import Callable

EVERY = 1.0
"""Seconds between two beats that are passed on."""


class Pulse:
    """When the last sign of life was, and who is told."""

    def __init__(self) -> None:
        self.last = time.monotonic()
        self.listener: Callable[[], None] | None = None
        self._told = 0.0

    def beat(self) -> None:
        """Something has been done."""
        self.last = time.monotonic()
        if self.listener is not None and self.last - self._told >= EVERY:
            self._told = self.last
            self.listener()


pulse = Pulse()


def beat() -> None:
    """A sign of life of this process."""
    pulse.beat()
