"""The command line: flags -> overrides -> one call; errors -> exit codes. Never imports torch at module level."""

import inspect
import os
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from gifcli import __version__
from gifcli.console import Console
from gifcli.devices import set_thread_policy
from gifcli.errors import EnvironmentFault, GifError, UsageError

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

Setting = tuple[str, type, str]

SETTINGS: dict[str, Setting] = {
    "ratio": ("ratio", str, "Kept new images for each original, such as 5x."),
    "per-class": ("per_class", int, "Fill each class up to so many images, originals included."),
    "balance": ("balance", bool, "Spend the ratio's budget on the smallest classes first."),
    "max-attempts": ("max_attempts", int, "Tries a rejected slot gets before it is given up."),
    "rng": ("rng", int, "The random number."),
    "limit": ("input.limit", int, "Take at most so many images of each class."),
    "holdout": ("input.holdout", str, "Share of the images set aside before anything sees them, such as 20%."),
    "max-failures": ("input.max_failures", str, "Share of unreadable files that is still fine, such as 5%."),
    "prior": (
        "prior.name",
        str,
        "Generative model: auto, classical, embedded, or a checkpoint's folder, hub id or short name.",
    ),
    "lora": ("prior.lora", str, "LoRA added to the prior: file, folder or hub id."),
    "prompt": ("prior.prompt", str, "Template with {label}, {domain}, {adjective}, for priors that read text."),
    "strength": ("prior.strength", float, "How far from the seed, 0 to 1."),
    "steps": ("prior.steps", int, "Denoising steps."),
    "guidance-scale": ("prior.guidance_scale", float, "Classifier-free guidance scale; 1 = off."),
    "encoder": (
        "encoder.name",
        str,
        "What guides and checks look through: auto, embedded, open_clip's ARCH:TAG or ARCH:FILE, or an unCLIP checkpoint.",
    ),
    "image-format": ("image.format", str, "jpg, png or webp."),
    "quality": ("image.quality", int, "Of jpg and webp, 1 to 100."),
    "size": ("image.size", int, "Short side of generated images in pixels."),
    "to": ("export.to", str, "Format of the dataset: imagefolder, webdataset or parquet."),
    "license": ("export.licence", str, "Terms of the source images as you state them, such as cc-by-4.0."),
    "device": ("run.device", str, "auto, cpu or cuda:0; with --engine local also several: cuda:0,cuda:1."),
    "batch-size": ("run.batch_size", str, "Images sampled together, or auto."),
    "engine": ("run.engine", str, "inline (this process), local (one process a worker) or ray (a cluster)."),
    "ray-address": ("run.ray_address", str, "Of a Ray cluster, for --engine ray; without it, one on this machine."),
    "workers": ("run.workers", str, "Shards done side by side, or auto."),
    "offline": ("run.offline", bool, "Open no network connection."),
}

