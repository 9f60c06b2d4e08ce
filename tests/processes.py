"""gif as processes of its own: fresh ones, and ones forked from a server that has imported everything already.

A fork is a real process with a process id, which can be killed; it only saves the seconds that importing torch takes.
"""

import contextlib
import importlib
import multiprocessing
import os
import pkgutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import gifcli

TESTS = Path(__file__).parent
SOURCES = Path(gifcli.__file__).parents[1]
PYTHONPATH = os.pathsep.join([str(SOURCES), str(TESTS)])


@dataclass(frozen=True)
class Finished:
    """What a process left: its exit code (minus the signal that killed it) and all that it wrote."""

    code: int
    out: str
    err: str


class Gif:
    """A running `gif` in a process of its own."""

    def __init__(self, process: BaseProcess, out: Path, err: Path) -> None:
        self.process, self.out, self.err = process, out, err

    @property
    def alive(self) -> bool:
        return self.process.is_alive()

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, number)

    def wait(self, seconds: float = 120) -> Finished:
        """Its end; kills it after `seconds`."""
        self.process.join(seconds)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
            raise TimeoutError(f"gif still ran after {seconds} s: {self.err.read_text(encoding='utf-8')}")
        return Finished(self.process.exitcode, *(path.read_text(encoding="utf-8") for path in (self.out, self.err)))


def start(folder: Path, *arguments: str | Path, **environment: str) -> Gif:
    """Starts `gif ARGUMENTS` with everything imported; its output goes to files in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    out, err = folder / "stdout.txt", folder / "stderr.txt"
    out.touch()
    err.touch()
    values = (list(map(str, arguments)), str(out), str(err), environment)
    process = server().Process(target=_main, args=values)
    process.start()
    return Gif(process, out, err)


def fresh(*arguments: str | Path, flags: tuple[str, ...] = (), **environment: str) -> subprocess.Popen[str]:
    """Starts `python FLAGS -m gifcli ARGUMENTS`: nothing is imported."""
    command = [sys.executable, *flags, "-m", "gifcli", *map(str, arguments)]
    env = {**os.environ, "PYTHONPATH": PYTHONPATH, **environment}
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str], seconds: float = 180) -> Finished:
    """Waits for a fresh process."""
    out, err = process.communicate(timeout=seconds)
    return Finished(process.returncode, out, err)


def server() -> multiprocessing.context.ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    os.environ["PYTHONPATH"] = PYTHONPATH  # the server's own preloading looks nowhere else
    context.set_forkserver_preload(["processes_preload"])
    return context


def _main(arguments: list[str], out: str, err: str, environment: dict[str, str]) -> None:
    for descriptor, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_TRUNC), descriptor)
    os.environ.update(environment)
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # as in a terminal, also where the tests run in the background
    sys.argv = ["gif", *arguments]
    from gifcli.cli import main

    main()


def import_all() -> None:
    """Imports every module of gifcli, and what those import late."""
    for module in pkgutil.walk_packages(gifcli.__path__, "gifcli."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in ("sklearn.cluster", "timm", "pyarrow.parquet"):
        importlib.import_module(name)
