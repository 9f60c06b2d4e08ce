"""Guidance inside generate: siblings are denoised together, and nudged on the way (`during`) or at its end (`after`).

`after` is what the GIF authors' code does: (z, b) on the finished latent, just before it is decoded. `during` does the
same to the image that is predicted at some points of the denoising (DistDiff, NeurIPS 2024).
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from gifcli.compute.batches import SeedBatch, seed_batch
from gifcli.compute.batching import BatchLimit, batched
from gifcli.compute.transfer import Landing, land, upload
from gifcli.encoders import Encoder
from gifcli.guidance.ascent import AtSize, GuidanceSettings, Objective, Score, ascend
from gifcli.guidance.perturb import perturb
from gifcli.guides import Weighted
from gifcli.noise import NoiseSource, Slot
from gifcli.records import Noise, Sample, Scores, Seed
from gifcli.stages import Tools
from gifcli.stages.generate import Conditions, GenerateSettings, generate, prompt_for

TOGETHER = 8
"""Siblings that are guided jointly, at most: they are denoised side by side, whatever the batch size."""

Item = tuple[Seed, Noise]


@dataclass(frozen=True, slots=True)
class Steering:
    """What guides, and how; `scores` collects what it came to: slot -> scores at the start and at the end."""

    guides: Sequence[Weighted]
    settings: GuidanceSettings
    scores: dict[Slot, tuple[Scores, Scores]] = field(default_factory=dict)


def generate_steered(
    siblings: Mapping[str, Sequence[Item]],
    owed: Sequence[tuple[str, int]],
    tools: Tools,
    settings: GenerateSettings,
    steering: Steering,
) -> Iterator[Sample]:
    """One sample for each owed (seed, k), in that order.

    `siblings` holds all noises of each seed: they are sampled together even where only some are owed, so that an image
    does not depend on what became of the others.
    """
    work = [item for key in dict.fromkeys(key for key, _ in owed) for item in siblings[key]]
    made: dict[tuple[str, int], Sample] = {}
    wanted = set(owed)
    for sample in generate(work, tools, settings, partial(_sampled, steering=steering)):
        if (sample.seed, sample.k) in wanted:
            start, end = steering.scores.get(Slot(sample.seed, sample.k, sample.attempt), ({}, {}))
            info = {**sample.info, "scores_start": start, "scores_end": end}
            made[sample.seed, sample.k] = replace(sample, info=info)
    yield from (made[slot] for slot in owed)


def _sampled(
    work: Sequence[Item], tools: Tools, settings: GenerateSettings, steering: Steering
) -> Iterator[tuple[list[int], Landing]]:
    """Places in `work`, whole groups of siblings together, and their pixels; until all are done."""
    kinds: defaultdict[tuple[tuple[int, ...], int], list[list[int]]] = defaultdict(list)
    for group in _groups(work):
        kinds[work[group[0]][0].pixels.shape, len(group)].append(group)
    limit = tools.limit or BatchLimit(tools.batch_size)
    conditions = Conditions(tools.prior)
    for (_, k), groups in kinds.items():

        def together(batch: list[int], rows: int, groups: list[list[int]] = groups) -> Landing:
            items = [work[place] for i in batch for place in groups[i]]
            return _sample(items, replace(tools, batch_size=rows), settings, (conditions, steering, len(batch)))

        for batch, landing in batched(range(len(groups)), limit, together, rows_each=k):
            yield [place for i in batch for place in groups[i]], landing


def _groups(work: Sequence[Item]) -> list[list[int]]:
    """Places of the siblings of each seed, at most TOGETHER in a group, by k."""
    places: defaultdict[str, list[int]] = defaultdict(list)
    for place in sorted(range(len(work)), key=lambda i: work[i][1].k):
        places[work[place][0].key].append(place)
    return [each[i : i + TOGETHER] for each in places.values() for i in range(0, len(each), TOGETHER)]


@torch.no_grad()
def _sample(
    items: Sequence[Item], tools: Tools, settings: GenerateSettings, how: tuple[Conditions, Steering, int]
) -> Landing:
    """Pixels (n h w 3) uint8 of n = b k siblings, seed by seed; what is not a number comes out black."""
    conditions, steering, b = how
    k = len(items) // b
    seeds = seed_batch([seed for seed, _ in items[::k]], dict(tools.classes), tools.device)
    parents = seeds.repeat(k)
    slots = [Slot(noise.seed, noise.k, noise.attempt) for _, noise in items]
    prompts = [prompt_for(item, tools, settings) for item in items]
    condition = conditions.of(seeds, [i // k for i in range(len(items))], prompts)
    f = upload(np.stack([seed.latent for seed, _ in items]), tools.device)
    noise = _stacked(items, tools.device, b)
    ascent = Ascent(tools, steering, seeds, f.view(b, k, *f.shape[1:])[:, 0], noise)
    images = tools.prior.sample(f, parents, condition, NoiseSource(tools.rng, slots), ascent)
    for n, slot in enumerate(slots):
        steering.scores[slot] = _at(ascent.start, n // k, n % k), _at(ascent.end, n // k, n % k)
    return land(images.nan_to_num(nan=-1.0))


class Ascent:
    """A `Steer`: perturbs x0 by (z, b), which follow the guides uphill, at the chosen steps.

    The first of them starts from the noises of optimize, later ones from nothing.
    """

    def __init__(
        self, tools: Tools, steering: Steering, seeds: SeedBatch, f: Tensor, noise: tuple[Tensor, Tensor]
    ) -> None:
        settings, encoder = steering.settings, tools.encoder
        size = settings.encoder_size
        looking: Encoder = encoder if size is None else AtSize(encoder, size, encoder.name, encoder.dim)
        # the seed is seen as its siblings are: through the prior, at the guide's size
        self.seeds = replace(seeds, features=tools.prior.features(f, seeds, looking))
        self.objective = Objective(tools.prior, looking, steering.guides, settings.eps, tools.batch_size)
        self.settings, self.noise = settings, noise
        self.start: Score = {}
        self.end: Score = {}

    def __call__(self, x0: Tensor, step: int, steps: int) -> Tensor:
        """x0 (b*k *shape) in standard deviations of the latent -> nudged, or x0 itself."""
        if step not in steps_of(self.settings.where, self.settings.at, steps):
            return x0
        z, b = self.noise
        f = x0.float().view(*z.shape[:2], *x0.shape[1:])
        if self.objective.guides:
            with torch.enable_grad():  # the sampler around this keeps none
                (z, b), start, self.end = ascend(self.objective, f, (z, b), self.seeds, self.settings)
            self.start = self.start or start
        self.noise = torch.zeros_like(z), torch.zeros_like(b)
        return perturb(f, z, b, self.settings.eps).flatten(0, 1)


def steps_of(where: str, at: Sequence[float], steps: int) -> set[int]:
    """The steps at which to guide: those that begin at the given points of the way, or (`after`) behind the last."""
    return {steps} if where == "after" else {min(steps - 1, int(point * steps)) for point in at}


def _stacked(items: Sequence[Item], device: str, b: int) -> tuple[Tensor, Tensor]:
    """Z and b, (b k *shape) each."""
    arrays: list[Callable[[Noise], np.ndarray]] = [lambda noise: noise.z, lambda noise: noise.b]
    first, second = (upload(np.stack([of(noise) for _, noise in items]), device) for of in arrays)
    return first.view(b, -1, *first.shape[1:]), second.view(b, -1, *second.shape[1:])


def _at(score: Score, i: int, j: int) -> Scores:
    return {name: round(float(values[i, j]), 6) for name, values in score.items()}
