"""Ascent: perturbations of latents follow the gradient of the guides' weighted sum."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from gifcli.compute.batches import SeedBatch
from gifcli.encoders import Encoder
from gifcli.guidance.perturb import perturb
from gifcli.guides import Weighted
from gifcli.priors import Prior

Score = dict[str, Tensor]
"""Guide name (and "total", the weighted sum) -> (b k)."""


ADAM_EPS = 0.2
"""Beside gradients of size 1: with Adam's usual 1e-8 its first step is the sign, and a gradient near 0 turns on its last
bit; so, other batch sizes change z and b by about 1e-6 instead of 1e-3, and the gain is the same."""


@dataclass(frozen=True, slots=True)
class GuidanceSettings:
    """How the noise is guided.

    granularity  "channel", "element", "token", "vector" or "view": what shares one z and one b
    steps        ascent steps; 0 = unguided, with the same initial noise
    optimizer    "adam" or "sign" (of the gradient)         lr  length of a step
    noise_scale  of the initial z ~ U(0, 1) and b ~ N(0, 1)
    eps          radius of the ball; like lr and noise_scale in units of the latent's standard deviation
    keep_norm    whether z and b of a sibling may not grow longer than they were drawn: guidance then turns them, and a
                 sample is no farther from its seed than an unguided one (ReNO, arXiv 2406.04312, regularises the norm for that)
    retreat      share of noise_scale that every other attempt starts with, to the power of how many those were
    where        "before" denoising, "during" it at the points `at` (0 to 1), or "after" it
    encoder_size side in pixels at which the guide looks, None = the encoder's own
    """

    granularity: str = "channel"
    steps: int = 5
    optimizer: str = "adam"
    lr: float = 0.1
    noise_scale: float = 0.3
    eps: float = 0.8
    encoder_size: int | None = None
    keep_norm: bool = False
    retreat: float = 1.0
    where: str = "before"
    at: tuple[float, ...] = (0.5,)


@dataclass(slots=True)
class AtSize:
    """An encoder that looks at another size than its own."""

    encoder: Encoder
    input_size: int
    name: str
    dim: int

    def images(self, images: Tensor, size: int | None = None) -> Tensor:
        """(b 3 h w) in [-1, 1] -> (b d) float32, unit norm, differentiable."""
        return self.encoder.images(images, size or self.input_size)


@dataclass(frozen=True, slots=True)
class Objective:
    """sum_g w_g S_g of perturbed latents: what guidance ascends."""

    prior: Prior
    encoder: Encoder
    guides: Sequence[Weighted]
    eps: float
    rows: int

    def __call__(self, f: Tensor, z: Tensor, b: Tensor, seeds: SeedBatch, parents: SeedBatch) -> Score:
        """Latents f (b 1 *shape), z and b (b k *noise_shape) -> each guide's score and the total, (b k).

        `parents` is each seed k times in a row.
        """
        imagined = perturb(f, z, b, self.eps).flatten(0, 1)
        v = self._features(imagined, parents).view(len(seeds), z.shape[1], -1)
        scores = {each.name: each.guide(v, seeds) for each in self.guides}
        total = sum((each.weight * scores[each.name] for each in self.guides), torch.zeros_like(v[..., 0]))
        return scores | {"total": total}

    def _features(self, f: Tensor, seeds: SeedBatch) -> Tensor:
        """(n *shape) -> (n d); more than `rows` rows go in parts whose activations are computed again going back."""
        if len(f) <= self.rows:
            return self.prior.features(f, seeds, self.encoder)
        parts = [list(range(i, min(i + self.rows, len(f)))) for i in range(0, len(f), self.rows)]
        return torch.cat(
            [checkpoint(self.prior.features, f[p], seeds.take(p), self.encoder, use_reentrant=False) for p in parts]
        )


def ascend(
    objective: Objective, f: Tensor, noise: tuple[Tensor, Tensor], seeds: SeedBatch, settings: GuidanceSettings
) -> tuple[tuple[Tensor, Tensor], Score, Score]:
    """(z, b) <- argmax sum_g w_g S_g, GIF (arXiv 2211.13976) eq. 2: several steps, where the paper's code takes one.

    f (b 1 *shape), noise = z, b (b k *noise_shape) -> each seed's best z, b of all steps by the mean total of its
    siblings, and the scores at the start and at the best: the latter's mean total is never the lower one.
    """
    z, b = (part.clone().requires_grad_() for part in noise)
    optimizer = _optimizer([z, b], settings)
    parents = seeds.repeat(z.shape[1])
    best, start, end = noise, None, None
    for step in range(settings.steps + 1):
        last = step == settings.steps
        # score
        with torch.set_grad_enabled(not last):
            scores = objective(f, z, b, seeds, parents)
        now = {name: score.detach().clone() for name, score in scores.items()}
        # keep the best
        if start is None or end is None:
            start = end = now
        else:
            better = now["total"].mean(1) > end["total"].mean(1)
            best = (_where(better, z, best[0]), _where(better, b, best[1]))
            end = {name: _where(better, score, end[name]) for name, score in now.items()}
        # step
        if not last and scores["total"].requires_grad:
            gradients = torch.autograd.grad(scores["total"].mean(1).sum(), [z, b])
            for part, gradient in zip((z, b), gradients, strict=True):
                part.grad = _direction(gradient, settings.optimizer)
            optimizer.step()
            if settings.keep_norm:
                _shorten((z, b), noise)
    assert start is not None
    assert end is not None
    return best, start, end


def _optimizer(parameters: list[Tensor], settings: GuidanceSettings) -> torch.optim.Optimizer:
    """Both act on each element alone, so that a seed's ascent does not depend on its batch."""
    if settings.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=settings.lr, eps=ADAM_EPS, maximize=True)
    return torch.optim.SGD(parameters, lr=settings.lr, maximize=True)


def _direction(gradient: Tensor, optimizer: str) -> Tensor:
    """The gradient's sign, or (Adam) the gradient at a root mean square of 1 a sibling: (b k ...) -> the same shape."""
    finite = gradient.nan_to_num(0, 0, 0)
    if optimizer == "sign":
        return finite.sign()
    size = finite.square().flatten(2).mean(2).sqrt().clamp(min=torch.finfo(finite.dtype).tiny)
    return finite / size.view(*size.shape, *(1 for _ in finite.shape[2:]))


@torch.no_grad()
def _shorten(parts: Sequence[Tensor], drawn: Sequence[Tensor]) -> None:
    """Brings each sibling of (b k ...) back, in place, to the length at which it was drawn, where it is longer.

    What was drawn as zeros has no length to keep, and is free.
    """
    for part, first in zip(parts, drawn, strict=True):
        length, most = (each.flatten(2).norm(dim=2) for each in (part, first))
        share = (most / length.clamp(min=torch.finfo(part.dtype).tiny)).clamp(max=1)
        share = torch.where(most > 0, share, 1)
        part.mul_(share.view(*share.shape, *(1 for _ in part.shape[2:])))


def _where(rows: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """Rows (b) of `new` where true, else of `old`: (b ...)."""
    return torch.where(rows.view(-1, *(1 for _ in new.shape[1:])), new.detach(), old)
