"""All output: results on stdout, talk on stderr; rich on a terminal, plain lines elsewhere."""

import json
import sys
import time
from typing import Any

PLAIN_EVERY = 30.0


class Console:
    """Where everything that is printed goes through.

    With `as_json`, stdout gets exactly one JSON document; with `quiet`, stderr gets warnings and errors only.
    """

    def __init__(self, *, as_json: bool = False, quiet: bool = False, verbose: bool = False) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self.verbose = verbose
        self._progress: _Progress | None = None
        self._answered = False

    def say(self, text: str) -> None:
        """One line of news."""
        if not self.quiet:
            self._talk(text)

    def warn(self, text: str) -> None:
        """Something the user should know of, though the run goes on."""
        self._talk(f"warning: {text}")

    def error(self, text: str, exit_code: int) -> None:
        """Why it ends with this exit code; with `as_json`, also the document, unless the result was printed before."""
        self._talk(f"error: {text}")
        if self.as_json and not self._answered:
            _write(sys.stdout, json.dumps({"error": text, "exit_code": exit_code}))

    def result(self, lines: list[str], data: Any) -> None:
        """What the command was run for: text for people, or the same as JSON."""
        self._answered = True
        _write(sys.stdout, json.dumps(data, indent=2) if self.as_json else _harmless("\n".join(lines)))

    def start(self, stage: str, total: int) -> None:
        """A stage begins that has `total` images to do."""
        if not self.quiet:
            bars = sys.stderr.isatty()
            self._progress = _Bar(stage, total) if bars else _Lines(stage, total, self._talk)

    def advance(self, images: int) -> None:
        """So many more images are done."""
        if self._progress:
            self._progress.advance(images)

    def finish(self) -> None:
        """The stage has ended."""
        if self._progress:
            self._progress.finish()
        self._progress = None

    def _talk(self, text: str) -> None:
        _write(sys.stderr, _harmless(text))


class _Progress:
    """What a stage shows of itself while it runs."""

    def __init__(self, stage: str, total: int) -> None:
        self.stage, self.total, self.done, self.start = stage, total, 0, time.monotonic()

    def advance(self, images: int) -> None:
        self.done += images

    def finish(self) -> None:
        pass

    def line(self) -> str:
        """`generate 80/200 images, 21.3 images/s, 6 s left`."""
        seconds = max(time.monotonic() - self.start, 1e-9)
        rate = self.done / seconds
        left = f", {(self.total - self.done) / rate:.0f} s left" if 0 < self.done < self.total else ""
        return f"{self.stage} {self.done}/{self.total} images, {rate:.1f} images/s{left}"


class _Lines(_Progress):
    """A plain line every 30 s, and one at the end."""

    def __init__(self, stage: str, total: int, talk: Any) -> None:
        super().__init__(stage, total)
        self.talk, self.last = talk, self.start

    def advance(self, images: int) -> None:
        super().advance(images)
        if time.monotonic() - self.last >= PLAIN_EVERY:
            self.last = time.monotonic()
            self.talk(self.line())

    def finish(self) -> None:
        self.talk(self.line())


class _Bar(_Progress):
    """A bar on a terminal."""

    def __init__(self, stage: str, total: int) -> None:
        super().__init__(stage, total)
        from rich.console import Console as RichConsole
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = TextColumn("{task.description:9}"), BarColumn(), MofNCompleteColumn(), TextColumn("images")
        self.bars = Progress(*columns, TimeRemainingColumn(), console=RichConsole(stderr=True), transient=True)
        self.bars.start()
        self.task = self.bars.add_task(stage, total=total)

    def advance(self, images: int) -> None:
        super().advance(images)
        self.bars.advance(self.task, images)

    def finish(self) -> None:
        self.bars.stop()
        _write(sys.stderr, self.line())


def _harmless(text: str) -> str:
    """The text without what could command a terminal: control characters in names of files and classes are escaped."""
    return "".join(c if c.isprintable() or c in "\n\t\u200d" else c.encode("unicode_escape").decode() for c in text)


def _write(stream: Any, text: str) -> None:
    """Writes a line whatever the names in it are made of: what the stream cannot encode is escaped."""
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    stream.flush()
