"""Parquet as the Hugging Face hub lays it out: `data/<split>-00000-of-00003.parquet`, an image as {bytes, path}.

The schema's metadata says which column is an image and which a ClassLabel, so `datasets` loads it typed; any other reader
sees a struct and an integer. All shards of all splits have one schema.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from gifcli.formats import DatasetInfo, Item, Ledger
from gifcli.formats.columns import FEATURES, as_text, columns, schema_features
from gifcli.formats.containers import Containers
from gifcli.formats.names import Names
from gifcli.formats.stale import DATA

MAX_BYTES = 256 * 2**20
GROUP_BYTES = 16 * 2**20
GROUP_ROWS = 100
"""Small row groups: the hub's viewer and streaming readers load one at a time."""

_TYPES = {"bool": pa.bool_(), "string": pa.string(), "float64": pa.float64()}


class Parquet:
    """Writes each split into files of about `max_bytes` of images, in the order of the items."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes

    def write(self, items: Iterator[Item], dest: Path, info: DatasetInfo, ledger: Ledger) -> list[str]:
        """See `Format.write`: "data/train-00000-of-00001.parquet#7" for each item. Holds a row group in memory."""
        containers = Containers(dest, ledger)
        schema = parquet_schema(info)
        writers: dict[str, _SplitWriter] = {}
        places: list[tuple[str, int, int]] = []
        for item in items:
            if item.split not in writers:
                writers[item.split] = _SplitWriter(containers, item.split, schema, self._max_bytes)
            places.append((item.split, *writers[item.split].add(item, info)))
        names = {split: writer.finish() for split, writer in writers.items()}
        containers.close()
        files = [f"{names[split][shard]}#{row}" for split, shard, row in places]
        return [*files, *(name for listed in names.values() for name in listed)]


def parquet_schema(info: DatasetInfo) -> pa.Schema:
    """image, label and FEATURES; under "huggingface", what `datasets` takes them for."""
    fields = [("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])), ("label", pa.int64())]
    fields += [(name, _TYPES[dtype]) for name, dtype in FEATURES.items()]
    fields += [("labels", pa.list_(pa.string()))] if info.joined else []
    features = schema_features(info.classes, joined=info.joined)
    return pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": features}})})


class _SplitWriter:
    """One split's files. How many there are is known last, so they get their names then."""

    def __init__(self, containers: Containers, split: str, schema: pa.Schema, most: int) -> None:
        self._containers, self._split, self._schema, self._most = containers, split, schema, most
        self._names = Names()
        self._group: list[dict[str, Any]] = []
        self._group_bytes = 0
        self._shards: list[IO[bytes]] = []
        self._rows = self._bytes = 0
        self._writer: pq.ParquetWriter | None = None

    def add(self, item: Item, info: DatasetInfo) -> tuple[int, int]:
        """Puts one item in -> the number of its file, and its row there."""
        data = item.load()
        if self._writer is not None and self._bytes + len(data) > self._most:
            self._end_shard()
        if self._writer is None:
            spool = self._containers.spool(f"{self._split}-{len(self._shards):05d}")
            self._shards.append(spool)
            self._writer = pq.ParquetWriter(spool, self._schema, **_OPTIONS)
            self._rows = self._bytes = 0
        name = as_text(item.name) + item.suffix
        self._group.append({"image": {"bytes": data, "path": name}, "label": item.label_id, **columns(item, info)})
        self._rows, self._bytes = self._rows + 1, self._bytes + len(data)
        self._group_bytes += len(data)
        if len(self._group) >= GROUP_ROWS or self._group_bytes >= GROUP_BYTES:
            self._end_group()
        return len(self._shards) - 1, self._rows - 1

    def finish(self) -> list[str]:
        """Closes the last file and names all -> their names."""
        self._end_shard()
        count = len(self._shards)
        names = [f"{DATA}/{self._split}-{n:05d}-of-{count:05d}.parquet" for n in range(count)]
        for name, spool in zip(names, self._shards, strict=True):
            self._containers.adopt(name, Path(spool.name))
        return names

    def _end_group(self) -> None:
        if self._group and self._writer is not None:
            self._writer.write_table(pa.Table.from_pylist(self._group, self._schema))
        self._group, self._group_bytes = [], 0

    def _end_shard(self) -> None:
        self._end_group()
        if self._writer is not None:
            self._writer.close()
            self._shards[-1].close()
        self._writer = None


_BESIDE = ["label", *FEATURES]
_OPTIONS: dict[str, Any] = {
    "compression": {"image.bytes": "NONE", "image.path": "ZSTD"} | dict.fromkeys(_BESIDE, "ZSTD"),
    "use_dictionary": ["is_synthetic", "prior"],
    "write_statistics": _BESIDE,
}
