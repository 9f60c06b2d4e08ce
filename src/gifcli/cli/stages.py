"""Commands that make a dataset: expand and run, and each of the five stages."""

from pathlib import Path
from typing import Annotated, Any

import typer

from gifcli.cli.app import (
    DryRun,
    IfExists,
    Json,
    Output,
    Quiet,
    RecipeName,
    Redo,
    RedoStage,
    RefreshRules,
    RunFolder,
    Source,
    Verbose,
    WaitLock,
    app,
    console,
    print_summary,
    say,
    session_options,
)
from gifcli.cli.flags import settings
from gifcli.errors import UsageError


@app.command(epilog="Example: gif expand photos/ --ratio 5x -o photos-5x")
@settings
def expand(
    source: Source,
    overrides: dict[str, Any],
    output: Output = None,
    recipe: RecipeName = None,
    if_exists: IfExists = "resume",
    redo: RedoStage = None,
    refresh_rules: RefreshRules = False,
    wait_lock: WaitLock = 0.0,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Expand a folder of labelled images: all five stages, or what is still owed of them."""
    say(as_json, quiet, verbose)
    _expand(source, output, recipe, overrides, session_options(if_exists, redo, refresh_rules), wait_lock, dry_run)


@app.command(epilog="Example: gif run my-recipe.yaml photos/ -o photos-5x")
@settings
def run(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Recipe file, or a shipped one: gif recipes list.")],
    source: Source,
    overrides: dict[str, Any],
    output: Output = None,
    if_exists: IfExists = "resume",
    redo: RedoStage = None,
    refresh_rules: RefreshRules = False,
    wait_lock: WaitLock = 0.0,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Run a recipe on a folder: the same as gif expand SOURCE -r RECIPE."""
    say(as_json, quiet, verbose)
    _expand(source, output, recipe, overrides, session_options(if_exists, redo, refresh_rules), wait_lock, dry_run)


@app.command(epilog="Example: gif extract photos/ -o run && gif optimize run && gif generate run && gif filter run")
@settings
def extract(
    source: Source,
    overrides: dict[str, Any],
    output: Output = None,
    recipe: RecipeName = None,
    if_exists: IfExists = "resume",
    redo: Redo = False,
    refresh_rules: RefreshRules = False,
    wait_lock: WaitLock = 0.0,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Stage 1: images to seeds (checked pixels, latent, feature), then the rules of each class."""
    from gifcli import session

    say(as_json, quiet, verbose)
    options = session_options(if_exists, "extract" if redo else None, refresh_rules)
    made, root = session.prepare(source, output, recipe, overrides, afresh=if_exists == "overwrite")
    print_summary(session.extract(source, root, made, session.Access(options, wait_lock, console)))


def _stage_command(stage: str, text: str, example: str) -> None:
    """Adds the command of one stage of a run folder that exists."""

    @settings
    def command(
        folder: RunFolder,
        overrides: dict[str, Any],
        redo: Redo = False,
        wait_lock: WaitLock = 0.0,
        as_json: Json = False,
        quiet: Quiet = False,
        verbose: Verbose = False,
    ) -> None:
        from gifcli import session

        say(as_json, quiet, verbose)
        access = session.Access(session_options("resume", stage if redo else None, False), wait_lock, console)
        print_summary(session.run_stage(stage, folder, overrides, access))

    app.command(stage, help=text, epilog=f"Example: {example}")(command)


_stage_command("optimize", "Stage 2: guided perturbations of each seed's latent.", "gif optimize photos-5x")


@app.command(epilog="Example: gif generate photos-5x --batch-size 8")
@settings
def generate(
    folder: RunFolder,
    overrides: dict[str, Any],
    like: Annotated[
        str | None,
        typer.Option(
            metavar="KEY", help="Make this one sample again, into a file; its key or file stands in the manifest."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="With --like: the file; default KEY.jpg here.")
    ] = None,
    redo: Redo = False,
    wait_lock: WaitLock = 0.0,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Stage 3: sample the images that are owed."""
    say(as_json, quiet, verbose)
    if like is not None:
        from gifcli.dataset import replica

        made = replica.replicate(folder, like, output, overrides)
        console.result(made.to_lines(), made.to_data())
        replica.assert_like(made)
        return
    if output is not None:
        raise UsageError("-o: expected only with --like KEY; gif generate writes into the run folder")
    from gifcli import session

    access = session.Access(session_options("resume", "generate" if redo else None, False), wait_lock, console)
    print_summary(session.run_stage("generate", folder, overrides, access))


@app.command("filter", epilog="Example: gif filter photos-5x --set checks.label.quantile=0.1 --dry-run")
@settings
def filter_(
    folder: RunFolder,
    overrides: dict[str, Any],
    redo: Redo = False,
    wait_lock: WaitLock = 0.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how many images each threshold would drop; touch nothing.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Stage 4: check every image; keep it, or say why not."""
    from gifcli import session

    say(as_json, quiet, verbose)
    if dry_run:
        from gifcli.judge.sifting import rehearse_filter

        forecast = rehearse_filter(folder, overrides, console)
        console.result(forecast.to_lines(), forecast.to_data())
        return
    access = session.Access(session_options("resume", "filter" if redo else None, False), wait_lock, console)
    print_summary(session.run_stage("filter", folder, overrides, access))


@app.command(epilog="Example: gif export photos-5x --to parquet -o s3://bucket/photos-5x")
@settings
def export(
    folder: RunFolder,
    overrides: dict[str, Any],
    output: Annotated[
        str | None, typer.Option("-o", "--output", help="Write to this folder or URL instead of the run folder.")
    ] = None,
    redo: Redo = False,
    wait_lock: WaitLock = 0.0,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Stage 5: write the dataset, manifest, card and report."""
    from gifcli import session

    say(as_json, quiet, verbose)
    access = session.Access(session_options("resume", "export" if redo else None, False), wait_lock, console)
    if output is None:
        print_summary(session.run_stage("export", folder, overrides, access))
    else:
        print_summary(session.export_to(output, folder, overrides, access))


def _expand(
    source: Path,
    output: Path | None,
    recipe: str | None,
    overrides: dict[str, Any],
    options: Any,
    wait_lock: float,
    dry_run: bool,
) -> None:
    from gifcli import session

    made, root = session.prepare(source, output, recipe, overrides, afresh=options.if_exists == "overwrite")
    if dry_run:
        from gifcli.rehearsal import rehearse

        forecast = rehearse(source, root, made, console)
        console.result(forecast.to_lines(), forecast.to_data())
        return
    summary = session.expand(source, root, made, session.Access(options, wait_lock, console))
    print_summary(summary)
    session.verdict(summary, made)
