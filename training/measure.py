"""The table of training/README.md: what the embedded weights do on pictures they never saw.

    PYTHONPATH=src python training/measure.py DATA/eval-trashnet-160.parquet DATA/eval-grocery-160.parquet

Half the pictures of a set are seeds, the other half the reference. KID (Binkowski et al., arXiv 1801.01401) and the
feature distances are in the embedded encoder's space; labels are judged by a small CNN trained from scratch on the
reference half, so by nothing that guided or conditioned the samples.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from condition import SIZE
from pack import decode, sources
from packed import resize, to_pixels
from sample import Sampler, square
from torch import Tensor, nn
from torch.nn import functional as F

from gifcli.metrics.kid import kid, rescaled


def labelled(path: Path, most: int) -> tuple[Tensor, Tensor]:
    """At most `most` squares (b 3 128 128) in [-1, 1], evenly drawn and shuffled, and class numbers (b)."""
    names = [p.rsplit("/", 1)[0].rsplit("/", 1)[-1] for p in pq.read_table(path, columns=["path"])["path"].to_pylist()]
    numbers = {name: i for i, name in enumerate(sorted(set(names)))}
    rows = np.random.default_rng(0).permutation(len(names))[:most]
    encoded = list(sources(path))
    return to_pixels([square(decode(encoded[i], 512), 128) for i in rows]), torch.tensor(
        [numbers[names[i]] for i in rows]
    )


def judge(x: Tensor, y: Tensor, steps: int) -> nn.Module:
    """A small CNN on 64-px pictures, trained from scratch."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for inside, out in ((3, 32), (32, 64), (64, 128), (128, 256)):
        layers += [nn.Conv2d(inside, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU(), nn.MaxPool2d(2)]
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, int(y.max()) + 1))
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, steps)
    for _ in range(steps):
        rows = torch.randint(len(x), (64,))
        dy, dx = torch.randint(0, 9, (2,)).tolist()
        part = F.pad(x[rows], (4, 4, 4, 4), mode="reflect")[..., dy : dy + 64, dx : dx + 64]
        part = part.flip(-1) if dx % 2 else part
        F.cross_entropy(model(part), y[rows]).backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    return model.eval()


@torch.no_grad()
def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """Per cent of pictures (b 3 h w) that the judge gives their label."""
    return 100 * float((model(resize(x, 64)).argmax(-1) == y).float().mean())


class Measured:
    """One eval set, its judge, and the figures of samples made from its seed half."""

    def __init__(self, sampler: Sampler, path: Path, args: argparse.Namespace) -> None:
        self.sampler, self.args, self.name = sampler, args, path.stem
        x, y = labelled(path, 2 * args.most)
        half = len(x) // 2
        self.x, self.y, reference, labels = x[:half], y[:half], x[half:], y[half:]
        self.judge = judge(resize(reference, 64), labels, args.judge_steps)
        self.real, self.seeds = self.features(reference), self.features(self.x)

    @torch.no_grad()
    def features(self, x: Tensor) -> Tensor:
        return torch.cat([self.sampler.encoder.images(part, SIZE) for part in x.split(64)])

    def autoencoder(self) -> None:
        y = torch.cat([self.sampler.reconstruct(part) for part in self.x.split(64)])
        psnr = float((-10 * ((y - self.x) / 2).square().mean((1, 2, 3)).log10()).mean())
        self.row("reconstruction", y, f"PSNR {psnr:.2f} dB", "")

    def strength(self, strength: float) -> None:
        began, parts = time.perf_counter(), self.x.split(32)
        groups = [torch.cat([self.sampler.sample(x, strength, k) for x in parts]) for k in range(self.args.siblings)]
        rate = len(self.x) * len(groups) / (time.perf_counter() - began)
        f = torch.stack([self.features(group) for group in groups], 1)
        apart = 1 - (f.sum(1).square().sum(-1) - len(groups)) / (len(groups) * (len(groups) - 1))
        self.row(f"strength {strength}", groups[0], f"{rate:.1f} images/s", f"{float(apart.mean()):.3f}")

    def row(self, what: str, x: Tensor, figure: str, apart: str) -> None:
        """One line of the table."""
        f = self.features(x)
        distance = float((1 - (f * self.seeds).sum(-1)).mean())
        cells = [
            self.name,
            what,
            f"{1000 * kid(*(rescaled(v.numpy()) for v in (f, self.real))):.1f}",
            f"{distance:.3f}",
        ]
        print("|", " | ".join([*cells, f"{accuracy(self.judge, x, self.y):.1f}", apart, figure]), "|", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", type=Path)
    parser.add_argument("--weights", type=Path, default=Path("src/gifcli/models/embedded"))
    parser.add_argument("--most", type=int, default=400, help="seeds a set")
    parser.add_argument("--siblings", type=int, default=3)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--scale", type=float, default=1.5)
    parser.add_argument("--granularity", default="channel", help="channel, view or vector")
    parser.add_argument("--judge-steps", type=int, default=400)
    parser.add_argument("--strengths", type=float, nargs="+", default=[0.3, 0.6, 1.0])
    args = parser.parse_args()
    sampler = Sampler(args.weights, args.granularity, args.steps, args.scale)
    size = sum(p.stat().st_size for p in args.weights.rglob("*.safetensors")) / 1e6
    print(
        f"{size:.1f} MB; granularity {args.granularity}, {args.steps} steps at strength 1, guidance scale {args.scale}, {torch.get_num_threads()} threads\n"
    )
    print("| set | pictures | KID x 1000 | feature distance to seed | label kept, % | siblings apart | |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for path in args.sets:
        measured = Measured(sampler, path, args)
        measured.row("seeds", measured.x, "", "")
        measured.autoencoder()
        for strength in args.strengths:
            measured.strength(strength)


if __name__ == "__main__":
    main()
