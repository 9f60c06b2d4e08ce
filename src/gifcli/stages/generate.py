"""generate: noises -> samples. Batches are filled across seeds; encoding the files overlaps with sampling."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gifcli import __version__
from gifcli.compute.batches import SeedBatch, seed_batch
from gifcli.compute.batching import BatchLimit, batched
from gifcli.compute.devices import helper_threads
from gifcli.compute.transfer import Landing, land, upload
from gifcli.guidance.perturb import perturb
from gifcli.images.marks import encode_image
from gifcli.noise import NoiseSource, Slot, generator
from gifcli.priors import Condition, Prior
from gifcli.records import Array, Noise, Sample, Seed
from gifcli.stages import Tools


@dataclass(frozen=True, slots=True)
class GenerateSettings:
    """How noises become image files.

    prompt, domains, adjectives  template with {label}, {domain}, {adjective}, and the texts to draw the last two from
    suffix, quality              of the image files, see `encode_image`
    eps, granularity             of the perturbation, in standard deviations of the latent
    provenance                   goes into each sample's `info` as it is, e.g. dtype, steps, strength, the prior's name
    """

    prompt: str
    domains: tuple[str, ...]
    adjectives: tuple[str, ...]
    suffix: str
    quality: int
    eps: float
    granularity: str
    provenance: Mapping[str, Any] = field(default_factory=dict)


Sampled = Callable[[Sequence[tuple[Seed, Noise]], Tools, GenerateSettings], Iterator[tuple[list[int], Landing]]]
"""The work in batches: places in it, and their pixels."""


def generate(
    work: Sequence[tuple[Seed, Noise]], tools: Tools, settings: GenerateSettings, sampled: Sampled | None = None
) -> Iterator[Sample]:
    """One sample for each (seed, noise), in the order of `work`, whatever the batch size; `sampled` makes the pixels."""
    ready: dict[int, Sample] = {}
    following = 0
    with ThreadPoolExecutor(helper_threads(tools.device)) as pool:
        pending: list[tuple[int, Future[Sample]]] = []
        end: tuple[list[int], Landing | None] = [], None
        for places, landing in chain((sampled or _sampled)(work, tools, settings), [end]):
            ready |= {place: sample.result() for place, sample in pending}  # no more than two batches are under way
            pending = [
                (place, pool.submit(_encode, work[place], (landing, row), tools, settings))
                for row, place in enumerate(places)
                if landing
            ]
            while following in ready:
                yield ready.pop(following)
                following += 1


def prompt_of(slot: Slot, label: str, rng: int, settings: GenerateSettings) -> str:
    """The slot's prompt; its domain and its adjective are drawn from its own generators."""

    def draw(purpose: str, texts: Sequence[str]) -> str:
        place = torch.rand(1, generator=generator(rng, slot, purpose)).item() * len(texts)
        return texts[int(place)] if texts else ""

    domain, adjective = draw("domain", settings.domains), draw("adjective", settings.adjectives)
    return " ".join(settings.prompt.format(label=label, domain=domain, adjective=adjective).split())


def _sampled(
    work: Sequence[tuple[Seed, Noise]], tools: Tools, settings: GenerateSettings
) -> Iterator[tuple[list[int], Landing]]:
    """Places in `work` of one working size, as many as go together, and their pixels; until all are done."""
    groups: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
    for place, (seed, _) in enumerate(work):
        groups[seed.pixels.shape].append(place)
    limit = tools.limit or BatchLimit(tools.batch_size)
    conditions = Conditions(tools.prior)
    for places in groups.values():
        yield from batched(
            places, limit, lambda batch, _: _sample([work[i] for i in batch], tools, settings, conditions)
        )


@torch.inference_mode()
def _sample(
    batch: Sequence[tuple[Seed, Noise]], tools: Tools, settings: GenerateSettings, conditions: "Conditions"
) -> Landing:
    """-> pixels (b h w 3) uint8; what is not a number comes out black, for the checks to find."""
    distinct = {seed.key: seed for seed, _ in batch}
    places = {key: place for place, key in enumerate(distinct)}
    parents = seed_batch(list(distinct.values()), dict(tools.classes), tools.device)
    slots = [Slot(noise.seed, noise.k, noise.attempt) for _, noise in batch]
    prompts = [prompt_for(item, tools, settings) for item in batch]
    f, z, b = (
        upload(np.stack(arrays), tools.device)
        for arrays in (
            [seed.latent for seed, _ in batch],
            [noise.z for _, noise in batch],
            [noise.b for _, noise in batch],
        )
    )
    rows = [places[seed.key] for seed, _ in batch]
    condition = conditions.of(parents, rows, prompts)
    images: Tensor = tools.prior.sample(
        perturb(f, z, b, settings.eps), parents.take(rows), condition, NoiseSource(tools.rng, slots)
    )
    return land(images.nan_to_num(nan=-1.0))


@dataclass(slots=True)
class Conditions:
    """The condition of each sample, computed once for each seed and prompt: siblings may lie in two batches.

    known  of the batch before: (seed, prompt) -> one row; siblings follow one another, so none is asked for later
    """

    prior: Prior
    known: dict[tuple[str, str], Condition] = field(default_factory=dict)

    def of(self, parents: SeedBatch, rows: list[int], prompts: list[str]) -> Condition:
        """One row a sample: that of `parents` at its place in `rows`, under its prompt."""
        places = {(parents.keys[row], prompt): row for row, prompt in zip(rows, prompts, strict=True)}
        new = [pair for pair in places if pair not in self.known]
        if new:
            made = self.prior.condition([prompt for _, prompt in new], parents.take([places[pair] for pair in new]))
            self.known |= {pair: made.take([i]) for i, pair in enumerate(new)}
        self.known = {pair: self.known[pair] for pair in places}
        return _joined([self.known[parents.keys[row], prompt] for row, prompt in zip(rows, prompts, strict=True)])


def _joined(conditions: Sequence[Condition]) -> Condition:
    names = conditions[0].tensors
    tensors = {name: torch.cat([condition.tensors[name] for condition in conditions]) for name in names}
    return Condition(tensors, [prompt for condition in conditions for prompt in condition.prompts])


def prompt_for(item: tuple[Seed, Noise], tools: Tools, settings: GenerateSettings) -> str:
    """The prompt of one sample."""
    seed, noise = item
    slot = Slot(noise.seed, noise.k, noise.attempt)
    return prompt_of(slot, tools.classes.get(seed.label, seed.label), tools.rng, settings)


def _encode(item: tuple[Seed, Noise], place: tuple[Landing, int], tools: Tools, settings: GenerateSettings) -> Sample:
    """Row `place` of a batch's pixels -> a marked image file with its provenance."""
    (seed, noise), (landing, row) = item, place
    pixels: Array = landing.pixels()[row]
    info = {
        "prior": tools.prior.name,
        **settings.provenance,
        "revision": tools.prior.revision,
        "prompt": prompt_for((seed, noise), tools, settings),
        "rng": tools.rng,
        "software": f"gifcli {__version__}",
    }
    key = f"{noise.seed}-k{noise.k}-a{noise.attempt}"
    marks = {"prior": info["prior"], "parent_sha256": seed.sha256, "key": key}
    image = encode_image(pixels, settings.suffix, settings.quality, marks)
    height, width = pixels.shape[:2]
    return Sample(noise.seed, noise.k, noise.attempt, image, settings.suffix, width, height, info)
