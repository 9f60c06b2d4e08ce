"""Adaption of small real checkpoints with random weights, and of a small embedded prior, on a tiny folder."""

import json
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import checkpoints
from archive_files import write_parquet, write_tars
from documents import gif
from embedded_parts import save_embedded
from gifcli import models, session
from gifcli.adapt import AdaptSettings, adapt
from gifcli.adapt.lora import FILE
from gifcli.adapt.training import batch_rows, schedule
from gifcli.errors import InputError, ModelMissingError, UsageError
from gifcli.priors import PriorSettings, make_prior
from gifcli.recipe.recipe import load_recipe
from gifcli.recipe.schema import Recipe
from gifcli.recipe.settings import resolve, stage_settings
from gifcli.state.shards import STATE, ShardStore
from processes import start

WANTED = AdaptSettings(steps=20, rank=2, batch=4, rate=3e-3)
SILENT = session.Silent()


@pytest.fixture(scope="module")
def sd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoints.save("sd", tmp_path_factory.mktemp("models") / "sd")


def recipe(prior: object, **changes: Any) -> Recipe:
    overrides = {path.replace("__", "."): value for path, value in changes.items()}
    return load_recipe("", {"prior.name": str(prior), "run.device": "cpu", **overrides}, "test")


def flags(prior: Path) -> list[str]:
    return ["--prior", str(prior), "--device", "cpu", "--rank", "2", "--train-batch", "4", "--learning-rate", "3e-3"]


@pytest.mark.parametrize("kind", ["sd", "sd-v", "sdxl"])
def test_a_lora_lowers_the_loss_and_is_what_diffusers_loads(kind: str, photos: Path, tmp_path: Path) -> None:
    folder = checkpoints.save(kind, tmp_path / kind)
    heard: list[int] = []
    reporter = session.Silent()
    reporter.advance = heard.append
    done = adapt(photos, tmp_path / "lora", recipe(folder), WANTED, reporter)
    assert done.images == 12
    assert sum(heard) == 20 * 4
    first = adapt(photos, tmp_path / "short", recipe(folder), AdaptSettings(steps=1, rank=2, batch=4), SILENT)
    assert done.loss < first.loss
    weights = load_file(tmp_path / "lora" / FILE)
    assert all(name.startswith("unet.") for name in weights)
    assert max(tensor.abs().max() for name, tensor in weights.items() if "lora_B" in name or "up" in name) > 0
    from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline

    pipeline = (StableDiffusionXLPipeline if kind == "sdxl" else StableDiffusionPipeline).from_pretrained(folder)
    pipeline.load_lora_weights(tmp_path / "lora")
    loaded = sum(parameter.numel() for name, parameter in pipeline.unet.named_parameters() if "lora_" in name)
    assert loaded == sum(tensor.numel() for tensor in weights.values())


def test_the_result_is_what_lora_takes_and_its_content_is_in_the_fingerprint(
    sd: Path, photos: Path, tmp_path: Path
) -> None:
    revisions = []
    for rng in (0, 1):
        out = tmp_path / f"lora{rng}"
        adapt(photos, out, recipe(sd, rng=rng), AdaptSettings(steps=2, rank=2, batch=2), SILENT)
        revisions.append(
            stage_settings(resolve(recipe(sd, prior__lora=str(out)), {}))["generate"]["prior.lora_revision"]
        )
        assert json.loads((out / "adapter.json").read_text())["prior_revision"] == models.prior_card(str(sd)).revision
    assert len({*revisions, ""}) == 3
    options = {"steps": 2, "strength": 0.5, "guidance_scale": 1.0, "size": None, "mirror": False}
    plain = make_prior(PriorSettings(str(sd), **options))
    taught = make_prior(PriorSettings(str(sd), **options, lora=str(tmp_path / "lora0")))
    pairs = zip(plain.unet.state_dict().values(), taught.unet.state_dict().values(), strict=True)
    assert any(not torch.equal(a, b) for a, b in pairs)


