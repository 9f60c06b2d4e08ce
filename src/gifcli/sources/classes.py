"""Readable names of the classes: from `classes.yaml`, else from the folder names."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from gifcli.errors import InputError

FILE = "classes.yaml"


@dataclass(frozen=True, slots=True)
class Names:
    """label -> readable name, in label order; and sentences for the user."""

    names: dict[str, str]
    warnings: list[str]


def read_names(
    root: Path, labels: list[str], file: Path | None = None, told: Mapping[str, str] = MappingProxyType({})
) -> Names:
    """Names each label by `file`, by `classes.yaml` in the root, by what the source tells, or by its folder.

    Raises:
        InputError: the file cannot be read, or is no mapping of folder names to readable names.

    """
    default = root / FILE
    path = file or (default if default.is_file() else None)
    given = _load(path) if path else {}
    names = {label: given.get(label) or told.get(label) or readable(label) for label in labels}
    return Names(names, [_unknown(path, label, labels) for label in given if label not in names])


def readable(label: str) -> str:
    """A folder name as a person reads it: `golden_retriever` -> `golden retriever`."""
    return re.sub(r"[\s_-]+", " ", label).strip() or label


def same_names(names: dict[str, str]) -> list[str]:
    """Warns of classes whose readable names differ in case or Unicode form at most."""
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for label, name in names.items():
        groups[unicodedata.normalize("NFKC", name).casefold()].append(label)
    return [
        f"the classes {', '.join(ascii(label) for label in group)} read the same ({names[group[0]]}); they are kept apart"
        for group in groups.values()
        if len(group) > 1
    ]


def _load(path: Path) -> dict[str, str]:
    """The mapping in a YAML file, all of it as text: a folder `01` or `no` stays what it is."""
    try:
        content: Any = yaml.load(path.read_bytes(), Loader=yaml.BaseLoader)  # noqa: S506 - makes text, lists, dicts only
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected a YAML file of class names") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(
            f"{path}: is not YAML ({_problem(error)}); expected lines like `n02099601: golden retriever`"
        ) from error
    if content in (None, ""):
        return {}
    if not isinstance(content, dict) or not all(isinstance(v, str) for pair in content.items() for v in pair):
        raise InputError(f"{path}: expected lines like `n02099601: golden retriever`, found something else")
    return {label: name.strip() for label, name in content.items()}


def _problem(error: Exception) -> str:
    """What the YAML reader says, on one line."""
    mark = getattr(error, "problem_mark", None)
    place = f"line {mark.line + 1}: " if mark else ""
    return place + (getattr(error, "problem", None) or str(error).partition("\n")[0])


def _unknown(path: Path | None, label: str, labels: list[str]) -> str:
    near = get_close_matches(label, labels, 1)
    return f"{path}: no class folder is named {label}" + (f"; did you mean {near[0]}?" if near else "")
