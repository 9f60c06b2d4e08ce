"""Environment variables GIF_*: each is the flag of that name, and what is wrong with one is said of the variable."""

import os
from collections.abc import Iterable, Mapping
from typing import Any

from gifcli.errors import GifError
from gifcli.wording import did_you_mean

PREFIX = "GIF_"


def variable(flag: str) -> str:
    """`max-failures` -> `GIF_MAX_FAILURES`."""
    return PREFIX + flag.upper().replace("-", "_")


def unknown_variables(known: Iterable[str]) -> list[str]:
    """A sentence for each GIF_ variable that is no flag of any command."""
    names = {name.removeprefix(PREFIX): name for name in known}
    found = sorted(name for name in os.environ if name.startswith(PREFIX) and name not in names.values())
    return [
        f"the environment variable {name} sets nothing"
        + did_you_mean(name.removeprefix(PREFIX), names).replace("`", f"`{PREFIX}", 1)
        for name in found
    ]


def variables_used(context: Any) -> dict[str, str]:
    """Flag -> variable, of the parameters of a command that came from the environment."""
    sources = {each.name: context.get_parameter_source(each.name) for each in context.command.params}
    flags = [name.replace("_", "-") for name, source in sources.items() if source and source.name == "ENVIRONMENT"]
    return {flag: variable(flag) for flag in flags}


def blamed(error: GifError, used: Mapping[str, str]) -> GifError:
    """The same error, told of the variable where it is told of a flag that came from one."""
    text = str(error)
    for flag, name in used.items():
        for lead in (f"--{flag}", f"{flag}:"):
            if text.startswith(lead) and not text.removeprefix(lead)[:1].isalnum():
                return type(error)(name + text[len(lead.rstrip(":")) :])
    return error
