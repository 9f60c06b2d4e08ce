"""Labels that stand in a file and not in folder names: metadata.jsonl, labels.csv, the manifest of an exported dataset."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from gifcli.errors import InputError
from gifcli.formats.columns import JOINT
from gifcli.formats.containers import split_name
from gifcli.state.seals import unseal
from gifcli.wording import are, number_of

UNPACKED_TABLE = ".labels.json"
SPLITS = ("train", "val", "valid", "validation", "dev", "test", "holdout")
STEMS = ("metadata", "labels")
READABLE = (".jsonl", ".csv", ".tsv")
FILES = ("file_name", "filename", "file", "path", "image", "image_path", "image_id", "id")
LABELS = ("labels", "label", "class", "class_name", "category", "target")
UNLABELLED = "unlabelled"
"""The class of images that have several labels or none, and have none."""

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Table:
    """Which image has which label.

    places    relative path -> (split, label)
    classes   labels in their order
    names     label -> readable name, where that is told
    joined    whether images may have several labels, joined by "+"
    failures  relative path -> why the image cannot be used
    origin    the file that says so
    """

    places: dict[str, tuple[str, str]]
    classes: list[str]
    names: dict[str, str] = field(default_factory=dict)
    joined: bool = False
    failures: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    origin: str = ""


def find_table(root: Path, file: Path | None = None) -> Table | None:
    """What `file` says, else what lies in the folder or its splits; None where folder names are the labels.

    Raises:
        InputError: such a file cannot be read, or names no files and labels.
    """
    if file is not None:
        return _from_rows(root, [(file, "", "train")], needed=True)
    if (root / UNPACKED_TABLE).is_file():
        return table_from_json(unseal((root / UNPACKED_TABLE).read_bytes()))
    if (root / "manifest.parquet").is_file() and (root / "SHA256SUMS").is_file():
        return _from_manifest(root / "manifest.parquet")
    found = [(path, "", "train") for path in _label_files(root)]
    if not found and root.is_dir():
        folders = [folder for folder in sorted(root.iterdir()) if folder.name.lower() in SPLITS and folder.is_dir()]
        found = [(path, f"{folder.name}/", folder.name.lower()) for folder in folders for path in _label_files(folder)]
    return _from_rows(root, found, needed=False) if found else None


def join_labels(labels: Iterable[Any]) -> str:
    """Several labels as one: sorted, "+" between them.

    Raises:
        InputError: one of them has a "+" in it.
    """
    texts = sorted({str(label) for label in labels})
    if bad := next((text for text in texts if JOINT in text), None):
        raise InputError(
            f"label {bad!r}: expected no {JOINT} in it, which stands between the labels of an image; rename it"
        )
    return JOINT.join(texts) or UNLABELLED


def readable_join(label: str) -> str:
    """`cat+dog` -> `cat and dog`."""
    *first, last = label.split(JOINT)
    return f"{', '.join(first)} and {last}" if first else last


def table_to_json(table: Table) -> dict[str, Any]:
    """As JSON values."""
    return {
        "places": {path: list(place) for path, place in table.places.items()},
        **{key: getattr(table, key) for key in ("classes", "names", "joined", "failures", "warnings", "origin")},
    }


def table_from_json(state: dict[str, Any]) -> Table:
    """Inverse of `table_to_json`; what else is there is left out."""
    places = {path: (split, label) for path, (split, label) in state["places"].items()}
    keys = ("classes", "names", "joined", "failures", "warnings", "origin")
    return Table(places, **{key: state[key] for key in keys})


def about_generated(count: int, total: int) -> list[str]:
    """Warns of seeds that are themselves generated."""
    if not count:
        return []
    return [
        f"{count} of {number_of(total, 'image')} in the source {are(count)} generated (is_synthetic), and taken as seeds like the others"
    ]


def _label_files(folder: Path) -> list[Path]:
    paths = [folder / (stem + suffix) for stem in STEMS for suffix in READABLE]
    return [path for path in paths if path.is_file()][:1]


def _from_manifest(path: Path) -> Table | None:
    """The dataset that gif exported, if its images are files."""
    import pyarrow.parquet as pq

    data = pq.read_table(path, columns=["file", "split", "label", "is_synthetic"])
    told = data.schema.metadata or {}
    rows = [row for row in data.to_pylist() if row["file"] is not None]
    if not rows or split_name(rows[0]["file"])[1] is not None:
        return None
    places = {row["file"]: (row["split"], row["label"]) for row in rows}
    train = {label for split, label in places.values() if split == "train"}
    classes = [label for label in json.loads(told[b"class_to_idx"]) if label in train]
    warnings = about_generated(sum(row["is_synthetic"] for row in rows), len(rows))
    return Table(places, classes, joined=b"joined" in told, warnings=warnings, origin=path.name)


def _from_rows(root: Path, files: list[tuple[Path, str, str]], *, needed: bool) -> Table | None:
    """One table from label files, each with the folder its names are relative to, and its split."""
    places: dict[str, tuple[str, str]] = {}
    failures: dict[str, str] = {}
    joined = False
    generated = 0
    for path, prefix, split in files:
        rows = list(_rows(path))
        columns = list(rows[0]) if rows else []
        name = next((column for column in FILES if column in columns), None)
        label = next((column for column in LABELS if column in columns), None)
        hot = [] if label else _hot_columns(rows, [c for c in columns if c not in (name, "split")])
        if name is None or not (label or hot):
            if needed or path.stem == "labels":  # nobody else calls a file so; metadata may be about something else
                raise InputError(
                    f"{path}: expected a column of file names ({', '.join(FILES[:3])}, ...) and one of labels "
                    f"({', '.join(LABELS[:3])}, ...); found {', '.join(columns) or 'no rows'}"
                )
            return None
        joined = joined or bool(hot) or any(_several(row[str(label)]) for row in rows)
        generated += sum(row.get("is_synthetic") in (True, "true", "True", "1") for row in rows)
        for row in rows:
            place = _resolve(root, prefix, str(row[name]))
            values = [c for c in hot if str(row[c]) == "1"] if hot else _labels(row[str(label)])
            if not values and not joined:
                failures[place] = f"{path.name} has no label for it"
                continue
            own = str(row.get("split") or "").lower()
            places[place] = (own if own in SPLITS else split), join_labels(values) if joined else values[0]
    classes = sorted({label for split, label in places.values() if split == "train"})
    names = {label: readable_join(label) for label in classes} if joined else {}
    return Table(places, classes, names, joined, failures, about_generated(generated, len(places)), files[0][0].name)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a JSON Lines, CSV or TSV file."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() in (".jsonl", ".json"):
            yield from (json.loads(line) for line in text.splitlines() if line.strip())
        else:
            yield from csv.DictReader(text.splitlines(), delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path}: expected a table of file names and labels; it cannot be read ({error})") from error


def _several(value: Any) -> bool:
    """Whether a cell holds other than one label: a list, or texts with | or ; between them."""
    return len(value) != 1 if isinstance(value, list) else isinstance(value, str) and ("|" in value or ";" in value)


def _labels(value: Any) -> list[str]:
    if isinstance(value, list):
        return [str(label) for label in value]
    text = "" if value is None else str(value).strip()
    parts = text.replace(";", "|").split("|")
    return [part.strip() for part in parts if part.strip()]


def _hot_columns(rows: list[dict[str, Any]], columns: list[str]) -> list[str]:
    """The columns that hold nothing but 0 and 1, if there are several: one for each label."""
    hot = [column for column in columns if all(str(row[column]) in ("0", "1") for row in rows)]
    return hot if len(hot) > 1 else []


def _resolve(root: Path, prefix: str, name: str) -> str:
    """A file's path relative to the source; a name without suffix (an id) finds its image."""
    plain = prefix + str(PurePosixPath(name.replace("\\", "/")))
    if not PurePosixPath(plain).suffix and not (root / plain).is_file():
        near = sorted(path for path in root.glob(f"{plain}.*") if path.is_file())
        plain = near[0].relative_to(root).as_posix() if near else plain
    return plain
