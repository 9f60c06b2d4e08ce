"""Optimize: seeds -> noises, by guided ascent on K perturbations of each seed's latent."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from gifcli.compute.batches import seed_batch
from gifcli.compute.batching import BatchLimit, batched
from gifcli.errors import UsageError
from gifcli.guidance.ascent import AtSize, GuidanceSettings, Objective, Score, ascend
from gifcli.guidance.perturb import noise_shape
from gifcli.guides import Weighted
from gifcli.noise import NoiseSource, Slot
from gifcli.priors import Prior
from gifcli.records import Noise, Scores, Seed
from gifcli.stages import Tools

__all__ = ["GuidanceSettings", "Work", "optimize"]


@dataclass(frozen=True, slots=True)
class Work:
    """The siblings k = first..last-1 of a seed in one attempt, optimised jointly."""

    seed: Seed
    first: int
    last: int
    attempt: int


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
    limit = tools.limit or BatchLimit(tools.batch_size)

    def optimized(batch: list[int], rows: int) -> list[list[Noise]]:
        return _optimize([work[i] for i in batch], replace(tools, batch_size=rows), guides, settings)

    for siblings, group in _groups(work):
        for batch, noises in batched(group, limit, optimized, rows_each=siblings):
            done |= dict(zip(batch, noises, strict=True))
    for i in range(len(work)):
        yield from done[i]


def _optimize(
    work: list[Work], tools: Tools, guides: Sequence[Weighted], settings: GuidanceSettings
) -> list[list[Noise]]:
    """Noises of seeds of one working size and equally many siblings."""
    seeds = seed_batch([w.seed for w in work], dict(tools.classes), tools.device)
    f = torch.from_numpy(np.stack([w.seed.latent for w in work])).to(tools.device).float()
    noise = _initial(work, tools, settings, noise_shape(f.shape[1:], settings.granularity))
    if not guides or settings.where != "before":  # else generate guides, from this noise
        return _noises(work, noise, {}, {})
    size = settings.encoder_size
    encoder = tools.encoder
    if size is not None:
        encoder = AtSize(encoder, size, encoder.name, encoder.dim)
    with torch.no_grad():  # the seed is seen as its siblings are: through the prior, at the guide's size
        seeds = replace(seeds, features=tools.prior.features(f, seeds, encoder))
    objective = Objective(tools.prior, encoder, guides, settings.eps, tools.batch_size)
    return _noises(work, *ascend(objective, f[:, None], noise, seeds, settings))


def reach(retreat: float, attempt: int) -> float:
    """The share of the noise that an attempt starts with: 1, r, 1, r^2, 1, r^3, ..."""
    return retreat ** ((attempt + 1) // 2) if attempt % 2 else 1.0


def _initial(
    work: list[Work], tools: Tools, settings: GuidanceSettings, shape: tuple[int, ...]
) -> tuple[Tensor, Tensor]:
    """Draws z ~ U(0, 1) and b ~ N(0, 1), scaled: (b k *shape) each, from each slot's own generators.

    Every other try starts nearer the seed, and the next one as far out as the first: a slot that was rejected as too far
    from its class is kept closer in, one that hardly differed from its seed is not.
    """
    slots = [Slot(w.seed.key, k, w.attempt) for w in work for k in range(w.first, w.last)]
    source = NoiseSource(tools.rng, slots)
    drawn = source.uniform("z", shape), source.normal("b", shape)
    scales = torch.tensor([settings.noise_scale * reach(settings.retreat, slot.attempt) for slot in slots])
    scales = scales.view(-1, *(1 for _ in shape))
    z, b = ((scales * d).to(tools.device).view(len(work), -1, *shape) for d in drawn)
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


def _groups(work: Sequence[Work]) -> Iterator[tuple[int, list[int]]]:
    """K, and the places in `work` of that K and of equal working size and latent shape."""

    def kind(i: int) -> tuple[tuple[int, ...], tuple[int, ...], int]:
        return work[i].seed.pixels.shape, work[i].seed.latent.shape, work[i].last - work[i].first

    for (_, _, k), group in groupby(sorted(range(len(work)), key=kind), key=kind):
        yield k, list(group)


def _check(prior: Prior, settings: GuidanceSettings) -> None:
    if settings.granularity not in prior.granularities:
        known = ", ".join(sorted(prior.granularities))
        raise UsageError(f"guidance.granularity: prior {prior.name} knows {known}; found {settings.granularity!r}")
    if settings.optimizer not in ("adam", "sign"):
        raise UsageError(f"guidance.optimizer: expected adam or sign; found {settings.optimizer!r}")
