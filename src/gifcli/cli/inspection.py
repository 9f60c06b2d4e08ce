"""Commands that look at what is there: status, verify, eval, report, doctor."""

from pathlib import Path
from typing import Annotated, Any

import typer

from gifcli.cli.app import Json, Quiet, RunFolder, Verbose, WaitLock, app, console, say
from gifcli.cli.flags import some_settings


@app.command(epilog="Example: gif status photos-5x --json")
def status(folder: RunFolder, as_json: Json = False) -> None:
    """Say how far a run is, and what is owed."""
    from gifcli.status import run_status

    say(as_json)
    state = run_status(folder)
    console.result(state.to_lines(), state.to_data())


@app.command(epilog="Example: gif verify photos-5x")
def verify(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="Run folder, or a dataset exported elsewhere.")],
    as_json: Json = False,
) -> None:
    """Hash everything again and compare it with what was written; exit 5 on any difference."""
    from gifcli.dataset import verify as verifying

    say(as_json)
    found = verifying.verify(dataset)
    console.result(found.to_lines(), found.to_data())
    verifying.assert_whole(found)


@app.command("eval", epilog="Example: gif eval photos-5x --learner cnn --fail-under gain=1.0")
@some_settings("device", "offline", "batch-size", "engine", "ray-address", "workers")
def evaluate(
    folder: RunFolder,
    test: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Test images; default: what --holdout set aside.")
    ] = None,
    learner: Annotated[str, typer.Option(help="probe (seconds), cnn (minutes) or timm:NAME.")] = "probe",
    corruptions: Annotated[bool, typer.Option("--corruptions", help="Test on corrupted images too.")] = False,
    fail_under: Annotated[
        str | None, typer.Option(metavar="gain=POINTS", help="Exit 5 unless that much is gained, with 90% confidence.")
    ] = None,
    iterate: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=20, help="First spend the budget anew, in N rounds, where it is needed."),
    ] = None,
    rngs: Annotated[
        int | None, typer.Option(help="Random numbers each arm is trained with; default 5, networks 3.")
    ] = None,
    train_steps: Annotated[
        int | None, typer.Option(help="Optimiser steps of every arm; default 200, networks 400.")
    ] = None,
    wait_lock: WaitLock = 0.0,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    *,
    overrides: dict[str, Any],
) -> None:
    """Measure on images set aside whether the generated ones help, and say how to train on them."""
    from gifcli import evaluate as evaluating
    from gifcli.session import Access

    say(as_json, quiet, verbose)
    points = evaluating.parse_threshold(fail_under) if fail_under is not None else None
    settings = evaluating.EvaluationSettings(learner, test, corruptions, rngs, train_steps)
    access = Access(wait_lock=wait_lock, reporter=console)
    found = evaluating.evaluate_run(folder, settings, access, iterate, overrides)
    console.result(found.to_lines(), found.to_data())
    if points is not None:
        evaluating.require_gain(found, points)


@app.command(epilog="Example: gif report photos-5x -o photos-5x.html")
def report(
    folder: RunFolder,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write the page here; default RUN/report/index.html.")
    ] = None,
    wait_lock: WaitLock = 0.0,
    as_json: Json = False,
) -> None:
    """Make the report of a run anew: one page with pictures and figures."""
    from gifcli.reporting.reporting import remake

    say(as_json)
    path = remake(folder, output, wait_lock)
    console.result([str(path)], {"report": str(path)})


@app.command(epilog="Example: gif doctor")
def doctor(as_json: Json = False) -> None:
    """Say what this machine offers: device, dtype and why, versions, models, disk."""
    from gifcli.doctor import diagnose

    say(as_json)
    report = diagnose()
    console.result(report.to_lines(), report.to_data())
