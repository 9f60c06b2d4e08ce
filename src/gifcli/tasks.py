"""One shard's work, wherever it runs: read the shards it comes from, call the stage, pack what it returns."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from platform import node
from threading import Lock
from typing import Any

import numpy as np

from gifcli import memory_index, models, packing
from gifcli.batching import MOST, PROBE, BatchLimit, CudaMemory
from gifcli.checklist import SEEDS, memory_file, to_measure, to_survey
from gifcli.checks import Check, make_check
from gifcli.devices import helper_threads
from gifcli.encoders import Encoder, make_encoder
from gifcli.engines import Job, ShardResult
from gifcli.engines.pulse import beat
from gifcli.errors import EnvironmentFault, InputError
from gifcli.guides import Weighted, make_guide
from gifcli.guides.classifier import class_prototypes, make_classifier
from gifcli.images import fit, read
from gifcli.memory_index import PriorMemory
from gifcli.priors import Prior, PriorSettings, make_prior
from gifcli.recipe import Recipe
from gifcli.records import Failure, Noise, Seed, Source
from gifcli.rules import Rules, load
from gifcli.safety import load_scorer
from gifcli.shards import ShardId, ShardStore
from gifcli.stages import Tools
from gifcli.stages.extract import Prepared, extract
from gifcli.stages.filter import measure
from gifcli.stages.generate import GenerateSettings, generate
from gifcli.stages.optimize import GuidanceSettings, Work, optimize
from gifcli.stages.steer import Steering, generate_steered
from gifcli.stages.survey import survey

LOADING = Lock()


@dataclass(frozen=True, slots=True)
class StageTask:
    """What one stage does to one shard of a run. `recipe` is resolved: no `auto` is left in what is used here.

    root, source  the run folder and the folder of the originals, absolute: a worker may have another working folder
    classes       label -> readable name, in label order
    batch_size    rows that go through a model together; 0 = as many as fit on the GPU
    """

    stage: str
    root: Path
    source: Path
    recipe: Recipe
    classes: dict[str, str]
    batch_size: int

    def __call__(self, job: Job, device: str) -> ShardResult:
        """Makes one shard; commits nothing.

        Raises:
            EnvironmentFault: this machine does not see the run folder.
        """
        store = ShardStore(self.root)
        if not store.state.is_dir():
            raise EnvironmentFault(
                f"{self.root} is not to be seen from {node()}; put the run folder on storage that all nodes share"
            )
        prior, encoder = load_models(self.recipe, device)
        beat()
        rules = None if self.stage == "extract" else load_rules(store)
        limit = batch_limit(self.stage, device, self.batch_size)
        tools = Tools(prior, encoder, rules, self.classes, device, limit.rows, self.recipe.rng, limit)
        match self.stage:
            case "extract":
                return _extract(job, tools, self.source)
            case "optimize":
                return _optimize(job, tools, store, self.recipe)
            case "generate":
                return _generate(job, tools, store, self.recipe)
            case "survey":
                return _survey(job, tools, store, self)
            case _:
                return _measure(job, tools, store, self.recipe)


def make_checks(recipe: Recipe, rules: Rules) -> dict[str, Check]:
    """All checks by name; they can judge, and those without a model of their own can measure."""
    return {name: make_check(name, settings, rules) for name, settings in _check_settings(recipe).items()}


def make_measures(recipe: Recipe, rules: Rules, encoder: Encoder) -> dict[str, Check]:
    """The checks that measure by name, with their models; the others' columns would cost and not be used."""
    settings = _check_settings(recipe)
    wanted = to_measure(recipe)
    settings["label"]["classify"] = partial(make_classifier, rules)
    if "safety" in wanted:
        settings["safety"]["scorer"] = load_scorer()
    if "memorised" in wanted and (file := memory_file(recipe)):
        settings["memorised"]["memory"] = PriorMemory(_index(file, _encoder_revision(recipe)), encoder.images)
    return {name: make_check(name, settings[name], rules) for name in wanted}


def _check_settings(recipe: Recipe) -> dict[str, dict[str, Any]]:
    sections = recipe.checks.model_dump()
    return {name: {key: section[key] for key in section if key != "enabled"} for name, section in sections.items()}


def _encoder_revision(recipe: Recipe) -> str:
    return models.revision(models.encoder_card(recipe.encoder.name).files)


_index = lru_cache(maxsize=1)(memory_index.load)


def make_guides(recipe: Recipe, tools: Tools) -> list[Weighted]:
    """The terms of the objective."""
    assert tools.rules is not None
    classifier, prototypes = make_classifier(tools.rules, tools.device), class_prototypes(tools.rules, tools.device)
    return [Weighted(each.name, each.weight, make_guide(each.name, classifier, prototypes)) for each in recipe.guides]


def load_rules(store: ShardStore) -> Rules:
    """The run's frozen rules."""
    return load(store.state / "rules")


def load_models(recipe: Recipe, device: str) -> tuple[Prior, Encoder]:
    """Loaded once a process, whichever thread asks first."""
    dtype = recipe.run.dtype
    with LOADING:
        return _prior(prior_settings(recipe), device, dtype), _encoder(recipe.encoder.name, device, dtype)


