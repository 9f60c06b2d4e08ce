"""Optimize: seeds -> noises, by guided ascent on K perturbations of each seed's latent."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from gifcli.batches import SeedBatch, seed_batch
from gifcli.encoders import Encoder
from gifcli.errors import UsageError
from gifcli.guides import Weighted
from gifcli.noise import NoiseSource, Slot
from gifcli.perturb import noise_shape, perturb
from gifcli.priors import Prior
from gifcli.records import Noise, Scores, Seed
from gifcli.stages import Tools

Score = dict[str, Tensor]
"""Guide name (and "total", the weighted sum) -> (b k)."""


ADAM_EPS = 0.2
"""Beside gradients of size 1: with Adam's usual 1e-8 its first step is the sign, and a gradient near 0 turns on its last
bit; so, other batch sizes change z and b by about 1e-6 instead of 1e-3, and the gain is the same."""


@dataclass(frozen=True, slots=True)
class GuidanceSettings:
    """How the noise is guided.

    granularity  "channel", "element", "token" or "vector": what shares one z and one b
    steps        ascent steps; 0 = unguided, with the same initial noise
    optimizer    "adam" or "sign" (of the gradient)         lr  length of a step
    noise_scale  of the initial z ~ U(0, 1) and b ~ N(0, 1)
    eps          radius of the ball; like lr and noise_scale in units of the latent's standard deviation
    encoder_size side in pixels at which the guide looks, None = the encoder's own
    """

    granularity: str = "channel"
    steps: int = 5
    optimizer: str = "adam"
    lr: float = 0.1
    noise_scale: float = 0.3
    eps: float = 0.8
    encoder_size: int | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """The siblings k = first..last-1 of a seed in one attempt, optimised jointly."""

    seed: Seed
    first: int
    last: int
    attempt: int


@dataclass(slots=True)
class AtSize:
    """An encoder that looks at another size than its own."""

    encoder: Encoder
    size: int
    name: str
    dim: int

    def images(self, images: Tensor, size: int | None = None) -> Tensor:
        """(b 3 h w) in [-1, 1] -> (b d) float32, unit norm, differentiable."""
        return self.encoder.images(images, size or self.size)


@dataclass(frozen=True, slots=True)
class Objective:
    """sum_g w_g S_g of perturbed latents: what guidance ascends."""

    prior: Prior
    encoder: Encoder
    guides: Sequence[Weighted]
    eps: float
    rows: int

    def __call__(self, f: Tensor, z: Tensor, b: Tensor, seeds: SeedBatch) -> Score:
        """Latents f (b 1 *shape), z and b (b k *noise_shape) -> each guide's score and the total, (b k)."""
        k = z.shape[1]
        imagined = perturb(f, z, b, self.eps).flatten(0, 1)
        v = self._features(imagined, seeds.repeat(k)).view(len(seeds), k, -1)
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


def optimize(
    work: Sequence[Work], tools: Tools, guides: Sequence[Weighted], settings: GuidanceSettings
) -> Iterator[Noise]:
    """Guided noise of every sibling, in the order of `work`.

    The noise drawn depends on rng and slot only, and the scores on nothing but rounding of the batch size.

    Raises:
        UsageError: the prior has no such granularity, or `optimizer` is unknown.
    """
    _check(tools.prior, settings)
    done: dict[int, list[Noise]] = {}
    for indices in _batches(work, tools.batch_size):
        noises = _optimize([work[i] for i in indices], tools, guides, settings)
        done |= dict(zip(indices, noises, strict=True))
    for i in range(len(work)):
        yield from done[i]


def ascend(
    objective: Objective, f: Tensor, noise: tuple[Tensor, Tensor], seeds: SeedBatch, settings: GuidanceSettings
) -> tuple[tuple[Tensor, Tensor], Score, Score]:
    """(z, b) <- argmax sum_g w_g S_g, GIF (arXiv 2211.13976) eq. 2: several steps, where the paper's code takes one.

    f (b 1 *shape), noise = z, b (b k *noise_shape) -> each seed's best z, b of all steps by the mean total of its
    siblings, and the scores at the start and at the best: the latter's mean total is never the lower one.
    """
    z, b = (part.clone().requires_grad_() for part in noise)
    optimizer = _optimizer([z, b], settings)
    best, start, end = noise, None, None
    for step in range(settings.steps + 1):
        last = step == settings.steps
        # score
        with torch.set_grad_enabled(not last):
            scores = objective(f, z, b, seeds)
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
    assert start is not None
    assert end is not None
    return best, start, end


