"""`--dry-run`: the plan of a run, and what it would take, measured on a few of its own images in a temporary folder."""

import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from gifcli import pipeline
from gifcli.formats.names import folder_names
from gifcli.models.hub import go_offline
from gifcli.models.tags import need_tag
from gifcli.recipe import settings
from gifcli.recipe.recipe import Recipe
from gifcli.records import Source
from gifcli.reporter import Reporter
from gifcli.session import Silent
from gifcli.sources import holdout
from gifcli.sources.source import scan
from gifcli.sources.unpacking import unpacked_for_now
from gifcli.state import owed
from gifcli.state.files import HOLDOUT, PLAN
from gifcli.state.opening import limited, open_run, prepare_output
from gifcli.state.plan import Plan, targets
from gifcli.state.run import Options
from gifcli.state.shards import ShardStore
from gifcli.wording import number_of

IMAGES = 6
SIBLINGS = 3
LEAST_KEPT = 0.3


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a run would do.

    there    samples that an earlier run made already
    seconds_an_image  by stage, measured just now on a few images
    seconds  in all, with rejected samples made again;  disk_bytes likewise, the dataset and the state together
    """

    output: str
    originals: int
    generated: int
    there: int
    per_class: dict[str, int]
    failures: int
    seconds_an_image: dict[str, float]
    seconds: float
    disk_bytes: int
    disk_free_bytes: int

    def to_data(self) -> dict[str, object]:
        """For `--json`."""
        return asdict(self)

    def to_lines(self) -> list[str]:
        """For people."""
        total = self.originals + self.generated
        speeds = ", ".join(f"{stage} {seconds:.3f}" for stage, seconds in self.seconds_an_image.items())
        smallest, largest = min(self.per_class.values()), max(self.per_class.values())
        sizes = f"{smallest}" if smallest == largest else f"{smallest} to {largest}"
        classes = f"{number_of(len(self.per_class), 'class', 'classes')} of {sizes} image{'' if sizes == '1' else 's'} in the end"
        return [
            f"{number_of(self.originals, 'original')} + {self.generated} generated = {number_of(total, 'image')} in {self.output}; {classes}",
            *([f"{self.there} of the generated ones are there already"] if self.there else []),
            *([f"{number_of(self.failures, 'file')} cannot be used"] if self.failures else []),
            f"seconds an image, measured here: {speeds}",
            f"about {_duration(self.seconds)} and {self.disk_bytes / 1e6:.0f} MB; nothing was written",
            f"disk: {self.disk_free_bytes / 1e9:.1f} GB free",
        ]


def rehearse(source: Path, root: Path, recipe: Recipe, reporter: Reporter) -> Forecast:
    """Plans a run and measures a few of its images; writes nowhere but in a temporary folder that it removes.

    Raises:
        GifError: as the run itself would.
    """
    prepare_output(root, source, Options())
    go_offline(recipe.run.offline)
    resolved = settings.resolve(recipe, {}, reporter.warn)
    settings.stage_settings(resolved)  # a model that is missing is an error here, and no download
    need_tag(resolved.encoder.name)
    with unpacked_for_now(source) as folder:
        return _rehearse(folder, root, recipe, reporter)


def _rehearse(source: Path, root: Path, recipe: Recipe, reporter: Reporter) -> Forecast:
    classes, labels = (Path(path) if path else None for path in (recipe.input.classes, recipe.input.labels))
    found = scan(source, classes_file=classes, labels_file=labels)
    for warning in found.warnings:
        reporter.warn(warning)
    store = ShardStore(root)
    planned = {planned.sha256 for planned in Plan.from_state(store.load(PLAN)).sources}
    aside = holdout.choose(found.sources, recipe.input.holdout, store.load(HOLDOUT) or [], planned)
    train = [image for image in holdout.split_off(found.sources, aside) if image.split == "train"]
    train = limited(train, recipe.input.limit)
    goal = targets(train, recipe)
    progress = owed.read_progress(store)
    there = sum(progress.kept((key, k)) is not None for key, count in goal.items() for k in range(count))
    reporter.say(f"measuring on {min(IMAGES, len(train))} of {number_of(len(train), 'image')} ...")
    with tempfile.TemporaryDirectory(prefix="gif-") as folder:
        speeds, kept, sizes = _measure(source, _some(train), Path(folder), recipe)
    samples = sum(goal.values()) - there
    made = samples / max(kept, LEAST_KEPT)
    seconds = speeds["extract"] * len(train) + made * sum(s for stage, s in speeds.items() if stage != "extract")
    disk = sum(image.size for image in train) + sizes["seed"] * len(train) + sizes["sample"] * made * 2
    per_class = Counter(image.label for image in train for _ in range(1 + goal[image.key]))
    return Forecast(
        output=str(root),
        originals=len(train),
        generated=sum(goal.values()),
        there=there,
        per_class=dict(sorted(per_class.items())),
        failures=len(found.failures),
        seconds_an_image={stage: round(value, 4) for stage, value in speeds.items()},
        seconds=round(seconds, 1),
        disk_bytes=round(disk),
        disk_free_bytes=shutil.disk_usage(_existing(root)).free,
    )


def _some(train: Sequence[Source]) -> list[Source]:
    """A few images, spread over the folder."""
    count = min(IMAGES, len(train))
    return [train[i * len(train) // count] for i in range(count)]


def _measure(
    source: Path, images: Sequence[Source], folder: Path, recipe: Recipe
) -> tuple[dict[str, float], float, dict[str, float]]:
    """Runs the stages on copies of a few images -> seconds an image by stage, share kept, bytes a seed and a sample."""
    few = folder / "few"
    folders = folder_names(dict.fromkeys(image.label for image in images))
    for image in images:
        target = few / folders[image.label] / f"{image.key}{Path(image.path).suffix}"  # names may repeat in subfolders
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / image.path, target)
    alone = {"holdout": 0.0, "limit": None, "classes": None, "labels": None}
    changes = {"ratio": SIBLINGS, "per_class": None, "balance": False, "max_attempts": 1}
    sections = {
        "input": recipe.input.model_copy(update=alone),
        "run": recipe.run.model_copy(update={"shard_seeds": 1}),  # so that all workers have something to do
    }
    small = recipe.model_copy(update={**changes, **sections})
    store = ShardStore(folder / "run")
    stages = (pipeline.extract, pipeline.optimize, pipeline.generate, pipeline.filter_samples)
    with store.lock():
        run = open_run(store, few, small, Options(), Silent())
        pipeline.extract(run)  # loads the models, which counts for nothing in a long run
        store.clear("extract")
        store.clear("survey")
        done = [stage(run) for stage in stages]
        if run.engine is not None:
            run.engine.close()
        progress = owed.read_progress(store)
    speeds = {step.stage: step.seconds / max(step.images, 1) for step in done}
    verdicts = [reason for slot in progress.verdicts.values() for reason in slot.values()]
    kept = sum(reason is None for reason in verdicts) / max(len(verdicts), 1)
    sizes = {
        name: _bytes(store, stages) for name, stages in (("seed", ["extract"]), ("sample", ["optimize", "generate"]))
    }
    return speeds, kept, {"seed": sizes["seed"] / len(images), "sample": sizes["sample"] / max(len(verdicts), 1)}


def _bytes(store: ShardStore, stages: Sequence[str]) -> int:
    return sum(mark["size"] for stage in stages for mark in store.done(stage).values())


def _existing(path: Path) -> Path:
    """The path itself, or the nearest folder above it that exists."""
    path = path.resolve()
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
