"""What stands beside each image in every format: the same columns, the same types, never null."""

from collections.abc import Iterable
from typing import Any

from gifcli.formats import DatasetInfo, Item

FEATURES = {
    "is_synthetic": "bool",
    "key": "string",
    "parent_key": "string",
    "parent_path": "string",
    "prior": "string",
    "weight": "float64",
}
"""Columns beside the image and its label, with their types as `datasets` calls them."""

JOINT = "+"
"""Between the labels of an image that has several: such a set of labels is a class."""


def columns(item: Item, info: DatasetInfo) -> dict[str, Any]:
    """The values of FEATURES for one item, in order; and `labels`, where images have several."""
    row: dict[str, Any] = {"is_synthetic": item.is_synthetic}
    for column in ("key", "parent_key", "parent_path", "prior"):
        row[column] = as_text(item.row.get(column) or "")
    weight = item.row.get("weight")
    row["weight"] = 1.0 if weight is None else float(weight)
    return row | ({"labels": labels_of(item.label)} if info.joined else {})


def labels_of(label: str) -> list[str]:
    """The labels that a joined label stands for."""
    return label.split(JOINT) if label else []


def as_text(text: str) -> str:
    """Text that every reader takes: bytes of a file name that are no UTF-8 are replaced."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def data_files(to: str, split: str) -> str:
    """The pattern of a split's files, relative to the dataset."""
    return {"webdataset": f"data/{split}-*.tar", "parquet": f"data/{split}-*.parquet"}.get(to, f"{split}/**")


def card_features(to: str, names: Iterable[str], *, joined: bool) -> list[dict[str, Any]]:
    """The columns as the YAML header of a dataset card declares them; `names` are the labels in order."""
    label = {"class_label": {"names": {str(i): name for i, name in enumerate(names)}}}
    beside: list[dict[str, Any]] = [{"name": name, "dtype": dtype} for name, dtype in FEATURES.items()]
    beside += [{"name": "labels", "list": "string"}] if joined else []
    if to != "webdataset":
        return [{"name": "image", "dtype": "image"}, {"name": "label", "dtype": label}, *beside]
    inside = [{"name": "label", "dtype": "string"}, *beside, {"name": "file_name", "dtype": "string"}]
    keys = [{"name": "__key__", "dtype": "string"}, {"name": "__url__", "dtype": "string"}]
    return [
        {"name": "jpg", "dtype": "image"},
        {"name": "cls", "dtype": label},
        {"name": "json", "struct": inside},
        *keys,
    ]


def schema_features(names: Iterable[str], *, joined: bool) -> dict[str, Any]:
    """The columns as the metadata of a Parquet schema declares them to `datasets`."""
    beside = {name: {"dtype": dtype, "_type": "Value"} for name, dtype in FEATURES.items()}
    several = {"labels": {"feature": {"dtype": "string", "_type": "Value"}, "_type": "List"}} if joined else {}
    return {"image": {"_type": "Image"}, "label": {"names": list(names), "_type": "ClassLabel"}, **beside, **several}
