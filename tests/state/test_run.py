"""What a run folder that exists makes of another recipe, and of another source."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gifcli import pipeline, session
from gifcli.errors import InputError, UsageError
from gifcli.recipe.recipe import read_recipe
from gifcli.state.resolving import own_recipe, source_of
from gifcli.state.run import Options
from gifcli.state.shards import ShardStore
from gifcli.status import run_status
from runs import save_crops, stamps, tiny, tree

RESUME = Options()


@dataclass
class Heard(session.Silent):
    """A reporter that remembers."""

    said: list[str] = field(default_factory=list)
    warned: list[str] = field(default_factory=list)
    stages: list[tuple[str, int]] = field(default_factory=list)

    def say(self, text: str) -> None:
        self.said.append(text)

    def warn(self, text: str) -> None:
        self.warned.append(text)

    def start(self, stage: str, total: int) -> None:
        self.stages.append((stage, total))


def expand(photos: Path, root: Path, options: Options = RESUME, **changed: object) -> Heard:
    heard = Heard()
    heard.summary = session.expand(photos, root, tiny(**changed), session.Access(options, reporter=heard))
    return heard


def shards(root: Path, *stages: str) -> dict[str, int]:
    """Times of the shard files of some stages."""
    return {str(path): time for path, time in stamps(root / ".gifcli" / "stages").items() if path.startswith(stages)}


def generated(root: Path) -> set[str]:
    return {path.relative_to(root / "train").as_posix() for path in (root / "train").rglob("*.jpg")}


@pytest.mark.parametrize(
    ("path", "value", "line", "stage"),
    [
        ("image.size", 64, "image.size was None, now 64", "extract"),
        ("rng", 1, "rng was 0, now 1", "optimize"),
        ("guidance.steps", 2, "guidance.steps was 1, now 2", "optimize"),
        ("prior.mirror", False, "prior.mirror was True, now False", "optimize"),
        ("image.quality", 50, "image.quality was 95, now 50", "generate"),
    ],
)
def test_a_changed_setting_is_refused_by_name(
    photos: Path, finished: Path, path: str, value: object, line: str, stage: str
) -> None:
    before = tree(finished)
    with pytest.raises(UsageError) as caught:
        expand(photos, finished, **{path: value})
    assert line in str(caught.value)
    assert f"--redo {stage}" in str(caught.value)
    assert "-o" in str(caught.value)
    assert tree(finished) == before


def test_redo_follows_a_changed_setting_from_its_stage_on(photos: Path, finished: Path, tmp_path: Path) -> None:
    before = shards(finished, "1-", "2-")
    samples = shards(finished, "3-")
    with pytest.raises(UsageError, match="--redo generate"):
        expand(photos, finished, Options(redo="filter"), image__quality=50)
    heard = expand(photos, finished, Options(redo="generate"), image__quality=50)
    assert heard.stages[0] == ("generate", 24)
    assert shards(finished, "1-").items() <= before.items()
    assert before.items() <= shards(finished, "1-", "2-").items()
    assert not samples.items() & shards(finished, "3-").items()
    expand(photos, tmp_path / "new" / "out", image__quality=50)
    assert generated(finished) == generated(tmp_path / "new" / "out")


def test_redo_extract_equals_a_new_run(photos: Path, finished: Path, tmp_path: Path) -> None:
    """Also where it changes which images are set aside, and which are taken at all."""
    changed = {"input.holdout": "25%", "input.limit": 3, "image.size": 64}
    expand(photos, finished, Options(redo="extract"), **changed)
    expand(photos, tmp_path / "new" / "out", **changed)
    assert tree(finished) == tree(tmp_path / "new" / "out")


def test_the_same_batch_size_engine_and_workers_are_not_asked_for(photos: Path, finished: Path) -> None:
    before = shards(finished, "1-", "2-", "3-", "4-")
    heard = expand(photos, finished, run__batch_size=3, run__engine="local", run__workers=2, run__shard_seeds=5)
    assert heard.stages == []
    assert shards(finished, "1-", "2-", "3-", "4-") == before


def test_a_threshold_redoes_only_filter_and_export_and_loosening_gives_back(
    photos: Path, finished: Path, reference: Path
) -> None:
    samples = shards(finished, "1-", "2-", "3-", "4-")
    tight = session.run_stage("filter", finished, {"checks.unchanged.max_similarity": 0.8})
    assert tight.rejected["unchanged"] > 3
    assert tight.shortfall
    assert shards(finished, "1-", "2-", "3-", "4-") == samples
    session.run_stage("export", finished, {"checks.unchanged.max_similarity": 0.8})
    assert len(generated(finished)) == tight.generated < 24
    heard = expand(photos, finished, checks__unchanged__max_similarity=0.8)
    assert heard.stages[0][0] == "optimize"
    assert samples.items() <= shards(finished, "1-", "2-", "3-", "4-").items()
    loose = expand(photos, finished)
    assert loose.stages == []
    assert loose.summary.shortfall == {}
    assert generated(finished) == generated(reference)


def test_a_higher_ratio_adds_and_a_lower_one_exports_fewer(photos: Path, finished: Path, reference: Path) -> None:
    before = shards(finished, "1-", "2-", "3-", "4-")
    more = expand(photos, finished, ratio=3)
    assert more.stages[:3] == [("optimize", 12), ("generate", 12), ("filter", 12)]
    assert before.items() <= shards(finished, "1-", "2-", "3-", "4-").items()
    assert generated(finished) > generated(reference)
    fewer = expand(photos, finished, ratio=1)
    assert fewer.stages == []
    assert len(generated(finished)) == fewer.summary.generated == 12
    assert generated(finished) < generated(reference)
    assert expand(photos, finished).stages == []
    assert generated(finished) == generated(reference)


def test_new_images_are_left_alone_unless_asked_for(own_photos: Path, finished: Path, reference: Path) -> None:
    save_crops(own_photos / "cat", "cat", 2, first=4)
    heard = expand(own_photos, finished)
    assert heard.stages == []
    assert "new to this run, left alone: 2" in heard.warned[0]
    assert "--if-exists extend" in heard.warned[0]
    assert generated(finished) == generated(reference)


def test_an_extended_run_does_only_the_work_of_the_new_images(
    own_photos: Path, finished: Path, reference: Path
) -> None:
    before = shards(finished, "1-", "2-", "3-", "4-")
    rules = stamps(finished / ".gifcli" / "rules")
    save_crops(own_photos / "cat", "cat", 2, first=4)
    heard = expand(own_photos, finished, Options(if_exists="extend"))
    assert heard.stages[:4] == [("extract", 2), ("optimize", 4), ("generate", 4), ("filter", 4)]
    assert before.items() <= shards(finished, "1-", "2-", "3-", "4-").items()
    assert stamps(finished / ".gifcli" / "rules") == rules
    assert generated(finished) > generated(reference)
    assert heard.summary.originals == 14


def test_removed_images_leave_the_export_and_come_back(own_photos: Path, finished: Path, reference: Path) -> None:
    gone = own_photos / "cat" / "2.png"
    gone.rename(own_photos.parent / "2.png")
    heard = expand(own_photos, finished)
    assert heard.stages == []
    assert heard.summary.originals == 11
    assert {name for name in generated(reference) if name.startswith("cat/2_")} == generated(reference) - generated(
        finished
    )
    assert not (finished / "train" / "cat" / "2.png").exists()
    (own_photos.parent / "2.png").rename(gone)
    expand(own_photos, finished)
    assert generated(finished) == generated(reference)


def test_an_edited_image_is_a_new_one(own_photos: Path, finished: Path) -> None:
    shutil.copy(own_photos / "cat" / "0.png", own_photos / "brick" / "0.png")
    heard = expand(own_photos, finished, Options(if_exists="extend"))
    assert heard.stages[0] == ("extract", 1)
    assert heard.summary.originals == 12


def test_a_kill_while_new_images_are_extracted_leaves_the_other_stages_usable(
    own_photos: Path, finished: Path, reference: Path
) -> None:
    save_crops(own_photos / "cat", "cat", 2, first=4)
    with session.opened(own_photos, finished, tiny(), session.Access(Options(if_exists="extend"))):
        pass
    for stage in ("filter", "export"):
        session.run_stage(stage, finished, {"checks.drift.quantile": 0.9, "export.licence": "CC0-1.0"})
    assert generated(finished) <= generated(reference)
    assert expand(own_photos, finished).summary.originals == 14


def test_a_renamed_image_keeps_its_samples(own_photos: Path, finished: Path) -> None:
    (own_photos / "cat" / "2.png").rename(own_photos / "cat" / "tom.png")
    assert expand(own_photos, finished).stages == []
    assert len([name for name in generated(finished) if name.startswith("cat/tom_")]) == 2


def test_a_new_class_induces_the_rules_anew(own_photos: Path, finished: Path) -> None:
    before = shards(finished, "1-")
    save_crops(own_photos / "astronaut", "astronaut", 2)
    heard = expand(own_photos, finished, Options(if_exists="extend"))
    assert any("new class astronaut" in line for line in heard.said)
    assert heard.stages[:2] == [("extract", 2), ("optimize", 28)]
    assert before.items() <= shards(finished, "1-").items()
    assert ShardStore(finished).load("rules.json")["classes"] == ["astronaut", "brick", "cat", "coffee"]
    assert (finished / "train" / "astronaut" / "0.png").is_file()


def test_a_kill_while_a_new_class_is_taken_in_still_induces_the_rules_anew(own_photos: Path, finished: Path) -> None:
    """The plan must not know the class before the rules are dropped."""
    save_crops(own_photos / "astronaut", "astronaut", 2)
    store = ShardStore(finished)
    save = ShardStore.save

    def killed(self: ShardStore, name: str, value: object) -> None:
        save(self, name, value)
        if name == "plan.json":
            raise KeyboardInterrupt

    ShardStore.save = killed
    try:
        with pytest.raises(KeyboardInterrupt):
            expand(own_photos, finished, Options(if_exists="extend"))
    finally:
        ShardStore.save = save
    expand(own_photos, finished)
    assert "astronaut" in store.load("rules.json")["classes"]


def test_refreshed_rules_redo_from_optimize(photos: Path, finished: Path, reference: Path) -> None:
    heard = expand(photos, finished, Options(refresh_rules=True))
    assert heard.stages[0] == ("optimize", 24)
    assert tree(finished) == tree(reference)


def test_overwrite_starts_again_and_leaves_the_users_own_files(photos: Path, finished: Path, tmp_path: Path) -> None:
    (finished / "train" / "cat" / "mine.txt").write_text("mine")
    expand(photos, finished, Options(if_exists="overwrite"), rng=5)
    assert (finished / "train" / "cat" / "mine.txt").read_text() == "mine"
    (finished / "train" / "cat" / "mine.txt").unlink()
    expand(photos, tmp_path / "new" / "out", rng=5)
    assert tree(finished) == tree(tmp_path / "new" / "out")


def test_a_recipe_that_is_refused_costs_nothing(photos: Path, finished: Path) -> None:
    before = tree(finished)
    for options in (Options(if_exists="overwrite"), Options(redo="extract")):
        for changed, error in (
            ({"prior__prompt": "a {label}"}, "ignores prior.prompt"),
            ({"encoder__name": "embeded"}, "embeded"),
            ({"guidance__where": "after"}, r"guidance\.where"),
        ):
            with pytest.raises(UsageError, match=error):
                expand(photos, finished, options, **changed)
            assert tree(finished) == before


def test_a_source_that_is_gone_costs_nothing(photos: Path, finished: Path, tmp_path: Path) -> None:
    before = tree(finished)
    for options in (Options(), Options(if_exists="overwrite"), Options(redo="extract"), Options(if_exists="extend")):
        with pytest.raises(InputError):
            expand(tmp_path / "nowhere", finished, options)
    assert tree(finished) == before


def test_an_output_that_must_not_be_written_to_is_refused(photos: Path, finished: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--if-exists error"):
        expand(photos, finished, Options(if_exists="error"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    with pytest.raises(UsageError, match="other files"):
        expand(photos, tmp_path / "mine", Options(if_exists="overwrite"))
    with pytest.raises(UsageError, match="found a file"):
        expand(photos, tmp_path / "mine" / "thesis.txt")
    with pytest.raises(UsageError, match="lies in the source"):
        expand(photos, photos / "out")
    with pytest.raises(UsageError, match="expected a run folder"):
        source_of(tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_the_recipe_in_the_run_folder_continues_the_run(photos: Path, finished: Path) -> None:
    before = tree(finished)
    heard = Heard()
    recipe = session.make_recipe(str(finished / "recipe.yaml"), {})
    session.expand(photos, finished, recipe, session.Access(reporter=heard))
    assert heard.stages == []
    assert tree(finished) == before


def test_a_run_goes_on_with_what_it_left_open(photos: Path, finished: Path) -> None:
    """The recipe that a run wrote out spells `auto` out; going on with it must not pin what the rules decide."""
    assert read_recipe(finished / "recipe.yaml", {}).prior.mirror in (True, False)
    assert own_recipe(finished, {}).prior.mirror == "auto"
    assert own_recipe(finished, {}).guidance.eps == "auto"
    assert own_recipe(finished, {"prior.mirror": False}).prior.mirror is False


def test_export_alone_can_be_redone(photos: Path, finished: Path) -> None:
    before = tree(finished)
    session.run_stage("export", finished, {}, session.Access(Options(redo="export")))
    assert tree(finished) == before


def test_a_goal_set_at_a_later_stage_is_planned(photos: Path, finished: Path) -> None:
    wanted = session.run_stage("optimize", finished, {"ratio": 3}).wanted
    assert wanted == 36
    assert run_status(finished).owed >= 12


def test_an_image_that_was_away_during_extract_is_new_when_it_comes_back(own_photos: Path, tmp_path: Path) -> None:
    root, away = tmp_path / "out", tmp_path / "away.png"
    gone = min((own_photos / "cat").iterdir())
    with session.opened(own_photos, root, tiny(), session.Access()) as run:
        pipeline.extract(run)
        run.store.clear("extract")
    gone.rename(away)
    with session.opened(own_photos, root, tiny(), session.Access()) as run:
        pipeline.extract(run)
        assert len(run.plan.sources) == 11
    away.rename(gone)
    summary = session.extract(own_photos, root, tiny(), session.Access(Options(if_exists="extend")))
    assert summary.originals == 12


def test_another_source_that_lacks_images_is_refused_and_takes_nothing_away(photos: Path, finished: Path) -> None:
    before = tree(finished)
    with pytest.raises(UsageError, match=r"was made from .*; .* lacks \d+ of its 12 images\n.* --if-exists extend"):
        session.expand(photos / "cat", finished, tiny())
    assert tree(finished) == before
