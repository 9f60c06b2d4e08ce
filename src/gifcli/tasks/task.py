"""One shard's work, wherever it runs: read the shards it comes from, call the stage, pack what it returns."""

from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from platform import node

import numpy as np

from gifcli.compute.devices import helper_threads
from gifcli.engines import Job, ShardResult
from gifcli.engines.pulse import beat
from gifcli.errors import EnvironmentFault, InputError
from gifcli.images.reading import fit, read
from gifcli.judge.checklist import SAMPLES, SEEDS, Checklist, agreed, checklist
from gifcli.judge.safety import load_scorer
from gifcli.priors import Prior
from gifcli.recipe.recipe import Recipe
from gifcli.records import Failure, Noise, Seed, Source
from gifcli.stages import Tools
from gifcli.stages.extract import Prepared, extract
from gifcli.stages.filter import measure
from gifcli.stages.generate import generate
from gifcli.stages.optimize import Work, optimize
from gifcli.stages.steer import Steering, generate_steered
from gifcli.stages.survey import survey
from gifcli.state import packing
from gifcli.state.shards import ShardStore
from gifcli.tasks.arguments import generate_settings, guidance_settings
from gifcli.tasks.models import batch_limit, load_models
from gifcli.tasks.parts import make_guides, make_measures
from gifcli.tasks.reading import load_rules, read_noises, read_seeds


@dataclass(frozen=True, slots=True)
class StageTask:
    """What one stage does to one shard of a run. `recipe` is resolved: no `auto` is left in what is used here.

    root, source  the run folder and the folder of the originals, absolute: a worker may have another working folder
    classes       label -> readable name, in label order
    batch_size    rows that go through a model together; 0 = as many as fit on the GPU
    checklist     what filter and survey are to measure, as the run's own machine has it
    """

    stage: str
    root: Path
    source: Path
    recipe: Recipe
    classes: dict[str, str]
    batch_size: int
    checklist: Checklist = field(default_factory=dict)

    def __call__(self, job: Job, device: str) -> ShardResult:
        """Makes one shard; commits nothing.

        Raises:
            EnvironmentFault: this machine does not see the run folder, or has other models than the checklist names.
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
                return _measure(job, tools, store, self)


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
    place = job.shard.round
    wants = agreed(task.checklist[place], checklist(task.recipe)[place])
    if place == SEEDS:
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
    return ShardResult(job.shard, packing.pack_columns(columns), len(keys), {"keys": keys, "measured": wants})


def _measure(job: Job, tools: Tools, store: ShardStore, task: StageTask) -> ShardResult:
    assert tools.rules is not None
    wants = agreed(task.checklist[SAMPLES], checklist(task.recipe)[SAMPLES])
    checks = make_measures(wants, task.recipe, tools.rules, tools.encoder)
    seeds = read_seeds(store, job.shard.n)
    samples = list(packing.unpack_samples(store.read("generate", job.shard)))
    rows = list(measure(samples, seeds, tools, checks))
    columns = {name: np.stack([np.asarray(row[name]) for row in rows]) for name in (rows[0] if rows else {})}
    features = [packing.pack_features(columns.pop("feature"))] if "feature" in columns else []
    slots = [[sample.seed, sample.k, sample.attempt] for sample in samples]
    mark = {"measured": wants, "slots": slots}
    return ShardResult(job.shard, [*packing.pack_columns(columns), *features], len(samples), mark)