@lru_cache
def batch_limit(stage: str, device: str, batch_size: int) -> BatchLimit:  # noqa: ARG001 - one limit a stage
    """What this process has learned of the batches that fit, for one stage on one device."""
    turn = _turn(device) if device.startswith("cuda") else nullcontext()
    if batch_size:
        return BatchLimit(batch_size, batch_size, beat=beat, turn=turn)
    return BatchLimit(PROBE, MOST, CudaMemory(device), beat=beat, turn=turn)


@lru_cache
def _turn(device: str) -> Lock:  # noqa: ARG001 - one lock a device
    """Of the threads that share a GPU."""
    return Lock()


_prior = lru_cache(maxsize=1)(make_prior)
_encoder = lru_cache(maxsize=1)(make_encoder)


def _extract(job: Job, tools: Tools, source: Path) -> ShardResult:
    with ThreadPoolExecutor(helper_threads(tools.device)) as pool:
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
    noises = list(optimize(work, tools, make_guides(recipe, tools), guidance_settings(recipe)))
    members = [member for noise in noises for member in packing.pack_noise(noise)]
    return ShardResult(job.shard, members, len(noises), {"seeds": [key for key, _, _ in job.items]})


def _generate(job: Job, tools: Tools, store: ShardStore, recipe: Recipe) -> ShardResult:
    seeds = read_seeds(store, job.shard.n)
    noises = {(noise.seed, noise.k): noise for noise in read_noises(store, job.shard)}
    if recipe.guidance.where == "before":
        work: list[tuple[Seed, Noise]] = [(seeds[key], noises[key, k]) for key, k in job.items]
        samples = list(generate(work, tools, generate_settings(recipe)))
    else:
        siblings: defaultdict[str, list[tuple[Seed, Noise]]] = defaultdict(list)
        for noise in noises.values():
            siblings[noise.seed].append((seeds[noise.seed], noise))
        steering = Steering(make_guides(recipe, tools), guidance_settings(recipe))
        samples = list(generate_steered(siblings, job.items, tools, generate_settings(recipe), steering))
    members = [member for sample in samples for member in packing.pack_sample(sample)]
    return ShardResult(job.shard, members, len(samples), {"slots": [[sample.seed, sample.k] for sample in samples]})


def _survey(job: Job, tools: Tools, store: ShardStore, task: StageTask) -> ShardResult:
    """Items are the keys of seeds in shards of round SEEDS, sources to be decoded in those of round OTHERS."""
    wants = to_survey(task.recipe)[job.shard.round]
    if job.shard.round == SEEDS:
        keys = list(job.items)
        seeds = read_seeds(store, job.shard.n, (".json", ".pixels.png"))
        images = ((key, seeds[key].pixels) for key in keys)
    else:
        keys = [source.key for source in job.items]
        outcomes = (_prepare(source, task.source, tools.prior) for source in job.items)
        images = ((image.source.key, image.pixels) for image in outcomes if isinstance(image, Prepared))
    scorer = load_scorer() if "safety" in wants else None
    rows = list(survey(images, tools, scorer, features="looks" in wants))
    columns = {name: np.stack([np.asarray(row[name]) for row in rows]) for name in (rows[0] if rows else {})}
    return ShardResult(job.shard, packing.pack_columns(columns), len(keys), {"keys": keys, "wants": wants})


def _measure(job: Job, tools: Tools, store: ShardStore, recipe: Recipe) -> ShardResult:
    assert tools.rules is not None
    checks = make_measures(recipe, tools.rules, tools.encoder)
    seeds = read_seeds(store, job.shard.n)
    samples = list(packing.unpack_samples(store.read("generate", job.shard)))
    rows = list(measure(samples, seeds, tools, checks))
    columns = {name: np.stack([np.asarray(row[name]) for row in rows]) for name in (rows[0] if rows else {})}
    features = [packing.pack_features(columns.pop("feature"))] if "feature" in columns else []
    slots = [[sample.seed, sample.k, sample.attempt] for sample in samples]
    mark = {"measured": to_measure(recipe), "slots": slots}
    return ShardResult(job.shard, [*packing.pack_columns(columns), *features], len(samples), mark)


def read_seeds(store: ShardStore, n: int, suffixes: tuple[str, ...] = ("",)) -> dict[str, Seed]:
    """The seeds of shard n by key."""
    return {seed.key: seed for seed in packing.unpack_seeds(store.read("extract", ShardId(n), suffixes))}


def read_noises(store: ShardStore, shard: ShardId) -> Iterator[Noise]:
    """The perturbations of all siblings in (n, round, attempt), whichever part they lie in."""
    for part in store.parts("optimize", shard):
        yield from packing.unpack_noises(store.read("optimize", part))


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
        scheduler=prior.scheduler,
        tiny=prior.tiny,
        decoder=prior.decoder,
        lora=prior.lora,
        lora_scale=prior.lora_scale,
        noise_level=prior.noise_level,
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
        where=guidance.where,
        at=tuple(guidance.at),
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
