"""generate: noises -> samples. Batches are filled across seeds; encoding the files overlaps with sampling."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gifcli import __version__
from gifcli.batches import SeedBatch, seed_batch, tensor_to_pixels
from gifcli.marks import encode_image
from gifcli.noise import NoiseSource, Slot, generator
from gifcli.perturb import perturb
from gifcli.priors import Condition, Prior
from gifcli.records import Array, Noise, Sample, Seed
from gifcli.stages import Tools

ENCODERS = 2
"""Threads that encode image files."""


@dataclass(frozen=True, slots=True)
class GenerateSettings:
    """How noises become image files.

    prompt, domains, adjectives  template with {label}, {domain}, {adjective}, and the texts to draw the last two from
    suffix, quality              of the image files, see `encode_image`
    eps, granularity             of the perturbation, in standard deviations of the latent
    provenance                   goes into each sample's `info` as it is, e.g. dtype, steps, strength, guidance_scale
    """

    prompt: str
    domains: tuple[str, ...]
    adjectives: tuple[str, ...]
    suffix: str
    quality: int
    eps: float
    granularity: str
    provenance: Mapping[str, Any] = field(default_factory=dict)


def generate(work: Sequence[tuple[Seed, Noise]], tools: Tools, settings: GenerateSettings) -> Iterator[Sample]:
    """One sample for each (seed, noise), in the order of `work`, whatever the batch size."""
    ready: dict[int, Sample] = {}
    following = 0
    with ThreadPoolExecutor(ENCODERS) as pool:
        pending: list[tuple[int, Future[Sample]]] = []
        for places in [*_batches(work, tools.batch_size), []]:
            batch = [work[place] for place in places]
            images: Sequence[Array] = list(_sample(batch, tools, settings)) if batch else []
            ready |= {place: sample.result() for place, sample in pending}
            pending = [
                (place, pool.submit(_encode, *item, pixels, tools, settings))
                for place, item, pixels in zip(places, batch, images, strict=True)
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


def _batches(work: Sequence[tuple[Seed, Noise]], size: int) -> list[list[int]]:
    """Places in `work`, grouped by working size, at most `size` together."""
    groups: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
    for place, (seed, _) in enumerate(work):
        groups[seed.pixels.shape].append(place)
    return [places[start : start + size] for places in groups.values() for start in range(0, len(places), size)]


@torch.inference_mode()
def _sample(batch: Sequence[tuple[Seed, Noise]], tools: Tools, settings: GenerateSettings) -> Array:
    """-> (b h w 3) uint8; what is not a number comes out black, for the checks to find."""
    distinct = {seed.key: seed for seed, _ in batch}
    places = {key: place for place, key in enumerate(distinct)}
    parents = seed_batch(list(distinct.values()), dict(tools.classes), tools.device)
    slots = [Slot(noise.seed, noise.k, noise.attempt) for _, noise in batch]
    prompts = [_prompt(item, tools, settings) for item in batch]
    f, z, b = (
        torch.from_numpy(np.stack(arrays)).to(tools.device)
        for arrays in (
            [seed.latent for seed, _ in batch],
            [noise.z for _, noise in batch],
            [noise.b for _, noise in batch],
        )
    )
    rows = [places[seed.key] for seed, _ in batch]
    condition = _condition(tools.prior, parents, rows, prompts)
    images: Tensor = tools.prior.sample(
        perturb(f, z, b, settings.eps), parents.take(rows), condition, NoiseSource(tools.rng, slots)
    )
    return tensor_to_pixels(images.nan_to_num(nan=-1.0))


def _condition(prior: Prior, parents: SeedBatch, rows: list[int], prompts: list[str]) -> Condition:
    """The condition of each sample, computed once for each seed and prompt."""
    pairs = list(dict.fromkeys(zip(rows, prompts, strict=True)))
    place = {pair: i for i, pair in enumerate(pairs)}
    condition = prior.condition([prompt for _, prompt in pairs], parents.take([row for row, _ in pairs]))
    return condition.take([place[pair] for pair in zip(rows, prompts, strict=True)])


def _prompt(item: tuple[Seed, Noise], tools: Tools, settings: GenerateSettings) -> str:
    seed, noise = item
    slot = Slot(noise.seed, noise.k, noise.attempt)
    return prompt_of(slot, tools.classes.get(seed.label, seed.label), tools.rng, settings)


def _encode(seed: Seed, noise: Noise, pixels: Array, tools: Tools, settings: GenerateSettings) -> Sample:
    """Pixels (h w 3) uint8 -> a marked image file with its provenance."""
    info = {
        **settings.provenance,
        "prior": tools.prior.name,
        "revision": tools.prior.revision,
        "prompt": _prompt((seed, noise), tools, settings),
        "rng": tools.rng,
        "software": f"gifcli {__version__}",
    }
    key = f"{noise.seed}-k{noise.k}-a{noise.attempt}"
    marks = {"prior": tools.prior.name, "parent_sha256": seed.sha256, "key": key}
    image = encode_image(pixels, settings.suffix, settings.quality, marks)
    height, width = pixels.shape[:2]
    return Sample(noise.seed, noise.k, noise.attempt, image, settings.suffix, width, height, info)
