"""The flags that are settings of the recipe, once for all commands."""

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from gifcli.cli.app import Sets

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


def settings(function: Callable[..., None]) -> Callable[..., None]:
    """Gives a command all flags of SETTINGS; it gets those that were used as `overrides` (recipe path -> value).

    A flag beats --set, which beats the environment.
    """

    def command(context: typer.Context, **values: Any) -> None:
        from gifcli.recipe.recipe import parse_assignments

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