Source = Annotated[
    Path, typer.Argument(metavar="SOURCE", help="Folder with one subfolder of images for each class; or tars, Parquet.")
]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Run folder, as made by gif expand or gif extract.")]
Output = Annotated[Path | None, typer.Option("-o", "--output", help="Run folder; default <source>-<ratio>.")]
RecipeName = Annotated[
    str | None, typer.Option("-r", "--recipe", help="Recipe file, or a shipped one: gif recipes list.")
]
Sets = Annotated[list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="Any setting of the recipe.")]
IfExists = Annotated[str, typer.Option(help="resume, extend, overwrite or error.", envvar="GIF_IF_EXISTS")]
RedoStage = Annotated[str | None, typer.Option("--redo", metavar="STAGE", help="Do this stage and all after it again.")]
Redo = Annotated[bool, typer.Option("--redo", help="Do this stage and all after it again.")]
RefreshRules = Annotated[bool, typer.Option("--refresh-rules", help="Induce the rules anew; redoes from optimize.")]
WaitLock = Annotated[float, typer.Option(metavar="SECONDS", help="Wait so long for another gif on the same run.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan, time and disk it would take; touch nothing.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Only warnings and errors on stderr.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="More on stderr; tracebacks of bugs.")]

_console = Console()


def settings(function: Callable[..., None]) -> Callable[..., None]:
    """Gives a command all flags of SETTINGS; it gets those that were used as `overrides` (recipe path -> value).

    A flag beats --set, which beats the environment.
    """

    def command(context: typer.Context, **values: Any) -> None:
        from gifcli.recipe import parse_assignments

        flags: dict[str, Any] = {}
        environment: dict[str, Any] = {}
        for flag, (path, _, _) in SETTINGS.items():
            name = flag.replace("-", "_")
            if (value := values.pop(name)) is not None:
                source = context.get_parameter_source(name)
                (environment if source and source.name == "ENVIRONMENT" else flags)[path] = value
        assigned = parse_assignments(values.pop("sets") or [])
        function(**values, overrides={**environment, **assigned, **flags})

    own = [p for p in inspect.signature(function).parameters.values() if p.name != "overrides"]
    flags = [_flag(name, kind, text) for name, (_, kind, text) in SETTINGS.items()]
    sets = inspect.Parameter("sets", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Sets)
    context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    signature = inspect.Signature([*own, context, *flags, sets])
    command.__signature__ = signature  # type: ignore[attr-defined]
    command.__annotations__ = {}
    command.__name__, command.__doc__ = function.__name__, function.__doc__
    return command


def _flag(name: str, kind: type, text: str) -> inspect.Parameter:
    flags = f"--{name}/--no-{name}" if kind is bool else f"--{name}"
    option = typer.Option(flags, help=text, envvar=f"GIF_{name.upper().replace('-', '_')}", show_envvar=False)
    annotation = Annotated[kind | None, option]  # type: ignore[valid-type]
    parameter = inspect.Parameter(name.replace("-", "_"), inspect.Parameter.KEYWORD_ONLY, default=None)
    return parameter.replace(annotation=annotation)


@app.callback(invoke_without_command=True)
def version_option(
    version: Annotated[bool, typer.Option("--version", is_eager=True, help="Print the version.")] = False,
) -> None:
    if version:
        _console.result([f"gif {__version__}"], {"version": __version__})
        raise typer.Exit


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
    _say(as_json, quiet, verbose)
    _expand(source, output, recipe, overrides, _options(if_exists, redo, refresh_rules), wait_lock, dry_run)


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
    _say(as_json, quiet, verbose)
    _expand(source, output, recipe, overrides, _options(if_exists, redo, refresh_rules), wait_lock, dry_run)


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

    _say(as_json, quiet, verbose)
    options = _options(if_exists, "extract" if redo else None, refresh_rules)
    made, root = session.prepare(source, output, recipe, overrides, afresh=if_exists == "overwrite")
    _print_summary(session.extract(source, root, made, session.Access(options, wait_lock, _console)))


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

        _say(as_json, quiet, verbose)
        access = session.Access(_options("resume", stage if redo else None, False), wait_lock, _console)
        _print_summary(session.run_stage(stage, folder, overrides, access))

    app.command(stage, help=text, epilog=f"Example: {example}")(command)


_stage_command("optimize", "Stage 2: guided perturbations of each seed's latent.", "gif optimize photos-5x")


@app.command(epilog="Example: gif generate photos-5x --batch-size 8")
@settings
def generate(
    folder: RunFolder,
    overrides: dict[str, Any],
    like: Annotated[
        str | None, typer.Option(metavar="KEY", help="Make this one sample of the manifest again, into a file.")
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
    _say(as_json, quiet, verbose)
    if like is not None:
        from gifcli import replica

        made = replica.replicate(folder, like, output, overrides)
        _console.result(made.to_lines(), made.to_data())
        replica.assert_like(made)
        return
    if output is not None:
        raise UsageError("-o: expected only with --like KEY; gif generate writes into the run folder")
    from gifcli import session

    access = session.Access(_options("resume", "generate" if redo else None, False), wait_lock, _console)
    _print_summary(session.run_stage("generate", folder, overrides, access))


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

    _say(as_json, quiet, verbose)
    if dry_run:
        from gifcli.sifting import rehearse_filter

        forecast = rehearse_filter(folder, overrides, _console)
        _console.result(forecast.to_lines(), forecast.to_data())
        return
    access = session.Access(_options("resume", "filter" if redo else None, False), wait_lock, _console)
    _print_summary(session.run_stage("filter", folder, overrides, access))


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

    _say(as_json, quiet, verbose)
    access = session.Access(_options("resume", "export" if redo else None, False), wait_lock, _console)
    if output is None:
        _print_summary(session.run_stage("export", folder, overrides, access))
    else:
        _print_summary(session.export_to(output, folder, overrides, access))


@app.command(
    epilog="Example: gif adapt photos/ -o lora/ --prior sd-1.5 && gif expand photos/ --prior sd-1.5 --lora lora/"
)
@settings
def adapt(
    source: Source,
    overrides: dict[str, Any],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for what is learned; goes to --lora.")],
    recipe: RecipeName = None,
    train_steps: Annotated[int, typer.Option(min=1, help="Updates.")] = 500,
    rank: Annotated[int, typer.Option(min=1, help="Of the LoRA.")] = 16,
    train_batch: Annotated[int, typer.Option(min=1, help="Images an update.")] = 8,
    learning_rate: Annotated[float | None, typer.Option(help="Default: 1e-4, or 3e-5 for the embedded prior.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Teach a prior the images of a folder, for domains it does not know; killed, the same command goes on."""
    from gifcli import adapt as adaption
    from gifcli.session import go_offline, make_recipe

    _say(as_json, quiet, verbose)
    made = make_recipe(recipe, overrides)
    go_offline(made)
    wanted = adaption.AdaptSettings(train_steps, rank, train_batch, learning_rate)
    done = adaption.adapt(source, output, made, wanted, _console)
    _console.result(done.to_lines(), done.to_data())


@app.command(epilog="Example: gif status photos-5x --json")
def status(folder: RunFolder, as_json: Json = False) -> None:
    """Say how far a run is, and what is owed."""
    from gifcli.status import run_status

    _say(as_json)
    state = run_status(folder)
    _console.result(state.to_lines(), state.to_data())


@app.command(epilog="Example: gif verify photos-5x")
def verify(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="Run folder, or a dataset exported elsewhere.")],
    as_json: Json = False,
) -> None:
    """Hash everything again and compare it with what was written; exit 5 on any difference."""
    from gifcli import verify as verifying

    _say(as_json)
    found = verifying.verify(dataset)
    _console.result(found.to_lines(), found.to_data())
    verifying.assert_whole(found)


@app.command("eval", epilog="Example: gif eval photos-5x --learner cnn --fail-under gain=1.0")
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
) -> None:
    """Measure on images set aside whether the generated ones help, and say how to train on them."""
    from gifcli import evaluate as evaluating
    from gifcli.session import Access

    _say(as_json, quiet, verbose)
    points = evaluating.parse_threshold(fail_under) if fail_under is not None else None
    settings = evaluating.EvaluationSettings(learner, test, corruptions, rngs, train_steps)
    access = Access(wait_lock=wait_lock, reporter=_console)
    found = evaluating.evaluate_run(folder, settings, access, iterate)
    _console.result(found.to_lines(), found.to_data())
    if points is not None:
        evaluating.require_gain(found, points)


@app.command(epilog="Example: gif report photos-5x -o photos-5x.html")
def report(
    folder: RunFolder,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write the page here; default RUN/report/index.html.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make the report of a run anew: one page with pictures and figures."""
    from gifcli.reporting import remake

    _say(as_json)
    path = remake(folder, output)
    _console.result([str(path)], {"report": str(path)})


@app.command(epilog="Example: gif doctor")
def doctor(as_json: Json = False) -> None:
    """Say what this machine offers: device, dtype and why, versions, models, disk."""
    from gifcli.doctor import diagnose

    _say(as_json)
    report = diagnose()
    _console.result(report.to_lines(), report.to_data())


@recipes_app.command("list", epilog="Example: gif recipes list")
def recipes_list(as_json: Json = False) -> None:
    """List the shipped recipes."""
    from gifcli.shelf import headline, shelf

    _say(as_json)
    rows = {name: headline(path) for name, path in shelf().items()}
    _console.result([f"{name:14} {line}" for name, line in rows.items()], rows)


@recipes_app.command("show", epilog="Example: gif recipes show texture")
def recipes_show(name: str, as_json: Json = False) -> None:
    """Print a shipped recipe."""
    from gifcli.shelf import shelf_recipe

    _say(as_json)
    text = shelf_recipe(name).read_text(encoding="utf-8").rstrip()
    _console.result([text], {"name": name, "recipe": text})


@recipes_app.command("copy", epilog="Example: gif recipes copy texture my-texture.yaml")
def recipes_copy(name: str, target: Annotated[Path | None, typer.Argument()] = None, as_json: Json = False) -> None:
    """Copy a shipped recipe, to change it."""
    from gifcli.shelf import shelf_recipe

    _say(as_json)
    path = target or Path(f"{name}.yaml")
    text = shelf_recipe(name).read_text(encoding="utf-8")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{path} exists already; name another file: gif recipes copy {name} FILE") from None
    _console.result([str(path)], {"path": str(path)})


@models_app.command("list", epilog="Example: gif models list")
def models_list(as_json: Json = False) -> None:
    """List the priors and encoders that are ready on this machine."""
    from gifcli.doctor import models_present

    _say(as_json)
    rows = models_present()
    _console.result([f"{row['kind']:8} {row['name']:12} {row['revision']:14} {row['licence']}" for row in rows], rows)


@models_app.command("pull", epilog="Example: gif models pull sd-turbo")
def models_pull(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Hub ids (OWNER/NAME) or short names.")],
    as_json: Json = False,
) -> None:
    """Download models into the local cache: configuration and safetensors weights, nothing that could run code."""
    from gifcli.models.hub import pull_all

    _say(as_json)
    rows = pull_all(names, _console.say)
    _console.result([f"{name}: {path}" for name, path in rows.items()], rows)


def main() -> None:
    """Entry point: runs the command, and ends with the exit code that errors.py lists."""
    set_thread_policy()
    signal.signal(signal.SIGTERM, _terminate)
    _console.as_json = "--json" in sys.argv  # also for mistakes that are found before a command starts
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
        _console.error(str(error), error.exit_code)
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
        if _console.verbose:
            raise
        if isinstance(error, OSError) and error.filename is not None:
            _console.error(f"{error.filename}: {(error.strerror or str(error)).lower()}; try another path", 6)
            return EnvironmentFault.exit_code
        _console.error(f"a bug in gif: {type(error).__name__}: {error}; run again with -v for the traceback", 1)
        return 1
    if result == 130:  # typer has made an exit code of Ctrl-C
        return _interrupted(130)
    return result if isinstance(result, int) else 0


def _usage(error: Any) -> int:
    """A mistake on the command line, as one line."""
    if type(error).__name__ == "NoArgsIsHelpError":
        _console.result([error.format_message()], {"error": "no command", "exit_code": 2})
        return 2
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "gif"
    message = error.format_message().rstrip(".")
    lead = f"{message[0].lower()}{message[1:]}"
    _console.error(f"{lead}{'' if lead.endswith('?') else ';'} see: {path} --help", 2)
    return 2


def _interrupted(code: int) -> int:
    again = shlex.join(["gif", *sys.argv[1:]])
    _console.warn(f"interrupted; what is done stays done. Continue with: {again}")
    return code


class _Terminated(BaseException):
    """SIGTERM came."""


def _terminate(_signal: int, _frame: Any) -> None:
    raise _Terminated


def _say(as_json: bool = False, quiet: bool = False, verbose: bool = False) -> None:
    _console.as_json, _console.quiet, _console.verbose = as_json, quiet, verbose


def _options(if_exists: str, redo: str | None, refresh_rules: bool) -> Any:
    from gifcli.run import Options

    for flag, value, allowed in (
        ("--if-exists", if_exists, ("resume", "extend", "overwrite", "error")),
        ("--redo", redo, ("extract", "optimize", "generate", "filter", "export", None)),
    ):
        if value not in allowed:
            raise UsageError(f"{flag}: expected one of {', '.join(filter(None, allowed))}; found {value!r}")
    return Options(if_exists, redo, refresh_rules)


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

        forecast = rehearse(source, root, made, _console)
        _console.result(forecast.to_lines(), forecast.to_data())
        return
    summary = session.expand(source, root, made, session.Access(options, wait_lock, _console))
    _print_summary(summary)
    session.verdict(summary, made)


def _print_summary(summary: Any) -> None:
    _console.result(summary.to_lines(), summary.to_data())
