"""Train the denoiser: diffusers' UNet2DConditionModel on the latents of latents.py, rectified flow.

    python training/denoiser.py --minutes 85                                 two CPU cores
    python training/denoiser.py --minutes 12 --batch 1024 --device cuda      a GPU

Small pictures first (a sixteenth of the arithmetic for a batch), then 128 px with a share of small ones. Goes on from
--out when it exists; exports the averaged weights every --export-every minutes. x_t = (1 - t) x + t noise, the
target is noise - x, t logit-normal (Esser et al., arXiv 2403.03206).
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from condition import DIM, SCALE, condition, known_cells, perturbed
from diffusers import AutoencoderDC, UNet2DConditionModel
from export import export, half
from latents import flipped
from loop import Average, Clock, Muon, fast, parameters, save
from maps import CHANNELS
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from gifcli.priors.projection import Projection, layout

SHARE = {"tiny": {64: 0.6, 128: 0.25}, "imagenet-sample": {64: 0.13, 128: 0.35}}  # of the draws; others share the rest
HELD_OUT = 256  # latents never drawn, a tenth at most: for the log's loss


def build(widths: tuple[int, ...], layers: int, cells: int) -> UNet2DConditionModel:
    """Convolutions only at full latent resolution, self-attention below; beside the latent `cells` channels of the layout."""
    below = len(widths) - 1
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=16 + cells,
        out_channels=16,
        down_block_types=("DownBlock2D", *["AttnDownBlock2D"] * below),
        up_block_types=(*["AttnUpBlock2D"] * below, "UpBlock2D"),
        mid_block_type="UNetMidBlock2D",
        block_out_channels=widths,
        layers_per_block=layers,
        attention_head_dim=32,
        class_embed_type="projection",
        projection_class_embeddings_input_dim=DIM + 2,
    )


class Latents:
    """All latents of one picture size in memory, with their features and the short sides of their sources."""

    def __init__(self, crops: Path, size: int, device: torch.device) -> None:
        parts: list[tuple[np.ndarray, ...]] = []
        for path in sorted(crops.glob(f"*.latents-{size}.npy")):
            name = path.name.removesuffix(f".latents-{size}.npy")
            rows = np.load(crops / f"{name}.rows-{size}.npy")
            weights = np.load(crops / f"{name}.weights-{size}.npy")
            sides = np.load(crops / f"{name}.crops.npy")[rows, 3].astype(np.float32)
            features = np.load(crops / f"{name}.features.npy", mmap_mode="r")[rows]
            maps = np.load(crops / f"{name}.maps-{size}.npy")
            flips = flipped(len(rows), size)
            maps[flips] = maps[flips][..., ::-1]
            parts.append((np.load(path), features, maps, sides, weights / weights.sum() * _share(name, size)))
        if not parts:
            raise SystemExit(
                f"error: {crops} holds no latents for {size} px; run: python training/latents.py --size {size}"
            )
        *columns, weights = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        self.size, self.device = size, device
        self.columns = [torch.from_numpy(column) for column in columns]
        z = columns[0]
        order = np.random.default_rng(0).permutation(len(z))
        back = max(1, min(HELD_OUT, len(z) // 10))
        self.held_out, kept = torch.from_numpy(order[:back]), order[back:]
        self.kept, self.edges = torch.from_numpy(kept), np.cumsum(weights[kept]) / weights[kept].sum()

    def take(self, rows: Tensor) -> list[Tensor]:
        """Latents (b c h w), unit-norm features (b 1280), their maps (b m 4 4) and source short sides (b)."""
        return [column[rows].to(self.device).float() for column in self.columns]

    def draw(self, n: int, rng: np.random.Generator) -> list[Tensor]:
        """A random batch, drawn by weight."""
        return self.take(self.kept[np.searchsorted(self.edges, rng.random(n)).clip(max=len(self.kept) - 1)])


def _share(name: str, size: int) -> float:
    for part, shares in SHARE.items():
        if part in name:
            return shares[size] / (3 if part == "tiny" else 1)  # Tiny-ImageNet comes as three files
    return 1 - sum(shares[size] for shares in SHARE.values())


def velocity_loss(unet: nn.Module, z: Tensor, t: Tensor, noise: Tensor, labels: Tensor, cells: Tensor) -> Tensor:
    """Mean squared error of the predicted velocity noise - z at x_t = (1 - t) z + t noise, the layout beside x_t."""
    s = t[:, None, None, None]
    x = torch.cat([(1 - s) * z + s * noise, cells], 1)
    predicted = unet(x, t * 1000, None, class_labels=labels).sample
    return F.mse_loss(predicted.float(), noise - z)


def times(n: int, device: torch.device) -> Tensor:
    """Times in (0, 1): logit-normal, a tenth of them uniform so that both ends are seen."""
    t = torch.sigmoid(torch.randn(n, device=device))
    return torch.where(torch.rand(n, device=device) < 0.1, torch.rand(n, device=device), t)


def with_layout(unet: UNet2DConditionModel, cells: int) -> UNet2DConditionModel:
    """The same denoiser with `cells` more input channels, which say nothing at first."""
    grown = UNet2DConditionModel.from_config(dict(unet.config) | {"in_channels": unet.config.in_channels + cells})
    weights = unet.state_dict()
    weights["conv_in.weight"] = F.pad(weights["conv_in.weight"], (0, 0, 0, 0, 0, cells))
    grown.load_state_dict(weights)
    return grown


class SmallConv(nn.Conv2d):
    """A 3x3 convolution that is one matrix product on grids of 2x2: there oneDNN's weight gradient is ten times slower."""

    def forward(self, x: Tensor) -> Tensor:
        b, _, h, w = x.shape
        if h * w > 4 or self.stride != (1, 1) or self.kernel_size != (3, 3):
            return super().forward(x)
        columns = F.unfold(x, 3, padding=1).transpose(1, 2).reshape(b * h * w, -1)
        y = F.linear(columns, self.weight.reshape(self.out_channels, -1), self.bias)
        return y.view(b, h, w, -1).permute(0, 3, 1, 2)


