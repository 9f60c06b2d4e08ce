"""One shard's work, wherever it runs: read the shards it comes from, call the stage, pack what it returns."""

from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock

import numpy as np

from gifcli import packing
from gifcli.checks import Check, make_check
from gifcli.encoders import Encoder, make_encoder
from gifcli.engines import Job, ShardResult
from gifcli.errors import InputError
from gifcli.guides import Weighted, make_guide
from gifcli.guides.classifier import make_classifier
from gifcli.images import fit, read
from gifcli.priors import Prior, PriorSettings, make_prior
from gifcli.recipe import Recipe
from gifcli.records import Failure, Noise, Sample, Seed, Source
from gifcli.rules import Rules, load
from gifcli.shards import ShardId, ShardStore
from gifcli.stages import Tools
from gifcli.stages.extract import Prepared, extract
from gifcli.stages.filter import measure
from gifcli.stages.generate import GenerateSettings, generate
from gifcli.stages.optimize import GuidanceSettings, Work, optimize

READERS = 2
LOADING = Lock()


@dataclass(frozen=True, slots=True)
class StageTask:
    """What one stage does to one shard of a run. `recipe` is resolved: no `auto` is left in what is used here.

    root, source  the run folder and the folder of the originals
    classes       label -> readable name, in label order
    """

    stage: str
    root: Path
    source: Path
    recipe: Recipe
    classes: dict[str, str]
    batch_size: int

    def __call__(self, job: Job, device: str) -> ShardResult:
        """Makes one shard; commits nothing."""
        prior, encoder = load_models(self.recipe, device)
        store = ShardStore(self.root)
        rules = None if self.stage == "extract" else load_rules(store)
        tools = Tools(prior, encoder, rules, self.classes, device, self.batch_size, self.recipe.rng)
        match self.stage:
            case "extract":
                return _extract(job, tools, self.source)
            case "optimize":
                return _optimize(job, tools, store, self.recipe)
            case "generate":
                return _generate(job, tools, store, self.recipe)
            case _:
                return _measure(job, tools, store, make_checks(self.recipe, load_rules(store)))


def make_checks(recipe: Recipe, rules: Rules) -> dict[str, Check]:
    """All checks by name, in the order in which they judge; all measure, the enabled ones judge."""
    return {
        name: make_check(name, {key: value for key, value in section.items() if key != "enabled"}, rules)
        for name, section in recipe.checks.model_dump().items()
    }


def load_rules(store: ShardStore) -> Rules:
    """The run's frozen rules."""
    return load(store.state / "rules")


def load_models(recipe: Recipe, device: str) -> tuple[Prior, Encoder]:
    """Loaded once a process, whichever thread asks first."""
    dtype = recipe.run.dtype
    with LOADING:
        return _prior(prior_settings(recipe), device, dtype), _encoder(recipe.encoder.name, device, dtype)


_prior = lru_cache(maxsize=1)(make_prior)
_encoder = lru_cache(maxsize=1)(make_encoder)


def _extract(job: Job, tools: Tools, source: Path) -> ShardResult:
    with ThreadPoolExecutor(READERS) as pool:
        outcomes = list(pool.map(lambda item: _prepare(item, source, tools.prior), job.items))
    prepared = [outcome for outcome in outcomes if isinstance(outcome, Prepared)]
    failures = [[outcome.path, outcome.reason] for outcome in outcomes if isinstance(outcome, Failure)]
    seeds = list(extract(prepared, tools))
    members = [member for seed in seeds for member in packing.pack_seed(seed)]
    mark = {
        "seeds": [seed.key for seed in seeds],
        "failures": failures,
        "notes": [[image.source.path, note] for image in prepared for note in image.notes],
        "sizes": dict(Counter(f"{image.pixels.shape[1]} x {image.pixels.shape[0]}" for image in prepared)),
    }
    return ShardResult(job.shard, members, len(job.items), mark)


def _prepare(source: Source, folder: Path, prior: Prior) -> Prepared | Failure:
    """Decodes one file and brings it to the prior's working size."""
    try:
        picture = read(folder / source.path, near=prior.working_size)
    except InputError as error:
        return Failure(source.path, str(error))
    size = prior.working_size(picture.width, picture.height)
    return Prepared(source, fit(picture.pixels, *size), picture.width, picture.height, picture.notes)


