"""`gif adapt`: a prior that learns the user's own images, for domains it does not know. What comes out is for `--lora`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gifcli.adapt.material import Material, read_material
from gifcli.errors import UsageError
from gifcli.models import lora_files, prior_card, prior_checkpoint, revision
from gifcli.models.names import shown
from gifcli.models.pulling import pull_missing
from gifcli.recipe import settings as stage_settings
from gifcli.recipe.recipe import Recipe
from gifcli.reporter import Reporter
from gifcli.sources.source import refuse_overlap
from gifcli.sources.unpacking import unpacked_for_now
from gifcli.state.seals import to_json
from gifcli.state.shards import STATE, ShardStore, digest, write_atomic
from gifcli.wording import number_of

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
            f"{self.output}: {self.kind} of {self.prior}, from {number_of(self.images, 'image')} in {number_of(self.steps, 'update')}; {learned}",
            f"use it: gif expand SOURCE --prior {self.prior} --lora {self.output}",
        ]


def adapt(
    source: Path, output: Path, recipe: Recipe, wanted: AdaptSettings, reporter: Reporter, wait_lock: float = 0.0
) -> Adapted:
    """Teaches a prior the images of a folder (or of tars, Parquet), or goes on where an earlier call was stopped.

    Raises:
        UsageError: that prior cannot learn, or the folder holds what other settings made.
        InputError: the source cannot be used.
        ModelMissingError: the prior is not on this machine, and cannot be downloaded.
        BusyError: another process has been writing to the folder for `wait_lock` seconds.
    """
    refuse_overlap(source, output)
    if output.is_file() or (output.is_dir() and not _ours(output)):
        raise UsageError(f"{output}: expected a new folder, or one that gif adapt made; choose another -o")
    pull_missing([recipe.prior.name], reporter.say)
    recipe = stage_settings.resolve(recipe, {}, reporter.warn)
    pull_missing([recipe.prior.lora], reporter.say)
    encoding = recipe.prior.model_copy(update={"tiny": "none", "decoder": "vae"})  # nothing is decoded
    recipe = recipe.model_copy(update={"prior": encoding})
    kind = kind_of(recipe.prior.name)
    if kind == "LoRA" and (pace := prior_checkpoint(recipe.prior.name).pace) != "full":
        reporter.warn(
            f"{recipe.prior.name} was distilled to a few steps ({pace}), and learning by the plain diffusion loss takes some "
            "of that away: few steps will look worse. Adapt the model that it was distilled from instead, such as --prior "
            "sd-1.5, and give the LoRA to that one"
        )
    with unpacked_for_now(source) as folder:
        return _adapt(folder, output, recipe, wanted, reporter, wait_lock)


def _adapt(
    folder: Path, output: Path, recipe: Recipe, wanted: AdaptSettings, reporter: Reporter, wait_lock: float
) -> Adapted:
    """The same, of a folder of images and a recipe without `auto`."""
    kind = kind_of(recipe.prior.name)
    material = read_material(folder, recipe)
    for warning in material.warnings:
        reporter.warn(warning)
    made_of = _made_of(recipe, wanted, kind, material)
    store = ShardStore(output)
    with store.lock(wait_lock):
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
        "prior": shown(prior.name),
        "prior_revision": prior_card(prior.name).revision,
        "lora": revision(lora_files(prior.lora)) if prior.lora else None,
        **({"lora_scale": prior.lora_scale} if prior.lora else {}),
        "mirror": prior.mirror is True,
        "rng": recipe.rng,
        "images": len(material.keys),
        "source": digest(material.keys),
        "size": recipe.image.size,
        **asdict(wanted),
        **(told if kind == "LoRA" else {}),
    }


def _refuse_changes(output: Path, made_of: Mapping[str, Any], before: Mapping[str, Any] | None) -> None:
    if before is None:
        return
    if before["prior_revision"] == made_of["prior_revision"]:  # whatever its name or place
        made_of = {**made_of, "prior": before["prior"]}
    if differences := stage_settings.changes(before, made_of):
        raise UsageError(f"{output} was started otherwise: {'; '.join(differences)}; write elsewhere (-o)")


def _ours(folder: Path) -> bool:
    """Whether a folder is empty, or one of ours, finished or not."""
    return not any(folder.iterdir()) or (folder / STATE / STARTED).is_file() or _only_state(folder)


def _only_state(folder: Path) -> bool:
    names = {path.name for path in folder.rglob("*")}
    return names <= {STATE, "lock", *(f"{name}.gif-tmp" for name in (STARTED, "adapt.pt"))}
