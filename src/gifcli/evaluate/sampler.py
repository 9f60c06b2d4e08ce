"""PyTorch code to paste: a loader that draws generated images at a given share. No torch here."""

TRANSFORMS = {
    "none": "",
    "weak": "    v2.RandomHorizontalFlip(),  # not where mirror images change the class\n    v2.RandomCrop(size, padding=size // 16),\n",
    "classical": "    v2.RandomHorizontalFlip(),  # not where mirror images change the class\n    v2.RandomCrop(size, padding=size // 16),\n"
    "    v2.TrivialAugmentWide(),\n",
}

HEAD = """\
import json
from pathlib import Path

import torch
from torch.utils.data import DataLoader, WeightedRandomSampler
from torchvision.transforms import v2

folder, share, size = Path({folder!r}), {share:g}, 64
transform = v2.Compose([
    v2.PILToTensor(),
    v2.Resize(size),
    v2.CenterCrop(size),
{augmentation}    v2.ToDtype(torch.float32, scale=True),
])
"""

READ = {
    "imagefolder": """\
from torchvision.datasets import ImageFolder

train = ImageFolder(folder / "train", transform)
lines = (folder / "train" / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
rows = {row["file_name"]: row for row in map(json.loads, lines)}
rows = [rows[Path(path).relative_to(folder / "train").as_posix()] for path, _ in train.samples]
""",
    "parquet": """\
from datasets import load_dataset

train = load_dataset(str(folder), split="train")
rows = train.select_columns(["is_synthetic", "weight"]).to_list()
train = train.with_transform(lambda batch: {
    "image": [transform(image.convert("RGB")) for image in batch["image"]], "label": batch["label"]})
""",
}

DRAW = """\
generated = torch.tensor([row["is_synthetic"] for row in rows])
weight = torch.tensor([row["weight"] for row in rows], dtype=torch.float64)
for kind, part in ((generated, share), (~generated, 1 - share)):
    if kind.any():
        weight[kind] *= part / weight[kind].sum()
loader = DataLoader(train, batch_size=64, sampler=WeightedRandomSampler(weight, num_samples=len(rows)))
"""

STREAM = """\
import webdataset as wds

tars = sorted(map(str, (folder / "data").glob("train-*.tar")))


def stream(generated):
    return (
        wds.WebDataset(tars, shardshuffle=False)
        .select(lambda sample: json.loads(sample["json"])["is_synthetic"] == generated)
        .repeat()
        .shuffle(1000)
        .decode("pil")
        .to_tuple("jpg", "cls")
        .map_tuple(transform, int)
    )


parts = [(stream(False), 1 - share), (stream(True), share)]
parts = [(part, weight) for part, weight in parts if weight]
mixed = wds.RandomMix([part for part, _ in parts], [weight for _, weight in parts])
loader = DataLoader(mixed, batch_size=64)  # endless: count your steps
"""


def sampler_code(folder: str, layout: str, share: float, augmentation: str) -> str:
    """Code that makes `loader`; `folder` as its reader will call it."""
    head = HEAD.format(folder=folder, share=round(share, 3), augmentation=TRANSFORMS[augmentation])
    return head + (READ[layout] + DRAW if layout in READ else STREAM)