def _optimize(job: Job, tools: Tools, store: ShardStore, recipe: Recipe) -> ShardResult:
    assert tools.rules is not None
    assert job.shard.attempt is not None
    seeds = read_seeds(store, job.shard.n)
    work = [Work(seeds[key], first, last, job.shard.attempt) for key, first, last in job.items]
    classifier = make_classifier(tools.rules, tools.device)
    guides = [Weighted(guide.name, guide.weight, make_guide(guide.name, classifier)) for guide in recipe.guides]
    noises = list(optimize(work, tools, guides, guidance_settings(recipe)))
    members = [member for noise in noises for member in packing.pack_noise(noise)]
    return ShardResult(job.shard, members, len(noises), {"seeds": [key for key, _, _ in job.items]})


def _generate(job: Job, tools: Tools, store: ShardStore, recipe: Recipe) -> ShardResult:
    seeds = read_seeds(store, job.shard.n)
    noises = {(noise.seed, noise.k): noise for noise in read_noises(store, job.shard)}
    work: list[tuple[Seed, Noise]] = [(seeds[key], noises[key, k]) for key, k in job.items]
    samples = list(generate(work, tools, generate_settings(recipe)))
    members = [member for sample in samples for member in packing.pack_sample(sample)]
    return ShardResult(job.shard, members, len(samples), {"slots": [[sample.seed, sample.k] for sample in samples]})


def _measure(job: Job, tools: Tools, store: ShardStore, checks: dict[str, Check]) -> ShardResult:
    seeds = read_seeds(store, job.shard.n)
    samples = list(packing.unpack_samples(store.read("generate", job.shard)))
    rows = list(measure(samples, seeds, tools, checks))
    columns = {name: np.stack([np.asarray(row[name]) for row in rows]) for name in (rows[0] if rows else {})}
    slots = [[sample.seed, sample.k, sample.attempt] for sample in samples]
    return ShardResult(job.shard, packing.pack_columns(columns), len(samples), {"slots": slots})


def read_seeds(store: ShardStore, n: int, suffixes: tuple[str, ...] = ("",)) -> dict[str, Seed]:
    """The seeds of shard n by key."""
    return {seed.key: seed for seed in packing.unpack_seeds(store.read("extract", ShardId(n), suffixes))}


def read_noises(store: ShardStore, shard: ShardId) -> Iterator[Noise]:
    """The perturbations of all siblings in (n, round, attempt), whichever part they lie in."""
    for part in store.parts("optimize", shard):
        yield from packing.unpack_noises(store.read("optimize", part))


def read_samples(store: ShardStore, shards: Iterable[ShardId], *, images: bool) -> Iterator[Sample]:
    """All samples of the given shards, with or without their image files."""
    for shard in shards:
        yield from packing.unpack_samples(store.read("generate", shard, ("",) if images else (".json",)))


def prior_settings(recipe: Recipe) -> PriorSettings:
    """The prior's settings from a resolved recipe."""
    prior = recipe.prior
    return PriorSettings(
        name=prior.name,
        steps=int(prior.steps),
        strength=float(prior.strength),
        guidance_scale=float(prior.guidance_scale),
        size=recipe.image.size,
        mirror=prior.mirror is True,
        granularity=recipe.guidance.granularity,
    )


def guidance_settings(recipe: Recipe) -> GuidanceSettings:
    """The optimize stage's settings from a resolved recipe."""
    guidance = recipe.guidance
    return GuidanceSettings(
        granularity=guidance.granularity,
        steps=guidance.steps,
        optimizer=guidance.optimizer,
        lr=float(guidance.lr),
        noise_scale=float(guidance.noise_scale),
        eps=float(guidance.eps),
        encoder_size=guidance.encoder_size,
        retreat=guidance.retreat,
    )


def generate_settings(recipe: Recipe) -> GenerateSettings:
    """The generate stage's settings from a resolved recipe."""
    return GenerateSettings(
        prompt=recipe.prior.prompt,
        domains=tuple(recipe.prior.domains),
        adjectives=tuple(recipe.prior.adjectives),
        suffix=f".{recipe.image.format}",
        quality=recipe.image.quality,
        eps=float(recipe.guidance.eps),
        granularity=recipe.guidance.granularity,
        provenance={
            "dtype": recipe.run.dtype,
            "steps": recipe.prior.steps,
            "strength": recipe.prior.strength,
            "guidance_scale": recipe.prior.guidance_scale,
        },
    )
