"""One shard's work where the machine that does it has another model than the one the run was started on."""

from pathlib import Path

import pytest

from gifcli.engines import Job, ShardResult
from gifcli.errors import EnvironmentFault
from gifcli.judge import safety
from gifcli.judge.checklist import SAMPLES, SEEDS, Checklist, checklist, is_measured
from gifcli.models import revision
from gifcli.recipe.recipe import Recipe
from gifcli.session import Silent
from gifcli.state.files import RULES
from gifcli.state.peek import peek_run
from gifcli.state.resolving import source_of
from gifcli.state.shards import ShardId, ShardStore
from gifcli.tasks.task import StageTask


@pytest.fixture(scope="module")
def recipe(reference: Path) -> Recipe:
    """The finished run's, with the safety check on."""
    return peek_run(reference, {"checks.safety.enabled": True}, Silent()).recipe


def measure(stage: str, root: Path, recipe: Recipe, wanted: Checklist) -> ShardResult:
    """One shard of a run's samples, or of its survey, as a worker makes it."""
    store = ShardStore(root)
    job = Job(next(iter(store.done("generate")))) if stage == "filter" else Job(ShardId(0, SEEDS))
    classes = {label: label for label in store.load(RULES)["classes"]}
    return StageTask(stage, root, source_of(root), recipe, classes, 4, wanted)(job, "cpu")


@pytest.mark.parametrize("stage", ["filter", "survey"])
def test_a_worker_with_another_safety_model_says_so_instead_of_measuring_for_ever(
    reference: Path, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    wanted = checklist(recipe)
    other = tmp_path / "other.onnx"
    other.write_bytes(b"another model")
    monkeypatch.setattr(safety, "model_file", lambda: other)
    with pytest.raises(EnvironmentFault) as caught:
        measure(stage, reference, recipe, wanted)
    theirs, ours = wanted[SAMPLES]["safety"], revision([other])
    assert f"has the model {ours}, the run was started with {theirs}" in str(caught.value)
    assert "install the same version on all nodes" in str(caught.value)


def test_what_a_worker_measured_is_what_the_run_wanted(reference: Path, recipe: Recipe) -> None:
    """Also where the run's machine has no safety model: then the worker's own is noted."""
    wanted = checklist(recipe)
    for safe in (wanted[SAMPLES]["safety"], None):
        asked = {**wanted[SAMPLES], "safety": safe}
        mark = measure("filter", reference, recipe, {**wanted, SAMPLES: asked}).mark
        assert mark["measured"] == wanted[SAMPLES]
        assert is_measured(mark, asked)


def test_a_check_that_is_not_wanted_is_not_measured(reference: Path, recipe: Recipe) -> None:
    """The run says what is measured, whatever the recipe would mean on the worker."""
    made = measure("filter", reference, recipe, {SAMPLES: {"broken": ""}})
    assert made.mark["measured"] == {"broken": ""}
    assert "safety.npy" not in {name for name, _ in made.members}
