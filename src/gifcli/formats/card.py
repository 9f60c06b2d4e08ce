"""The dataset card: README.md, whose YAML header lets `datasets.load_dataset(folder)` find images, columns and class names."""

import re
from pathlib import Path
from typing import Any

import jinja2
import yaml

from gifcli import __version__
from gifcli.formats import Count, DatasetInfo
from gifcli.formats.imagefolder import FEATURES

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_LICENCE_ID = re.compile(r"[a-z0-9][a-z0-9.-]*")


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
    environment.filters["cell"] = _cell
    rows = {split: _class_rows(info, split) for split in info.counts}
    template = environment.get_template("card.md.j2")
    recipe = info.recipe.strip("\n")
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", recipe)), default=0))
    return template.render(info=info, header=_header(info), rows=rows, recipe=recipe, fence=fence, version=__version__)


def write_card(dest: Path, info: DatasetInfo) -> str:
    """Writes `README.md` into `dest` where it differs -> its relative path."""
    text = render_card(info).encode()
    path = dest / "README.md"
    if not path.is_file() or path.read_bytes() != text:
        temporary = path.with_name("README.md.tmp")
        temporary.write_bytes(text)
        temporary.replace(path)
    return path.name


def _class_rows(info: DatasetInfo, split: str) -> list[tuple[str, str, Count]]:
    counts = info.counts[split]
    return [(label, name, counts.get(label, Count(0, 0))) for label, name in info.classes.items()]


def _header(info: DatasetInfo) -> str:
    total = sum(info.total)
    header: dict[str, Any] = {"pretty_name": _Quoted(info.name)}
    header |= _licence(info.licence)
    features = _features(list(info.classes))
    files = [{"split": split, "path": _Quoted(f"{split}/**")} for split in info.counts]
    header |= {
        "task_categories": ["image-classification"],
        "tags": ["synthetic", "dataset-expansion", "gifcli"],
        "size_categories": [next((name for limit, name in _SIZES if total < limit), "n>1M")],
        # the loader follows `configs`, the hub reads `dataset_info`
        "configs": [{"config_name": "default", "features": features, "data_files": files}],
        "dataset_info": {"features": _features(list(info.classes))},
    }
    return yaml.dump(header, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=2**20)


def _features(labels: list[str]) -> list[dict[str, Any]]:
    names = {_Quoted(i): _Quoted(label) for i, label in enumerate(labels)}
    return [
        {"name": "image", "dtype": "image"},
        {"name": "label", "dtype": {"class_label": {"names": names}}},
        *[{"name": name, "dtype": dtype} for name, dtype in FEATURES.items()],
    ]


def _licence(licence: str) -> dict[str, str]:
    """As the hub wants it: an identifier, or `other` with a name."""
    if _LICENCE_ID.fullmatch(licence):
        return {"license": licence}
    return {"license": "other", "license_name": _Quoted(licence)}


def _cell(text: str) -> str:
    """Text from the user in a Markdown table or sentence, shown as it is."""
    plain = " ".join(str(text).split())
    return re.sub(r"([\\`*_{}\[\]<>|#~])", r"\\\1", plain) or "(blank)"