def test_the_same_again_does_nothing_and_other_settings_are_refused(sd: Path, photos: Path, tmp_path: Path) -> None:
    settings, out = AdaptSettings(steps=2, rank=2, batch=2), tmp_path / "lora"
    adapt(photos, out, recipe(sd), settings, SILENT)
    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir() if path.is_file()}
    assert adapt(photos, out, recipe(sd), settings, SILENT).loss is None
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir() if path.is_file()} == before
    with pytest.raises(UsageError, match="started otherwise: rank was 2, now 3; write elsewhere"):
        adapt(photos, out, recipe(sd), AdaptSettings(steps=2, rank=3, batch=2), SILENT)
    with pytest.raises(UsageError, match="expected a new folder, or one that gif adapt made"):
        adapt(photos, sd, recipe(sd), settings, SILENT)
    with pytest.raises(UsageError, match=r"adapt: classical \(classical\) cannot learn; expected --prior embedded"):
        adapt(photos, tmp_path / "none", recipe("classical"), settings, SILENT)


def test_what_holdout_sets_aside_is_not_learned_from(sd: Path, photos: Path, tmp_path: Path) -> None:
    """The same images as a run with that share sets aside."""
    out, held = tmp_path / "lora", {"input__holdout": 0.25}
    done = adapt(photos, out, recipe(sd, **held), AdaptSettings(steps=1, rank=2, batch=2), SILENT)
    with session.opened(photos, tmp_path / "run", recipe("classical", **held), session.Access()) as run:
        planned = [source.key for source in run.plan.sources]
    assert done.images == len(planned) == 9


