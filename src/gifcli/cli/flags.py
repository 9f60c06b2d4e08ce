"""The flags that are settings of the recipe, once for all commands."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

import typer

from gifcli.cli.app import Sets
from gifcli.cli.environment import blamed, variable, variables_used
from gifcli.errors import GifError

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

GOALS = {"per_class": ("ratio", "balance"), "ratio": ("per_class",), "balance": ("per_class",)}
"""Settings that say how many images there are to be -> those that say it in another way."""


def settings(function: Callable[..., None]) -> Callable[..., None]:
    """Gives a command all flags of SETTINGS, and --set; it gets those that were used as `overrides` (recipe path -> value).

    A flag beats --set, which beats the environment.
    """
    return some_settings(*SETTINGS, sets=True)(function)


def some_settings(*names: str, sets: bool = False) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The same of a few flags."""

    def give(function: Callable[..., None]) -> Callable[..., None]:
        def command(context: typer.Context, **values: Any) -> None:
            used = variables_used(context)
            try:
                overrides = _overrides(names, used, values)
                beaten = {flag for flag in used if flag in names and SETTINGS[flag][0] not in _lent(overrides)}
                used = {flag: name for flag, name in used.items() if flag not in beaten}
                function(overrides=overrides, **values)
            except GifError as error:
                raise blamed(error, used) from error

        own = [p for p in inspect.signature(function).parameters.values() if p.name != "overrides"]
        flags = [_flag(name, *SETTINGS[name][1:]) for name in names]
        if sets:
            flags.append(inspect.Parameter("sets", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Sets))
        context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
        command.__signature__ = inspect.Signature([*own, context, *flags])  # type: ignore[attr-defined]
        command.__annotations__ = {}
        command.__name__, command.__doc__ = function.__name__, function.__doc__
        return command

    return give


def _overrides(names: Iterable[str], used: Mapping[str, str], values: dict[str, Any]) -> dict[str, Any]:
    """Takes the flags out of what a command was called with -> recipe path -> value; of a variable, lent by it.

    Raises:
        RecipeError: a variable's value that would be used, or --set, is none.
    """
    from gifcli.recipe.recipe import Lent, load_recipe, parse_assignments

    flags: dict[str, Any] = {}
    environment: dict[str, Any] = {}
    for flag in names:
        if (value := values.pop(flag.replace("-", "_"))) is not None:
            (environment if flag in used else flags)[SETTINGS[flag][0]] = value
    flags = {**parse_assignments(values.pop("sets", None) or []), **flags}
    lent: dict[str, Any] = {}
    for flag, name in used.items():
        path = SETTINGS[flag][0] if flag in SETTINGS else ""
        if path in environment and not any(_beats(other, flags[other], path) for other in flags):
            load_recipe("", {path: environment[path]}, f"the environment variable {name}")
            lent[path] = Lent(environment[path], name)
    return {**lent, **flags}


def _beats(path: str, value: Any, other: str) -> bool:
    """Whether a flag leaves nothing of a variable's setting: it is the same one, its section, or another goal."""
    same = path == other or other.startswith(f"{path}.")
    return same or (other in GOALS.get(path, ()) and value not in (None, False))


def _lent(overrides: Mapping[str, Any]) -> set[str]:
    from gifcli.recipe.recipe import Lent

    return {path for path, value in overrides.items() if isinstance(value, Lent)}


def _flag(name: str, kind: type, text: str) -> inspect.Parameter:
    flags = f"--{name}/--no-{name}" if kind is bool else f"--{name}"
    option = typer.Option(flags, help=text, envvar=variable(name), show_envvar=False)
    annotation = Annotated[kind | None, option]  # type: ignore[valid-type]
    parameter = inspect.Parameter(name.replace("-", "_"), inspect.Parameter.KEYWORD_ONLY, default=None)
    return parameter.replace(annotation=annotation)
