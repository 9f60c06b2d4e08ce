"""`gif`: runs the command, and makes exit codes of errors and signals."""

import os
import shlex
import signal
import sys
from typing import Any

import typer

from gifcli.cli.app import app, console
from gifcli.cli.environment import variables_used
from gifcli.compute.devices import set_thread_policy
from gifcli.errors import EnvironmentFault, GifError

KINDS = {
    "Input should be a valid integer": "a whole number",
    "Input should be a valid number": "a number",
    "Input should be a valid boolean": "true or false",
}
"""How the command line's parser says that a value is of the wrong kind -> what it expects, as a person says it."""


def main() -> None:
    """Entry point: runs the command, and ends with the exit code that errors.py lists."""
    set_thread_policy()
    signal.signal(signal.SIGTERM, _terminate)
    console.as_json = "--json" in sys.argv  # also for mistakes that are found before a command starts
    try:
        code = _run_app()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 141
    if code in {130, 143}:  # at once: a shard under way commits nothing, and its thread is not waited for
        sys.stdout.flush()
        os._exit(code)
    sys.exit(code)


def _run_app() -> int:  # noqa: PLR0911 - one return an exit code
    command = typer.main.get_command(app)
    click_error = typer.BadParameter.__mro__[2]  # typer brings its own click, whose base error it doesn't export
    try:
        result = command.main(prog_name="gif", standalone_mode=False)
    except GifError as error:
        console.error(str(error), error.exit_code)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted(130)
    except _Terminated:
        return _interrupted(143)
    except SystemExit as end:  # typer has made one of a closed pipe
        raise BrokenPipeError from end
    except Exception as error:
        if isinstance(error, click_error):
            return _usage(error)
        if console.verbose:
            raise
        if isinstance(error, OSError) and error.filename is not None:
            console.error(f"{error.filename}: {(error.strerror or str(error)).lower()}; try another path", 6)
            return EnvironmentFault.exit_code
        console.error(f"a bug in gif: {type(error).__name__}: {error}; run again with -v for the traceback", 1)
        return 1
    if result == 130:  # typer has made an exit code of Ctrl-C
        return _interrupted(130)
    return result if isinstance(result, int) else 0


def _usage(error: Any) -> int:
    """A mistake on the command line, as one line."""
    if type(error).__name__ == "NoArgsIsHelpError":
        console.result([error.format_message()], {"error": "no command", "exit_code": 2})
        return 2
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "gif"
    message = error.format_message().rstrip(".")
    lead = _blamed(error, f"{message[0].lower()}{message[1:]}")
    console.error(f"{lead}{'' if lead.endswith('?') else ';'} see: {path} --help", 2)
    return 2


def _blamed(error: Any, text: str) -> str:
    """The text, told of the environment variable where the value came from one."""
    parameter, context = getattr(error, "param", None), getattr(error, "ctx", None)
    used = variables_used(context) if context and parameter else {}
    name = used.get(str(parameter.name).replace("_", "-")) if parameter else None
    kind = next((words for start, words in KINDS.items() if error.message.startswith(start)), None)
    if parameter is None or (kind is None and name is None):
        return text
    where, found = (name, f"; found {os.environ[name]!r}") if name else (parameter.opts[0], "")
    return f"{where}: expected {kind}{found}" if kind else f"{where}: {error.message.rstrip('.')}"


def _interrupted(code: int) -> int:
    again = shlex.join(["gif", *sys.argv[1:]])
    console.warn(f"interrupted; what is done stays done. Continue with: {again}")
    return code


class _Terminated(BaseException):
    """SIGTERM came."""


def _terminate(_signal: int, _frame: Any) -> None:
    raise _Terminated
