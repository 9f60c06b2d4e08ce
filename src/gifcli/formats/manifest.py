"""The manifest: one row for every image, kept or rejected, with all its provenance; Parquet.

Scores are structs with one field a guide, which `datasets`, pandas and duckdb all read (maps they do not); z and b are flat.
"""

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gifcli.formats import Lora

SCORES = ("consistency", "entropy", "diversity", "total")
"""Score fields that are always there; a guide with another name adds its own."""

ROW_GROUP = 1024

_LIST = pa.list_(pa.float32())


def manifest_schema(classes: Iterable[str], scores: Iterable[str] = (), *, joined: bool = False) -> pa.Schema:
    """The columns, in order, with their types; metadata "class_to_idx" is JSON: label -> label_id.

    Metadata "joined" says that labels are several, with "+" between them.
    """
    fields = pa.struct([(name, pa.float64()) for name in dict.fromkeys([*SCORES, *scores])])
    text, small, large, real, flag = pa.string(), pa.int32(), pa.int64(), pa.float64(), pa.bool_()
    columns = [
        *[("key", text), ("file", text), ("label", text), ("label_id", small), ("split", text), ("is_synthetic", flag)],
        *[("parent_key", text), ("parent_sha256", text), ("parent_path", text), ("k", small), ("attempt", small)],
        *[("rng", large), ("prompt", text), ("prior", text), ("revision", text)],
        *[("lora", text), ("lora_scale", real), ("lora_revision", text), ("dtype", text), ("steps", small)],
        *[("strength", real), ("guidance_scale", real), ("z", _LIST), ("b", _LIST)],
        *[("scores_start", fields), ("scores_end", fields), ("label_prob", real), ("nn_seed", real), ("nn_set", real)],
        *[("nn_prior", real), ("phash", text), ("safety", real), ("verdict", text), ("reason", text), ("weight", real)],
        *[("soft_label", _LIST), ("width", small), ("height", small), ("sha256", text), ("fingerprint", text)],
    ]
    class_to_idx = {label: i for i, label in enumerate(classes)}
    told = {"class_to_idx": json.dumps(class_to_idx, ensure_ascii=False)} | ({"joined": "true"} if joined else {})
    return pa.schema(columns, metadata=told)


def write_manifest(
    rows: Iterable[Mapping[str, Any]],
    path: Path,
    classes: Iterable[str],
    scores: Iterable[str] = (),
    *,
    joined: bool = False,
) -> int:
    """Writes the rows in groups, whole or not at all; the same bytes for the same rows. -> how many rows.

    A column that a row lacks is null; z, b and soft_label may be arrays of any shape; phash may be an unsigned integer.

    Raises:
        ValueError: a row has a column, or a score, that the schema lacks.

    """
    schema = manifest_schema(classes, scores, joined=joined)
    temporary = path.with_name(path.name + ".tmp")
    count = 0
    with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for group in _groups(iter(rows), ROW_GROUP):
            plain = [_plain(row, schema) for row in group]
            writer.write_table(pa.Table.from_pylist(plain, schema), row_group_size=ROW_GROUP)
            count += len(plain)
    temporary.replace(path)
    return count


def read_class_to_idx(path: Path) -> dict[str, int]:
    """Label -> label_id, as the manifest's metadata tells it."""
    found: dict[str, int] = json.loads(pq.read_schema(path).metadata[b"class_to_idx"])
    return found


def read_loras(path: Path) -> list[Lora]:
    """The LoRAs that samples were made with, each once, in the order of the rows; none where the manifest is an older one."""
    with pq.ParquetFile(path) as file:
        columns = ["lora", "lora_revision", "lora_scale"]
        if not set(columns) <= set(file.schema_arrow.names):
            return []
        rows = (row for batch in file.iter_batches(columns=columns) for row in batch.to_pylist() if row["lora"])
        found = {tuple(row[name] for name in columns[1:]): row["lora"] for row in rows}
    return [Lora(name, revision, scale) for (revision, scale), name in found.items()]


def _groups(rows: Iterator[Mapping[str, Any]], size: int) -> Iterator[list[Mapping[str, Any]]]:
    while group := list(itertools.islice(rows, size)):
        yield group


def _plain(row: Mapping[str, Any], schema: pa.Schema) -> dict[str, Any]:
    """Numpy and unusual text -> what pyarrow takes."""
    if unknown := sorted(set(row) - set(schema.names)):
        raise ValueError(f"manifest: no such column: {', '.join(unknown)}")
    for column in ("scores_start", "scores_end"):
        known = {field.name for field in schema.field(column).type}
        if unknown := sorted(set(row.get(column) or {}) - known):
            raise ValueError(f"manifest: no such score in {column}: {', '.join(unknown)}")
    plain = {name: _value(value) for name, value in row.items()}
    if isinstance(phash := plain.get("phash"), int):  # as hex: no reader makes it a float, or a negative number
        plain["phash"] = f"{phash:016x}"
    return plain


def _value(value: Any) -> Any:
    match value:
        case np.ndarray():
            return value.astype(np.float32).ravel()
        case np.generic():
            return value.item()
        case str():
            return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        case Mapping():
            return {name: float(score) for name, score in value.items()}
        case _:
            return value