def _optimize(
    work: list[Work], tools: Tools, guides: Sequence[Weighted], settings: GuidanceSettings
) -> list[list[Noise]]:
    """Noises of seeds of one working size and equally many siblings."""
    seeds = seed_batch([w.seed for w in work], dict(tools.classes), tools.device)
    f = torch.from_numpy(np.stack([w.seed.latent for w in work])).to(tools.device).float()
    noise = _initial(work, tools, settings, noise_shape(f.shape[1:], settings.granularity))
    if not guides:
        return _noises(work, noise, {}, {})
    size = settings.encoder_size
    encoder = tools.encoder
    if size is not None:
        encoder = AtSize(encoder, size, encoder.name, encoder.dim)
    with torch.no_grad():  # the seed is seen as its siblings are: through the prior, at the guide's size
        seeds = replace(seeds, features=tools.prior.features(f, seeds, encoder))
    objective = Objective(tools.prior, encoder, guides, settings.eps, tools.batch_size)
    return _noises(work, *ascend(objective, f[:, None], noise, seeds, settings))


def _initial(
    work: list[Work], tools: Tools, settings: GuidanceSettings, shape: tuple[int, ...]
) -> tuple[Tensor, Tensor]:
    """Draws z ~ U(0, 1) and b ~ N(0, 1), scaled: (b k *shape) each, from each slot's own generators."""
    slots = [Slot(w.seed.key, k, w.attempt) for w in work for k in range(w.first, w.last)]
    source = NoiseSource(tools.rng, slots)
    drawn = source.uniform("z", shape), source.normal("b", shape)
    z, b = ((settings.noise_scale * d).to(tools.device).view(len(work), -1, *shape) for d in drawn)
    return z, b


def _noises(work: list[Work], noise: tuple[Tensor, Tensor], start: Score, end: Score) -> list[list[Noise]]:
    z, b = (part.detach().cpu().numpy() for part in noise)
    return [
        [
            Noise(w.seed.key, k, w.attempt, z[i, j], b[i, j], _at(start, i, j), _at(end, i, j))
            for j, k in enumerate(range(w.first, w.last))
        ]
        for i, w in enumerate(work)
    ]


def _at(score: Score, i: int, j: int) -> Scores:
    """The scores of sibling j of seed i, to six digits."""
    return {name: round(float(values[i, j]), 6) for name, values in score.items()}


def _batches(work: Sequence[Work], rows: int) -> Iterator[list[int]]:
    """Places in `work` of equal working size, latent shape and K, at most `rows` siblings at a time, at least one seed."""

    def kind(i: int) -> tuple[tuple[int, ...], tuple[int, ...], int]:
        return work[i].seed.pixels.shape, work[i].seed.latent.shape, work[i].last - work[i].first

    for (_, _, k), group in groupby(sorted(range(len(work)), key=kind), key=kind):
        indices, seeds = list(group), max(1, rows // max(1, k))
        yield from (indices[i : i + seeds] for i in range(0, len(indices), seeds))


def _check(prior: Prior, settings: GuidanceSettings) -> None:
    if settings.granularity not in prior.granularities:
        known = ", ".join(sorted(prior.granularities))
        raise UsageError(f"guidance.granularity: prior {prior.name} knows {known}; found {settings.granularity!r}")
    if settings.optimizer not in ("adam", "sign"):
        raise UsageError(f"guidance.optimizer: expected adam or sign; found {settings.optimizer!r}")


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


def _where(rows: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """Rows (b) of `new` where true, else of `old`: (b ...)."""
    return torch.where(rows.view(-1, *(1 for _ in new.shape[1:])), new.detach(), old)
