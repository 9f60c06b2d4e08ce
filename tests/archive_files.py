"""Folders of labelled images as archives, by the usual writers."""

import json
from pathlib import Path

import datasets
import webdataset


def write_tars(photos: Path, dest: Path, split: str) -> None:
    """With webdataset's own writer."""
    dest.mkdir(exist_ok=True)
    labels = sorted(path.name for path in photos.iterdir())
    with webdataset.ShardWriter(str(dest / f"{split}-%05d.tar"), maxcount=5, verbose=0) as writer:
        for path in sorted(photos.rglob("*.*")):
            label = path.parent.name
            key = f"{label}{path.stem}".replace(" ", "")
            writer.write({"__key__": key, path.suffix[1:]: path.read_bytes(), "cls": labels.index(label)})
    (dest / "classes.json").write_text(json.dumps({"class_to_idx": {label: i for i, label in enumerate(labels)}}))


def write_parquet(photos: Path, dest: Path, split: str) -> None:
    """With `datasets`' own writer."""
    dest.mkdir(exist_ok=True)
    labels = sorted(path.name for path in photos.iterdir())
    paths = sorted(photos.rglob("*.*"))
    columns = {
        "img": [{"bytes": path.read_bytes(), "path": path.name} for path in paths],
        "fine_label": [labels.index(path.parent.name) for path in paths],
    }
    features = datasets.Features({"img": datasets.Image(), "fine_label": datasets.ClassLabel(names=labels)})
    datasets.Dataset.from_dict(columns, features).to_parquet(str(dest / f"{split}-00000-of-00001.parquet"))
