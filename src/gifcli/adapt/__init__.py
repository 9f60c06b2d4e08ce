"""`gif adapt`: a prior that learns the user's own images, for domains it does not know. What comes out is for `--lora`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gifcli.adapt.material import Material, read_material
from gifcli.errors import UsageError
from gifcli.models import prior_card, prior_checkpoint
from gifcli.recipe import settings as stage_settings
from gifcli.recipe.recipe import Recipe
from gifcli.reporter import Reporter
from gifcli.sources.source import refuse_overlap
from gifcli.sources.unpacking import unpacked_for_now
from gifcli.state.seals import to_json
from gifcli.state.shards import STATE, ShardStore, digest, write_atomic

SIGN = "adapter.json"
"""Written last: what the weights beside it were made of."""
STARTED = "adapt.json"


@dataclass(frozen=True, slots=True)
class AdaptSettings:
    """How long and how much is learned.

    steps  updates     rank  of the LoRA (text-to-image priors)     batch  images an update
    rate   largest learning rate; None = 1e-4 for a LoRA, 3e-5 for the embedded prior
    """

    steps: int = 500
    rank: int = 16
    batch: int = 8
    rate: float | None = None


@dataclass(frozen=True, slots=True)
class Adapted:
    """What came of it; `loss` is the mean over the last tenth of the updates, None where there was nothing to do."""

    output: str
    prior: str
    kind: str
    images: int
    steps: int
    loss: float | None

    def to_data(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)

    def to_lines(self) -> list[str]:
        """For people."""
        learned = "was there already" if self.loss is None else f"loss {self.loss:.4f} in the end"
        return [
            f"{self.output}: {self.kind} of {self.prior}, from {self.images} images in {self.steps} updates; {learned}",
            f"use it: gif expand SOURCE --prior {self.prior} --lora {self.output}",
        ]


def adapt(source: Path, output: Path, recipe: Recipe, wanted: AdaptSettings, reporter: Reporter) -> Adapted:
    """Teaches a prior the images of a folder, or goes on where an earlier call was stopped.

    Raises:
        UsageError: that prior cannot learn, or the folder holds what other settings made.
        InputError: the source cannot be used.
        ModelMissingError: the prior is not on this machine.
    """
    refuse_overlap(source, output)
    if output.is_file() or (output.is_dir() and not _ours(output)):
        raise UsageError(f"{output}: expected a new folder, or one that gif adapt made; choose another -o")
    recipe = stage_settings.resolve(recipe, {})
    kind_of(recipe.prior.name)
    with unpacked_for_now(source) as folder:
        return _adapt(folder, output, recipe, wanted, reporter)


def _adapt(folder: Path, output: Path, recipe: Recipe, wanted: AdaptSettings, reporter: Reporter) -> Adapted:
    """The same, of a folder of images and a recipe without `auto`."""
    kind = kind_of(recipe.prior.name)
    material = read_material(folder, recipe)
    for warning in material.warnings:
        reporter.warn(warning)
    made_of = _made_of(recipe, wanted, kind, material)
    store = ShardStore(output)
    with store.lock():
        _refuse_changes(output, made_of, store.load(STARTED))
        if (output / SIGN).is_file():
            return Adapted(str(output), recipe.prior.name, kind, len(material.keys), wanted.steps, None)
        store.save(STARTED, made_of)
        loss = _learn(store, recipe, wanted, kind, material, reporter)
        write_atomic(output / SIGN, to_json(made_of))
        (store.state / "adapt.pt").unlink(missing_ok=True)
    return Adapted(str(output), recipe.prior.name, kind, len(material.keys), wanted.steps, loss)


def kind_of(prior: str) -> str:
    """`LoRA` or `denoiser`: what can be learned of a prior.

    Raises:
        UsageError: nothing.
    """
    if prior == "embedded":
        return "denoiser"
    kind = "classical" if prior == "classical" else prior_checkpoint(prior).kind
    if kind in {"sd", "sdxl"}:
        return "LoRA"
    raise UsageError(
        f"adapt: {prior} ({kind}) cannot learn; expected --prior embedded, or a Stable Diffusion checkpoint (1, 2 or XL)"
    )


def _learn(
    store: ShardStore, recipe: Recipe, wanted: AdaptSettings, kind: str, material: Material, reporter: Reporter
) -> float:
    from gifcli.adapt.training import Lesson, train

    lesson: Lesson
    if kind == "LoRA":
        from gifcli.adapt.lora import LoraLesson

        lesson = LoraLesson(material, recipe, wanted)
    else:
        from gifcli.adapt.denoiser import DenoiserLesson

        lesson = DenoiserLesson(material, recipe, wanted.rate)
    loss = train(lesson, wanted, recipe.rng, store.state / "adapt.pt", reporter)
    name, weights = lesson.weights()
    write_atomic(store.root / name, weights)
    return loss


def _made_of(recipe: Recipe, wanted: AdaptSettings, kind: str, material: Material) -> dict[str, Any]:
    """All that decides what is learned."""
    prior = recipe.prior
    told = {"prompt": prior.prompt, "domains": prior.domains, "adjectives": prior.adjectives}
    told |= {"names": digest(material.names)}
    return {
        "kind": kind,
        "prior": prior.name,
        "prior_revision": prior_card(prior.name).revision,
        "lora": prior.lora,
        "mirror": prior.mirror is True,
        "rng": recipe.rng,
        "images": len(material.keys),
        "source": digest(material.keys),
        "size": recipe.image.size,
        **asdict(wanted),
        **(told if kind == "LoRA" else {}),
    }


def _refuse_changes(output: Path, made_of: Mapping[str, Any], before: Mapping[str, Any] | None) -> None:
    if before is not None and (differences := stage_settings.changes(before, made_of)):
        raise UsageError(f"{output} was started otherwise: {'; '.join(differences)}; write elsewhere (-o)")


def _ours(folder: Path) -> bool:
    """Whether a folder is empty, or one of ours, finished or not."""
    return not any(folder.iterdir()) or (folder / STATE / STARTED).is_file() or _only_state(folder)


def _only_state(folder: Path) -> bool:
    names = {path.name for path in folder.rglob("*")}
    return names <= {STATE, "lock", *(f"{name}.gif-tmp" for name in (STARTED, "adapt.pt"))}
