"""Commands around models and recipes: adapt, recipes, models."""

from pathlib import Path
from typing import Annotated, Any

import typer

from gifcli.cli.app import (
    Json,
    Quiet,
    RecipeName,
    Source,
    Verbose,
    WaitLock,
    app,
    console,
    models_app,
    recipes_app,
    say,
)
from gifcli.cli.flags import settings
from gifcli.errors import UsageError


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
    wait_lock: WaitLock = 0.0,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Teach a prior the images of a folder (or tars, Parquet) it does not know; killed, the same command goes on."""
    from gifcli import adapt as adaption
    from gifcli.models.hub import go_offline
    from gifcli.session import make_recipe

    say(as_json, quiet, verbose)
    made = make_recipe(recipe, overrides)
    go_offline(made.run.offline)
    wanted = adaption.AdaptSettings(train_steps, rank, train_batch, learning_rate)
    done = adaption.adapt(source, output, made, wanted, console, wait_lock)
    console.result(done.to_lines(), done.to_data())


@recipes_app.command("list", epilog="Example: gif recipes list")
def recipes_list(as_json: Json = False) -> None:
    """List the shipped recipes."""
    from gifcli.recipe.shelf import headline, shelf

    say(as_json)
    rows = {name: headline(path) for name, path in shelf().items()}
    console.result([f"{name:14} {line}" for name, line in rows.items()], rows)


@recipes_app.command("show", epilog="Example: gif recipes show texture")
def recipes_show(name: str, as_json: Json = False) -> None:
    """Print a shipped recipe."""
    from gifcli.recipe.shelf import shelf_recipe

    say(as_json)
    text = shelf_recipe(name).read_text(encoding="utf-8").rstrip()
    console.result([text], {"name": name, "recipe": text})


@recipes_app.command("copy", epilog="Example: gif recipes copy texture my-texture.yaml")
def recipes_copy(name: str, target: Annotated[Path | None, typer.Argument()] = None, as_json: Json = False) -> None:
    """Copy a shipped recipe, to change it."""
    from gifcli.recipe.shelf import shelf_recipe

    say(as_json)
    path = target or Path(f"{name}.yaml")
    text = shelf_recipe(name).read_text(encoding="utf-8")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{path} exists already; name another file: gif recipes copy {name} FILE") from None
    console.result([str(path)], {"path": str(path)})


@models_app.command("list", epilog="Example: gif models list")
def models_list(as_json: Json = False) -> None:
    """List the priors and encoders that are ready on this machine."""
    from gifcli.doctor import models_present

    say(as_json)
    rows = models_present()
    console.result([f"{row['kind']:8} {row['name']:12} {row['revision']:14} {row['licence']}" for row in rows], rows)


@models_app.command("pull", epilog="Example: gif models pull sd-turbo")
def models_pull(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="Hub ids (OWNER/NAME), short names, open_clip's ARCH:TAG.")
    ],
    as_json: Json = False,
) -> None:
    """Download models into the local cache: configuration and weights; nothing that could run code is ever loaded."""
    from gifcli.models.pulling import pull_named

    say(as_json)
    rows = pull_named(names, console.say)
    console.result([f"{name}: {path}" for name, path in rows.items()], rows)
