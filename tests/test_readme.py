"""The README is true: its commands and its Python run in order in one folder, its options and links exist."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from documents import ROOT, gif, save_tiny
from gifcli import errors
from gifcli.cli import app
from gifcli.recipe import flatten
from gifcli.schema import Recipe

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
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("readme")
    save_tiny(folder / "photos")
    return folder


@pytest.mark.slow
def test_its_blocks_run(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(home)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", home / "cache")
    for kind, block in BLOCKS:
        if kind == "python":
            exec(compile(block, "README.md", "exec"), {"__name__": "__main__"})
            continue
        for words in commands(block):
            if words[0] not in OTHERS:
                assert words[0] == "gif"
                code = gif(*words[1:])
                assert code == 0, f"{shlex.join(words)}: exit {code}\n{capsys.readouterr().err}"
    assert (home / "photos-2x/train/metadata.jsonl").is_file()


def test_the_run_folder_holds_what_it_says(home: Path) -> None:
    figure = re.search(r"^photos-5x/\n((?: .+\n)+)", TEXT, re.MULTILINE)
    assert figure
    named = {line.split()[0].partition("<")[0] for line in figure[1].splitlines()} - {"failures.jsonl"}
    run = home / "photos-2x"
    assert [name for name in named if not (run / name).exists()] == []
    assert {path.name for path in run.iterdir()} == {name.partition("/")[0] for name in named}


def test_every_option_exists() -> None:
    group = typer.main.get_command(app)
    known = {"--help"}
    for command in [group, *group.commands.values()]:
        known |= {flag for parameter in command.params for flag in [*parameter.opts, *parameter.secondary_opts]}
    text = re.sub(r"^```(?!sh|console).*?^```", "", TEXT, flags=re.MULTILINE | re.DOTALL)
    named = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", text))
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
    flat = flatten(Recipe().model_dump())
    table = TEXT.partition("## Settings")[2].partition("Shipped recipes")[0]
    paths = re.findall(r"^\|[^|]*\| `([\w.*]+)` \|", table, re.MULTILINE)
    assert len(paths) > 10
    for path in paths:
        assert any(known.startswith(path.rstrip("*")) for known in flat), path


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
