"""What both trainings share: Muon, the learning rate over time, moving averages, atomic checkpoints."""

from __future__ import annotations

import copy
import math
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


class Muon(torch.optim.Optimizer):
    """Muon (Jordan et al., 2024) for weights of two and more dimensions, AdamW for the rest; one learning rate.

    The orthogonalised update is scaled by 0.2 sqrt(max(rows, columns)), so that its size is AdamW's (arXiv 2502.16982).
    """

    def __init__(self, model: nn.Module, lr: float, weight_decay: float = 0.01, smallest: int = 16) -> None:
        self.map: Callable[..., Iterable[Any]] = (
            map  # a thread pool's map lets single-threaded updates run side by side
        )
        trained = [p for p in model.parameters() if p.requires_grad]
        matrices = [p for p in trained if p.ndim >= 2 and min(len(p), p[0].numel()) >= smallest]
        rest = [p for p in trained if not (p.ndim >= 2 and min(len(p), p[0].numel()) >= smallest)]
        groups = [{"params": matrices, "muon": True}, {"params": rest, "muon": False, "weight_decay": 0.0}]
        super().__init__(groups, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        updates = [(group, p) for group in self.param_groups for p in group["params"] if p.grad is not None]
        list(self.map(lambda update: self._update(*update), updates))

    @torch.no_grad()
    def _update(self, group: dict[str, Any], p: Tensor) -> None:
        p.mul_(1 - group["lr"] * group["weight_decay"])
        p.sub_(group["lr"] * (self._muon(p) if group["muon"] else self._adam(p)))

    def _muon(self, p: Tensor) -> Tensor:
        state = self.state[p]
        m = state.setdefault("m", torch.zeros_like(p))
        m.lerp_(p.grad, 0.05)
        update = orthogonal(p.grad.lerp(m, 0.95).reshape(len(p), -1))
        return update.reshape(p.shape).to(p.dtype) * 0.2 * math.sqrt(max(update.shape))

    def _adam(self, p: Tensor) -> Tensor:
        state = self.state[p]
        m, v = state.setdefault("m", torch.zeros_like(p)), state.setdefault("v", torch.zeros_like(p))
        state["t"] = t = state.get("t", 0) + 1
        m.lerp_(p.grad, 0.1)
        v.lerp_(p.grad.square(), 0.05)
        return (m / (1 - 0.9**t)) / ((v / (1 - 0.95**t)).sqrt() + 1e-8)


def orthogonal(g: Tensor) -> Tensor:
    """The nearest semi-orthogonal matrix, roughly: four Newton-Schulz steps with Jordan's coefficients, in bf16."""
    x = g.bfloat16()
    x = x.T if len(g) > g.shape[1] else x
    x = x / (x.norm() + 1e-7)
    for a, b, c in [
        (4.0848, -6.8946, 2.927),
        (3.9505, -6.3029, 2.6377),
        (3.7418, -5.5913, 2.3037),
        (2.8366, -3.0525, 1.2012),
    ]:
        s = x @ x.T
        x = a * x + (b * s + c * s @ s) @ x
    return x.T if len(g) > g.shape[1] else x


class Clock:
    """Training time: a budget in minutes, what earlier runs already spent, and the learning rate that follows from both."""

    def __init__(self, minutes: float, spent: float = 0.0, warmup: float = 0.02, decay_from: float = 0.4) -> None:
        self.budget, self.warmup, self.decay_from = minutes * 60, warmup, decay_from
        self.started = time.monotonic() - spent

    @property
    def spent(self) -> float:
        """Seconds of training, over all runs."""
        return time.monotonic() - self.started

    @property
    def done(self) -> bool:
        return self.spent >= self.budget

    def factor(self) -> float:
        """Warm-up, plateau, then a cosine down to 1% of the learning rate at the end of the budget."""
        t = min(1.0, self.spent / self.budget)
        if t < self.decay_from:
            return min(1.0, 0.01 + t / self.warmup)
        return 0.01 + 0.99 * (1 + math.cos(math.pi * (t - self.decay_from) / (1 - self.decay_from))) / 2


class Average:
    """An exponential moving average of a model's weights that warms up with the step count."""

    def __init__(self, model: nn.Module, decay: float = 0.999) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        weight = 1 - min(self.decay, (1 + step) / (10 + step))
        own = list(self.model.parameters())
        torch._foreach_lerp_(own, [p.detach() for p in model.parameters()], weight)


def save(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint under a temporary name, then rename it: a kill leaves the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    torch.save(state, temporary)
    temporary.replace(path)


def fast(device: torch.device) -> None:
    """Settings that cost nothing: TF32 on CUDA, cudnn's search."""
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True


def parameters(models: Iterable[nn.Module]) -> float:
    """Millions of parameters."""
    return sum(p.numel() for m in models for p in m.parameters()) / 1e6
