"""The state's names stand in one place, and what the state is made of knows nothing of what is built on it."""

from pathlib import Path

import gifcli
from gifcli.state import files

SOURCE = Path(gifcli.__file__).parent
NAMES = (files.FACTS, files.RULES)
"""Those that nothing else is called."""
ABOVE = ("gifcli.session", "gifcli.pipeline", "import pipeline", "gifcli.summary", "gifcli.dataset", "gifcli.cli")


def test_no_module_spells_the_name_of_a_state_file_again() -> None:
    spelt = [
        (path.relative_to(SOURCE).as_posix(), name)
        for path in SOURCE.rglob("*.py")
        for name in NAMES
        if path != SOURCE / "state" / "files.py" and f'"{name}"' in path.read_text("utf-8")
    ]
    assert spelt == []


def test_state_imports_nothing_that_is_built_on_it() -> None:
    modules = sorted((SOURCE / "state").glob("*.py"))
    assert len(modules) > 10
    assert [path.name for path in modules for name in ABOVE if name in path.read_text("utf-8")] == []