def test_an_adaption_that_is_killed_and_goes_on_ends_with_the_same_file(sd: Path, photos: Path, tmp_path: Path) -> None:
    command = ("adapt", photos, *flags(sd), "--train-steps", "10", "-o")
    whole = start(tmp_path / "a", *command, tmp_path / "whole").wait()
    assert whole.code == 0, whole.err
    gif = start(tmp_path / "b", *command, tmp_path / "killed")
    checkpoint = tmp_path / "killed" / STATE / "adapt.pt"
    while gif.alive and not checkpoint.exists():
        time.sleep(0.001)
    gif.signal(signal.SIGKILL)
    assert gif.wait().code == -signal.SIGKILL
    assert not (tmp_path / "killed" / FILE).exists()
    again = start(tmp_path / "b", *command, tmp_path / "killed").wait()
    assert again.code == 0, again.err
    assert "gif expand SOURCE --prior" in again.out
    for name in (FILE, "adapter.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not checkpoint.exists()


def test_out_of_memory_halves_the_part_and_changes_no_gradient(sd: Path, photos: Path, tmp_path: Path) -> None:
    """The lesson's own call raises as a full device does; what is learned is the same up to rounding."""
    from gifcli.adapt import lora

    class Small(lora.LoraLesson):
        def losses(self, rows: list[int], generator: torch.Generator) -> torch.Tensor:
            if len(rows) > 1:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            return super().losses(rows, generator)

    settings = AdaptSettings(steps=3, rank=2, batch=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lora, "LoraLesson", Small)
        done = adapt(photos, tmp_path / "small", recipe(sd), settings, SILENT)
    assert done.loss is not None
    assert (tmp_path / "small" / FILE).is_file()


@pytest.fixture
def embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small embedded prior with random weights in the place of the one that ships."""
    folder = save_embedded(tmp_path / "embedded")
    monkeypatch.setattr(models, "EMBEDDED_FOLDER", folder)
    return folder


def test_the_embedded_denoiser_learns_and_lora_puts_it_in_its_place(
    embedded: Path, photos: Path, tmp_path: Path
) -> None:
    out, own = tmp_path / "lora", recipe("embedded", prior__mirror=True)
    done = adapt(photos, out, own, AdaptSettings(steps=12, batch=4, rate=1e-3), SILENT)
    first = adapt(photos, tmp_path / "short", own, AdaptSettings(steps=1, batch=4), SILENT)
    assert done.kind == "denoiser"
    assert done.loss < first.loss
    options = {"steps": 2, "strength": 0.5, "guidance_scale": 1.0, "size": None, "mirror": False}
    tuned = load_file(out / "denoiser.safetensors")
    for scale, expected in ((1.0, tuned), (0.0, make_prior(PriorSettings("embedded", **options)).unet.state_dict())):
        prior = make_prior(PriorSettings("embedded", **options, lora=str(out), lora_scale=scale))
        for name, value in prior.unet.state_dict().items():
            torch.testing.assert_close(value, expected[name].float())
    (embedded / "scheduler" / "scheduler_config.json").write_text('{"shift": 2.0}')
    with pytest.raises(ModelMissingError, match=r"lora: .* it was adapted from revision .*; make it with: gif adapt"):
        make_prior(PriorSettings("embedded", **options, lora=str(out)))


def test_tars_and_parquet_teach_what_their_folder_does(sd: Path, photos: Path, tmp_path: Path) -> None:
    """The same again does nothing, though the archive is unpacked anew; a damaged one is named."""
    settings = AdaptSettings(steps=2, rank=2, batch=2)
    adapt(photos, tmp_path / "folder", recipe(sd), settings, SILENT)
    for kind, make in {"tars": write_tars, "parquet": write_parquet}.items():
        make(photos, tmp_path / kind, "train")
        done = adapt(tmp_path / kind, tmp_path / f"from {kind}", recipe(sd), settings, SILENT)
        assert done.images == 12
        made = [json.loads((tmp_path / name / "adapter.json").read_text()) for name in ("folder", f"from {kind}")]
        assert {**made[0], "source": "", "names": ""} == {**made[1], "source": "", "names": ""}
        assert adapt(tmp_path / kind, tmp_path / f"from {kind}", recipe(sd), settings, SILENT).loss is None
    (tmp_path / "tars" / "train-00000.tar").write_bytes(b"cut")
    with pytest.raises(InputError, match="train-00000"):
        adapt(tmp_path / "tars", tmp_path / "none", recipe(sd), settings, SILENT)


def test_a_second_writer_waits_or_is_refused(
    embedded: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "lora"
    line = ["adapt", str(photos), "-o", str(out), "--prior", "embedded", "--device", "cpu", "--train-steps", "1"]
    line += ["--train-batch", "1"]
    with ShardStore(out).lock():
        assert gif(*line) == 75
        assert "is being written by another gif process" in capsys.readouterr().err
        held = ShardStore(out).lock()
    held.__enter__()
    threading.Timer(1.0, held.__exit__, (None, None, None)).start()
    assert gif(*line, "--wait-lock", "60") == 0
    assert (out / "denoiser.safetensors").is_file()


def test_what_was_distilled_is_taught_with_a_warning(photos: Path, tmp_path: Path) -> None:
    heard: list[str] = []
    reporter = session.Silent()
    reporter.warn = heard.append
    for kind in ("sd-turbo", "lcm"):
        prior = checkpoints.save(kind, tmp_path / kind)
        adapt(photos, tmp_path / f"of {kind}", recipe(prior), AdaptSettings(steps=1, rank=2, batch=1), reporter)
    assert [" (turbo), " in said for said in heard] == [True, False]
    assert all("was distilled to a few steps" in said and "--prior sd-1.5" in said for said in heard)


def test_models_are_known_by_their_content(sd: Path, photos: Path, tmp_path: Path) -> None:
    """The LoRA that another one starts from, and the prior, may lie anywhere; other content is another recipe."""
    settings, first, out = AdaptSettings(steps=1, rank=2, batch=1), tmp_path / "first", tmp_path / "second"
    adapt(photos, first, recipe(sd), settings, SILENT)
    adapt(photos, out, recipe(sd, prior__lora=str(first)), settings, SILENT)
    made_of = json.loads((out / "adapter.json").read_text())
    assert made_of["lora"] == models.revision(models.lora_files(str(first)))
    assert (made_of["prior"], made_of["lora_scale"]) == ("sd", 1.0)
    moved, other = shutil.copytree(first, tmp_path / "moved"), shutil.copytree(sd, tmp_path / "same")
    assert adapt(photos, out, recipe(other, prior__lora=str(moved)), settings, SILENT).loss is None
    for changes in ({"prior__lora": str(moved), "prior__lora_scale": 0.5}, {}):
        with pytest.raises(UsageError, match="started otherwise: lora"):
            adapt(photos, out, recipe(sd, **changes), settings, SILENT)


def test_every_epoch_has_all_images_once() -> None:
    rows = [row for step in range(7) for row in batch_rows(7, 3, step, 0)]
    for epoch in range(3):
        assert sorted(rows[7 * epoch : 7 * epoch + 7]) == list(range(7))
    assert batch_rows(2, 5, 0, 0)[:4] != batch_rows(2, 5, 0, 1)[:4] or batch_rows(9, 9, 0, 0) != batch_rows(9, 9, 0, 1)


def test_the_learning_rate_warms_up_and_falls_to_nothing() -> None:
    rates = [schedule(step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.05)
    assert max(rates) == pytest.approx(rates[19])
    assert rates[-1] < 1e-3
