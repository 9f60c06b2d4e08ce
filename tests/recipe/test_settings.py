import pytest

from gifcli.recipe.recipe import flatten, load_recipe
from gifcli.recipe.schema import Recipe
from gifcli.recipe.settings import OWNED, STAGES, changes, fingerprints, resolve, stage_settings
from runs import tiny

CLASSICAL = load_recipe("", {"prior.name": "classical"}, "x")


def test_auto_becomes_the_priors_default() -> None:
    resolved = resolve(CLASSICAL, {})
    left = {path for path, value in flatten(resolved.model_dump()).items() if value == "auto"}
    assert left <= {"prior.mirror", "classifier.kind", "run.device", "run.dtype", "run.batch_size", "run.workers"}
    assert (resolved.prior.steps, resolved.guidance.granularity) == (1, "vector")


def test_auto_becomes_what_the_run_took() -> None:
    stored = {"extract": {"prior.name": "classical"}, "optimize": {"guidance.lr": 0.7}, "generate": {"prior.steps": 9}}
    resolved = resolve(Recipe(), stored)
    assert (resolved.prior.name, resolved.guidance.lr, resolved.prior.steps) == ("classical", 0.7, 9)


def test_what_was_taken_for_another_prior_does_not_count() -> None:
    stored = {"extract": {"prior.name": "another"}, "optimize": {"guidance.lr": 0.7, "prior.strength": 0.1}}
    assert resolve(CLASSICAL, stored) == resolve(CLASSICAL, {})


def test_what_is_stated_stays() -> None:
    stated = load_recipe("", {"prior.name": "classical", "guidance.lr": 0.3, "prior.strength": 0.2}, "x")
    resolved = resolve(stated, {"optimize": {"guidance.lr": 0.7}})
    assert (resolved.guidance.lr, resolved.prior.strength) == (0.3, 0.2)


def test_every_setting_belongs_to_one_stage_or_to_none_for_a_reason() -> None:
    flat = flatten(resolve(CLASSICAL, {}).model_dump(mode="json"))
    owners = {path: [stage for stage in STAGES if path.startswith(OWNED[stage])] for path in flat}
    assert all(len(owner) <= 1 for owner in owners.values()), owners
    free = {path for path, owner in owners.items() if not owner}
    assert {path.partition(".")[0] for path in free} == {
        "ratio",
        "per_class",
        "balance",
        "max_attempts",
        "input",
        "run",
    }
    assert {path for path in free if path.startswith("input.")} == {
        "input.limit",
        "input.max_failures",
        "input.classes",
        "input.labels",
    }


def settings(**changed: object) -> dict[str, dict[str, object]]:
    return stage_settings(resolve(tiny(**changed), {}))


@pytest.mark.parametrize(
    ("path", "value", "stage"),
    [
        ("image.size", 64, "extract"),
        ("classifier.max_clusters", 2, "extract"),
        ("rng", 1, "optimize"),
        ("guides[1].weight", 2, "optimize"),
        ("guidance.steps", 9, "optimize"),
        ("prior.strength", 0.5, "optimize"),
        ("image.quality", 80, "generate"),
        ("image.format", "png", "generate"),
        ("checks.drift.quantile", 0.5, "filter"),
        ("export.licence", "CC0-1.0", "export"),
    ],
)
def test_a_changed_setting_changes_its_stage_and_those_after_it(path: str, value: object, stage: str) -> None:
    before, after = settings(), settings(**{path: value})
    assert [name for name in STAGES if changes(before[name], after[name])] == [stage]
    old, new = fingerprints(before, "r"), fingerprints(after, "r")
    assert [name for name in STAGES if old[name] != new[name]] == list(STAGES[STAGES.index(stage) :])


@pytest.mark.parametrize(
    ("path", "value"), [("run.batch_size", 3), ("run.engine", "local"), ("ratio", 9), ("max_attempts", 1)]
)
def test_how_and_how_much_changes_no_fingerprint(path: str, value: object) -> None:
    assert fingerprints(settings(), "r") == fingerprints(settings(**{path: value}), "r")


def test_the_rules_and_the_models_are_in_the_fingerprints() -> None:
    old, new = fingerprints(settings(), "r"), fingerprints(settings(), "s")
    assert [name for name in STAGES if old[name] != new[name]] == list(STAGES[1:])
    assert len(settings()["extract"]["encoder.revision"]) == 12
    assert settings()["extract"]["prior.revision"]


def test_changes_are_named_as_a_person_reads_them() -> None:
    old = {"prior.strength": 0.5, "prior.prompt": "a {label}", "rng": 0}
    new = {"prior.strength": 0.7, "prior.prompt": "the {label}", "rng": 0, "guides[3].name": "entropy"}
    assert changes(old, new) == [
        "guides[3].name was unset, now entropy",
        "prior.prompt was a {label}, now the {label}",
        "prior.strength was 0.5, now 0.7",
    ]
    assert changes(old, old) == []


def test_another_latent_is_extracted_anew_and_has_scales_of_its_own() -> None:
    view = resolve(load_recipe("", {"prior.name": "embedded"}, "x"), {})
    stored = stage_settings(view)
    channel = resolve(load_recipe("", {"prior.name": "embedded", "guidance.granularity": "channel"}, "x"), stored)
    assert changes(stored["extract"], stage_settings(channel)["extract"]) == [
        "guidance.granularity was view, now channel"
    ]
    assert channel.guidance.eps < view.guidance.eps
    assert (view.guidance.keep_norm, channel.guidance.keep_norm) == (True, False)
    assert resolve(load_recipe("", {"prior.name": "embedded"}, "x"), stored) == view


def test_the_guide_looks_at_a_size_that_its_encoder_can_use() -> None:
    sizes = {
        (prior, encoder): resolve(
            load_recipe("", {"prior.name": prior, "encoder.name": encoder}, "x"), {}
        ).guidance.encoder_size
        for prior in ("embedded", "classical")
        for encoder in ("embedded", "ViT-B-32:laion2b_s34b_b79k")
    }
    assert {pair: size for pair, size in sizes.items() if size != 128} == {("embedded", "embedded"): 96}
    ours = {"prior.name": "embedded", "encoder.name": "embedded"}
    stored = stage_settings(resolve(load_recipe("", {**ours, "guidance.encoder_size": 160}, "x"), {}))
    assert resolve(load_recipe("", ours, "x"), stored).guidance.encoder_size == 160  # what the run took
    other = resolve(load_recipe("", {**ours, "encoder.name": "ViT-B-32:laion2b_s34b_b79k"}, "x"), stored)
    assert other.guidance.encoder_size == 128


def test_a_model_that_came_on_first_use_is_no_change() -> None:
    assert changes({"encoder.revision": ""}, {"encoder.revision": "123abc"}) == []
    assert changes({"encoder.revision": "123abc"}, {"encoder.revision": "456def"})
