"""Processes that kill themselves, by SIGKILL, just before the n-th time that they change anything below a folder."""

import itertools
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from processes import server

CHANGES = frozenset(["os.rename", "os.remove"])
"""Audit events; and opening a file for writing is one."""
UNSEEN = frozenset(["lock", "events.jsonl"])


def kill_points(folder: Path, step: int, function: Callable[..., object], *arguments: object) -> Iterator[int]:
    """Runs the function in a process that is killed before its first change, then in one killed `step` changes later, ...

    Each number is yielded once its process is dead; ends after a process that came to its end. The caller brings `folder`
    back to where it was in between.
    """
    for number in itertools.count(1, step):
        process = server().Process(target=_run, args=(number, str(folder), function, arguments))
        process.start()
        process.join(120)
        if process.exitcode == 0:
            return
        assert process.exitcode == -signal.SIGKILL, process.exitcode
        yield number


def _run(number: int, folder: str, function: Callable[..., object], arguments: tuple[object, ...]) -> None:
    count = 0

    def watch(event: str, values: tuple[Any, ...]) -> None:
        nonlocal count
        writing = event == "open" and isinstance(values[1], str) and not values[1].startswith("r")
        if (writing or event in CHANGES) and str(values[0]).startswith(folder):
            count += Path(str(values[0])).name not in UNSEEN
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    function(*arguments)


def eval_told(photos: Path, root: Path, measured: dict[str, Any]) -> None:
    """The end of `gif eval`: what was measured is kept, and told by card, advice and report."""
    from gifcli import session
    from gifcli.dataset.exporting import tell
    from runs import tiny

    with session.opened(photos, root, tiny(), session.Access()) as run:
        tell(run, measured)


def report_made(root: Path) -> None:
    """`gif report`."""
    from gifcli.reporting.reporting import remake

    remake(root)


def exported(photos: Path, root: Path, licence: str) -> None:
    """`gif export` of a dataset that differs from the one that is there."""
    from gifcli import session
    from gifcli.dataset.exporting import export
    from runs import tiny

    with session.opened(photos, root, tiny(export__licence=licence), session.Access()) as run:
        export(run)


def overwritten(photos: Path, root: Path) -> None:
    """`gif expand --if-exists overwrite`."""
    from gifcli import session
    from gifcli.state.run import Options
    from runs import tiny

    session.expand(photos, root, tiny(), session.Access(Options("overwrite")))
