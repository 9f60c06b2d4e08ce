"""The command-line application, what it prints with, and the words its commands share."""

from pathlib import Path
from typing import Annotated, Any

import typer

from gifcli import __version__
from gifcli.cli.environment import unknown_variables, variable
from gifcli.console import Console
from gifcli.errors import UsageError
from gifcli.wording import did_you_mean

app = typer.Typer(
    name="gif",
    help="Turn a small folder of labelled images into a bigger, useful, traceable training set.",
    epilog="Example: gif expand photos/ --ratio 5x",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
recipes_app = typer.Typer(help="Recipes that gifcli ships.", no_args_is_help=True, rich_markup_mode=None)
models_app = typer.Typer(help="Models on this machine.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(recipes_app, name="recipes")
app.add_typer(models_app, name="models")

console = Console()

Source = Annotated[
    Path, typer.Argument(metavar="SOURCE", help="Folder with one subfolder of images for each class; or tars, Parquet.")
]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Run folder, as made by gif expand or gif extract.")]
Output = Annotated[Path | None, typer.Option("-o", "--output", help="Run folder; default <source>-<ratio>.")]
RecipeName = Annotated[
    str | None, typer.Option("-r", "--recipe", help="Recipe file, or a shipped one: gif recipes list.")
]
Sets = Annotated[list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="Any setting of the recipe.")]
IfExists = Annotated[str, typer.Option(help="resume, extend, overwrite or error.", envvar=variable("if-exists"))]
RedoStage = Annotated[str | None, typer.Option("--redo", metavar="STAGE", help="Do this stage and all after it again.")]
Redo = Annotated[bool, typer.Option("--redo", help="Do this stage and all after it again.")]
RefreshRules = Annotated[bool, typer.Option("--refresh-rules", help="Induce the rules anew; redoes from optimize.")]
WaitLock = Annotated[float, typer.Option(metavar="SECONDS", help="Wait so long for another gif on the same run.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan, time and disk it would take; touch nothing.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Only warnings and errors on stderr.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="More on stderr; tracebacks of bugs.")]


@app.callback(invoke_without_command=True)
def version_option(
    version: Annotated[bool, typer.Option("--version", is_eager=True, help="Print the version.")] = False,
) -> None:
    from gifcli.cli.flags import SETTINGS

    for text in unknown_variables(map(variable, [*SETTINGS, "if-exists"])):
        console.warn(text)
    if version:
        console.result([f"gif {__version__}"], {"version": __version__})
        raise typer.Exit


def say(as_json: bool = False, quiet: bool = False, verbose: bool = False) -> None:
    console.as_json, console.quiet, console.verbose = as_json, quiet, verbose


def session_options(if_exists: str, redo: str | None, refresh_rules: bool) -> Any:
    from gifcli.state.run import Options

    for flag, value, allowed in (
        ("--if-exists", if_exists, ("resume", "extend", "overwrite", "error")),
        ("--redo", redo, ("extract", "optimize", "generate", "filter", "export", None)),
    ):
        if value not in allowed:
            known = list(filter(None, allowed))
            raise UsageError(
                f"{flag}: expected one of {', '.join(known)}; found {value!r}{did_you_mean(value or '', known)}"
            )
    return Options(if_exists, redo, refresh_rules)


def print_summary(summary: Any) -> None:
    console.result(summary.to_lines(), summary.to_data())
