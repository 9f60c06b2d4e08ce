"""The dataset card: README.md, whose YAML header lets `datasets.load_dataset(folder)` find images, columns and class names."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import jinja2
import yaml

from gifcli import __version__
from gifcli.formats import Count, DatasetInfo
from gifcli.formats.columns import card_features, data_files
from gifcli.formats.manifest import read_loras
from gifcli.state.files import MANIFEST
from gifcli.wording import number_of

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_LICENCE_ID = re.compile(r"[a-z0-9][a-z0-9.-]*")


REJECTS = {
    "band": "too like its seed pixel by pixel, or too unlike (PSNR, SSIM)",
    "broken": "not a number, flat, or blurred beside its seed",
    "drift": "outside the range of its class's features",
    "duplicate": "near another generated image, or another original",
    "label": "no longer recognised as its class",
    "leak": "near an image of another split",
    "memorised": "near an image that the prior was trained on",
    "outlier": "far from the mean of those made around it",
    "safety": "flagged by a classifier of unsafe images",
    "unchanged": "its own seed again",
}
"""What each check of gifcli rejects."""


class _Quoted(str):
    """Text that YAML must not read as a number, a boolean, or nothing."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    """Writes `_Quoted` in double quotes."""


_Dumper.add_representer(
    _Quoted, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style='"')
)


def render_card(info: DatasetInfo) -> str:
    """The card as Markdown with its YAML header; the same text for the same info."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("gifcli", "formats"),
        autoescape=False,  # noqa: S701 - Markdown, not HTML; `cell` escapes what comes from the user
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters |= {"cell": _cell, "number_of": number_of, "meaning": lambda check: REJECTS.get(check, "")}
    rows = {split: _class_rows(info, split) for split in info.counts}
    template = environment.get_template("card.md.j2")
    recipe = info.recipe.strip("\n")
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", recipe)), default=0))
    return template.render(
        info=info,
        header=_header(info),
        rows=rows,
        balance=[(split, *found) for split in info.counts if (found := _balance(info, split))],
        recipe=recipe,
        fence=fence,
        version=__version__,
    )


def write_card(dest: Path, info: DatasetInfo) -> str:
    """Writes `README.md` into `dest` where it differs -> its relative path. The manifest there says which LoRA was used."""
    manifest = dest / MANIFEST
    loras = tuple(read_loras(manifest)) if manifest.is_file() else ()
    text = render_card(replace(info, loras=loras)).encode()
    path = dest / "README.md"
    temporary = path.with_name("README.md.tmp")
    if not path.is_file() or path.read_bytes() != text:
        temporary.write_bytes(text)
        temporary.replace(path)
    temporary.unlink(missing_ok=True)  # of an export that was killed
    return path.name


def _class_rows(info: DatasetInfo, split: str) -> list[tuple[str, str, Count]]:
    counts = info.counts[split]
    return [(label, name, counts.get(label, Count(0, 0))) for label, name in info.classes.items()]


def _balance(info: DatasetInfo, split: str) -> tuple[str, str] | None:
    """How many times the images of the smallest class the largest has, before and after; None where nothing was added."""
    counts = [count for *_, count in _class_rows(info, split)]
    before = [count.original for count in counts]
    if len(counts) < 2 or not min(before) or not any(count.generated for count in counts):
        return None
    after = [count.original + count.generated for count in counts]
    return f"{max(before) / min(before):.1f}", f"{max(after) / min(after):.1f}"


def _header(info: DatasetInfo) -> str:
    total = sum(info.total)
    header: dict[str, Any] = {"pretty_name": _Quoted(info.name)}
    header |= _licence(info.licence)
    files = [{"split": split, "path": _Quoted(data_files(info.to, split))} for split in info.counts]
    header |= {
        "task_categories": ["image-classification"],
        "tags": ["synthetic", "dataset-expansion", "gifcli"],
        "size_categories": [next((name for limit, name in _SIZES if total < limit), "n>1M")],
        # the loader follows `configs`, the hub reads `dataset_info`
        "configs": [{"config_name": "default", **_loader_features(info), "data_files": files}],
        "dataset_info": {"features": _features(info)},
    }
    return yaml.dump(header, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=2**20)


def _loader_features(info: DatasetInfo) -> dict[str, Any]:
    """The loader of tars takes no such setting: it follows `dataset_info`."""
    return {} if info.to == "webdataset" else {"features": _features(info)}


def _features(info: DatasetInfo) -> list[dict[str, Any]]:
    features: list[dict[str, Any]] = _quoted_names(card_features(info.to, info.classes, joined=info.joined))
    return features


def _quoted_names(value: Any) -> Any:
    """Class names and their numbers as text that YAML must not read as anything else."""
    match value:
        case list():
            return [_quoted_names(each) for each in value]
        case {"class_label": {"names": names}}:
            return {"class_label": {"names": {_Quoted(i): _Quoted(name) for i, name in names.items()}}}
        case dict():
            return {key: _quoted_names(each) for key, each in value.items()}
        case _:
            return value


def _licence(licence: str) -> dict[str, str]:
    """As the hub wants it: an identifier, or `other` with a name."""
    if _LICENCE_ID.fullmatch(licence):
        return {"license": licence}
    return {"license": "other", "license_name": _Quoted(licence)}


def _cell(text: str) -> str:
    """Text from the user in a Markdown table or sentence, shown as it is."""
    plain = " ".join(str(text).split())
    return re.sub(r"([\\`*_{}\[\]<>|#~])", r"\\\1", plain) or "(blank)"
