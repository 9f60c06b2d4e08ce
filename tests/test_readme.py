"""The README is true: its commands and its Python run in order in one folder, its options and links exist."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from documents import ROOT, gif, save_tiny
from gifcli import errors
from gifcli.cli import app
from gifcli.recipe.recipe import flatten
from gifcli.recipe.schema import Recipe, parse_percent

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(sh|console|python)\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
OTHERS = {"make", "pip"}
"""Commands that set up what these tests run in."""


def commands(block: str) -> list[list[str]]:
    """The commands of a shell block, as words, without comments."""
    lines = [line.removeprefix("$ ") for line in block.splitlines()]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[tuple[str, int]]]]:
    """The folder in which all blocks were run, one after another, and the exit code of each command."""
    folder = tmp_path_factory.mktemp("readme")
    save_tiny(folder / "photos")
    codes = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("datasets.config.HF_DATASETS_CACHE", folder / "cache")
        for kind, block in BLOCKS:
            if kind == "python":
                exec(compile(block, "README.md", "exec"), {"__name__": "__main__"})
            else:
                used = [words for words in commands(block) if words[0] not in OTHERS]
                codes += [(shlex.join(words), gif(*words[1:]) if words[0] == "gif" else 127) for words in used]
        yield folder, codes


@pytest.mark.slow
def test_its_blocks_run(ran: tuple[Path, list[tuple[str, int]]]) -> None:
    folder, codes = ran
    assert len(codes) >= 10
    assert [(command, code) for command, code in codes if code] == []
    assert len(list((folder / "photos-2x/train").rglob("*.png"))) == 9


@pytest.mark.slow
def test_the_run_folder_holds_what_it_says(ran: tuple[Path, list[tuple[str, int]]]) -> None:
    figure = re.search(r"^photos-5x/\n((?: .+\n)+)", TEXT, re.MULTILINE)
    assert figure
    named = {line.split()[0].partition("<")[0] for line in figure[1].splitlines()} - {"failures.jsonl"}
    run = ran[0] / "photos-2x"
    assert [name for name in named if not (run / name).exists()] == []
    assert {path.name for path in run.iterdir()} == {name.partition("/")[0] for name in named}


def test_every_option_exists() -> None:
    group = typer.main.get_command(app)
    known = {"--help"}
    for command in [group, *group.commands.values()]:
        known |= {flag for parameter in command.params for flag in [*parameter.opts, *parameter.secondary_opts]}
    named = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", TEXT))
    assert len(named) > 20
    assert named - known == set()


def test_every_command_exists() -> None:
    group = typer.main.get_command(app)
    known = {
        name if not hasattr(command, "commands") else f"{name} {sub}"
        for name, command in group.commands.items()
        for sub in getattr(command, "commands", {"": 0})
    }
    table = TEXT.partition("## Commands")[2].partition("## Settings")[0]
    named = {" ".join(words) for words in re.findall(r"`gif (\w+)(?: ([a-z]+))?", table)}
    assert {name.strip() for name in named} == known


def test_every_setting_exists_with_its_default() -> None:
    flat = {**flatten(Recipe().model_dump()), "ratio": Recipe().ratio_or_default, "guides": len(Recipe().guides)}
    table = TEXT.partition("## Settings")[2].partition("Shipped recipes")[0]
    rows = re.findall(r"^\|[^|]*\| `([\w.*]+)` \| ([^|]*?) *\|", table, re.MULTILINE)
    assert len(rows) > 10
    for path, default in rows:
        if path.endswith("*"):
            assert any(known.startswith(path[:-1]) for known in flat), path
        else:
            assert flat[path] in meanings(default), path


def meanings(cell: str) -> list[Any]:
    """What a cell in the column of defaults may stand for in a recipe."""
    words = {"no": [False], "": [None], "the prior's": ["auto", None], "from your seeds": [None]}
    return words.get(cell) or [parse_percent(yaml.safe_load(cell))]


def test_every_exit_code_is_there() -> None:
    table = TEXT.partition("## Exit codes")[2].partition("##")[0]
    listed = {int(code) for cell in re.findall(r"^\| ([\d, ]+) \|", table, re.MULTILINE) for code in cell.split(",")}
    raised = {kind.exit_code for kind in vars(errors).values() if isinstance(kind, type)}
    assert listed == raised | {0, 130, 143}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not link.startswith("http")]
    headings = {
        re.sub(r"[^\w -]", "", line).strip().lower().replace(" ", "-")
        for line in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    }
    for link in links:
        assert (link[1:] in headings) if link.startswith("#") else (ROOT / link).is_file(), link


def test_pictures_are_small() -> None:
    for picture in re.findall(r"!\[[^]]+\]\(([^)]+)\)", TEXT):
        assert (ROOT / picture).stat().st_size < 300_000