def small_convolutions(model: nn.Module) -> None:
    """Let every convolution use SmallConv's forward (same weights, same names)."""
    for module in model.modules():
        if type(module) is nn.Conv2d:
            module.__class__ = SmallConv


class Trainer:
    """Model, average, optimiser and clock of one training; everything a checkpoint holds."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.device = args, torch.device(args.device)
        state = torch.load(args.out, map_location="cpu", weights_only=False) if args.out.exists() else None
        if state:
            self.unet = UNet2DConditionModel.from_config(state["config"])
        elif args.start:
            self.unet = UNet2DConditionModel.from_pretrained(args.start / "unet", torch_dtype=torch.float32)
        else:
            self.unet = build(tuple(args.widths), args.layers, CHANNELS + 1)
        self.data = {64: Latents(args.crops, 64, self.device)}
        self.projection = Projection(**load_file(args.crops / "projection.safetensors", device=args.device))
        if not state and self.unet.config.in_channels == 16:
            self.unet = with_layout(self.unet, self.projection.axes.shape[1] + 1)
        if not (state or args.start):
            self._centre(self.data[64].columns[1][::97].float().mean(0))
        layout = torch.channels_last if self.device.type == "cuda" else torch.contiguous_format
        self.unet.to(self.device, memory_format=layout)
        if self.device.type == "cpu":
            small_convolutions(self.unet)
        self.average, self.optimizer = Average(self.unet, 0.997), Muon(self.unet, args.lr, smallest=32)
        self.threads = args.threads if self.device.type == "cpu" else 1
        self.map: Callable[..., Iterable[Any]] = map
        if self.threads > 1:
            torch.set_num_threads(1)
            self.map = self.optimizer.map = ThreadPoolExecutor(self.threads).map
        self.step, spent = 0, 0.0
        if state:
            self.unet.load_state_dict(state["model"])
            self.average.model.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step, spent = state["step"], state["spent"]
        self.clock = Clock(args.minutes, spent, decay_from=args.decay_from)
        self.run: Any = torch.compile(self.unet) if self.device.type == "cuda" else self.unet
        self.rng = np.random.default_rng(self.step)
        torch.manual_seed(self.step)

    def _centre(self, mean: Tensor) -> None:
        """Let the condition's first layer start from features minus their mean: they are all positive."""
        layer = self.unet.class_embedding.linear_1
        with torch.no_grad():
            layer.bias -= layer.weight[:, :DIM] @ (mean * SCALE)

    def size(self) -> int:
        """The picture size of this step."""
        late = self.clock.spent > self.args.switch * self.clock.budget
        return 128 if late and self.step % 5 else 64

    def batch(self, size: int) -> tuple[Tensor, ...]:
        """Latents, times, noise and condition vectors of one step."""
        if size not in self.data:
            self.data[size] = Latents(self.args.crops, size, self.device)
        n = self.args.batch if size == 64 else self.args.batch // 4
        z, features, maps, sides = self.data[size].draw(n, self.rng)
        moved = perturbed(features, 0.3)
        some, cells = known_cells(len(z), z.device)
        cells = layout(maps + self.projection.shift(moved - features), cells, *z.shape[-2:])
        labels = condition(moved * some, sides, torch.full_like(sides, size))
        return z, times(len(z), self.device), torch.randn_like(z), labels, cells

    def train_step(self) -> float:
        """One update; its loss."""
        batch = self.batch(self.size())
        for group in self.optimizer.param_groups:
            group["lr"] = self.args.lr * self.clock.factor()
        parts = zip(*(column.chunk(self.threads) for column in batch), strict=True)
        loss = sum(self.map(lambda part: self.backward(part, len(part[0]) / len(batch[0])), parts))
        torch.nn.utils.clip_grad_norm_(self.unet.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        self.average.update(self.unet, self.step)
        return loss

    def backward(self, part: tuple[Tensor, ...], share: float) -> float:
        """Add one part's gradient; its share of the loss. Parts may run side by side: autograd adds under a lock."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.args.bf16):
            loss = share * velocity_loss(self.run, *part)
        loss.backward()
        return loss.item()

    @torch.no_grad()
    def held_out_loss(self, size: int) -> float:
        """The average's loss on latents never drawn, with the same noise and times each time."""
        data = self.data[size]
        z, features, maps, sides = data.take(data.held_out)
        made = torch.Generator().manual_seed(0)
        noise = torch.randn(z.shape, generator=made).to(self.device)
        t = ((torch.arange(len(z)) + 0.5) / len(z)).to(self.device)
        labels = condition(features, sides, torch.full_like(sides, size))
        cells = layout(maps, torch.ones_like(maps[:, :1]), *z.shape[-2:])
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.args.bf16):
            return velocity_loss(self.average.model, z, t, noise, labels, cells).item()

    def checkpoint(self) -> None:
        content = {
            "model": self.unet.state_dict(),
            "average": self.average.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        save(self.args.out, content | {"config": dict(self.unet.config), "step": self.step, "spent": self.clock.spent})

    def export(self) -> None:
        unet = UNet2DConditionModel.from_config(self.unet.config)
        unet.load_state_dict(copy.deepcopy(self.average.model.state_dict()))
        export(half(AutoencoderDC.from_pretrained(self.args.vae)), half(unet), self.projection, self.args.export)


def train(args: argparse.Namespace) -> None:
    fast(torch.device(args.device))
    trainer = Trainer(args)
    print(
        f"{parameters([trainer.unet]):.1f} M parameters, from step {trainer.step}, {trainer.clock.spent:.0f} s",
        flush=True,
    )
    losses: dict[int, list[float]] = {64: [], 128: []}
    exported = trainer.clock.spent
    first = trainer.step
    while not trainer.clock.done and trainer.step < first + args.steps:
        size = trainer.size()
        losses[size].append(trainer.train_step())
        if trainer.step == first + 5:
            print(f"five steps: {trainer.clock.spent - exported:.1f} s", flush=True)
        if trainer.step % args.every == 0:
            figures = " ".join(
                f"{s}px {np.mean(found):.4f} held out {trainer.held_out_loss(s):.4f}"
                for s, found in losses.items()
                if found
            )
            print(
                f"step {trainer.step} {trainer.clock.spent:.0f}s lr {args.lr * trainer.clock.factor():.1e} {figures}",
                flush=True,
            )
            losses = {64: [], 128: []}
            trainer.checkpoint()
            if trainer.clock.spent - exported > args.export_every * 60:
                trainer.export()
                exported = trainer.clock.spent
    trainer.checkpoint()
    trainer.export()
    print(f"done: step {trainer.step}, {trainer.clock.spent:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crops", type=Path, default=Path(".work/embedded/crops"))
    parser.add_argument("--vae", type=Path, default=Path(".work/embedded/vae"))
    parser.add_argument("--out", type=Path, default=Path(".work/embedded/denoiser.pt"))
    parser.add_argument("--start", type=Path, help="an export to go on from, where --out does not exist yet")
    parser.add_argument("--export", type=Path, default=Path(".work/embedded/export"))
    parser.add_argument("--export-every", type=float, default=15, help="minutes")
    parser.add_argument("--minutes", type=float, default=85)
    parser.add_argument("--steps", type=int, default=10**9)
    parser.add_argument("--switch", type=float, default=0.6, help="share of the time spent on 64 px only")
    parser.add_argument(
        "--decay-from", type=float, default=0.5, help="share of the time before the learning rate falls"
    )
    parser.add_argument("--batch", type=int, default=256, help="at 64 px; a quarter of it at 128 px")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--widths", type=int, nargs="+", default=[64, 160, 224])
    parser.add_argument("--layers", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=2, help="on a CPU: parts of a batch side by side, a core each")
    parser.add_argument("--bf16", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--every", type=int, default=100)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
