"""Who is told what happens while a run goes on."""

from typing import Protocol


class Reporter(Protocol):
    """Who is told what happens; the console is one."""

    def say(self, text: str) -> None:
        """One line of news."""
        ...

    def warn(self, text: str) -> None:
        """Something the user should know of, though the run goes on."""
        ...

    def start(self, stage: str, total: int) -> None:
        """A stage begins that has `total` images to do."""
        ...

    def advance(self, images: int) -> None:
        """So many more images are done."""
        ...

    def finish(self) -> None:
        """The stage has ended, well or not."""
        ...
