import json
import shutil
from pathlib import Path
from threading import Timer

import pytest

from documents import gif
from gifcli import session
from gifcli.dataset import exporting
from gifcli.dataset.sums import hash_file, read_sums
from gifcli.errors import InputError, UsageError
from gifcli.evaluate.record import keep_evaluation
from gifcli.reporting.reporting import remake
from gifcli.state.owed import VERDICTS
from gifcli.state.shards import ShardStore
from report.test_page import EVALUATION
from runs import tiny


def page(root: Path) -> str:
    return (root / "report" / "index.html").read_text(encoding="utf-8")


def test_the_report_shows_every_class_with_its_goal_and_guide(reference: Path) -> None:
    text = page(reference)
    for word in ("brick", "cat", "coffee", "2x", "classical", "consistency", "diversity", "12 originals in 3 classes"):
        assert word in text
    assert text.count("data:image/jpeg;base64,") >= 12 + 24
    assert [path.name for path in (reference / "report").iterdir()] == ["index.html"]


def test_goals_are_said_as_they_were_asked_for(photos: Path, finished: Path) -> None:
    for changed, words in (({"ratio": None, "per_class": 6}, "6 images a class"), ({"balance": True}, "2x balanced")):
        with session.opened(photos, finished, tiny(**changed), session.Access()) as run:
            assert exporting.export(run)
        assert words in page(finished)


def test_warnings_and_a_shortfall_are_in_the_report(photos: Path, tmp_path: Path) -> None:
    recipe = tiny(ratio=1, input__limit=2, max_attempts=1, checks__unchanged__max_similarity=-1)
    session.expand(photos, tmp_path / "out", recipe)
    text = page(tmp_path / "out")
    assert "unchanged" in text
    assert "6 images are still owed" in text
    assert "Nobody stated under which terms" in text


def test_a_stated_licence_ends_the_warning(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "license: unknown" in (finished / "README.md").read_text("utf-8")
    assert gif("export", str(finished), "--redo") == 0
    assert "licence of the originals: unknown" in capsys.readouterr().err
    assert gif("export", str(finished), "--license", "cc-by-4.0") == 0
    assert "licence of the originals" not in capsys.readouterr().err
    assert "Nobody stated" not in page(finished)
    assert "licence: cc-by-4.0" in page(finished)
    assert "license: cc-by-4.0" in (finished / "README.md").read_text("utf-8")


def test_made_anew_without_the_source_it_is_the_same(reference: Path, tmp_path: Path) -> None:
    before = page(reference)
    shutil.copytree(reference, tmp_path / "out")
    (tmp_path / "out/report/index.html").unlink()
    state = ShardStore(tmp_path / "out").load("run.json")
    ShardStore(tmp_path / "out").save("run.json", {**state, "source": "/nowhere/photos"})
    assert remake(tmp_path / "out") == tmp_path / "out/report/index.html"
    assert page(tmp_path / "out") == before


def test_an_evaluation_appears_and_the_sums_follow(finished: Path) -> None:
    assert "Does it help a classifier?" not in page(finished)
    keep_evaluation(finished, EVALUATION)
    remake(finished)
    assert "cnn: hurts" in page(finished)
    sums = read_sums(finished)
    assert sums
    assert sums["report/index.html"] == hash_file(finished / "report/index.html")
    data = json.loads((finished / "evaluation.json").read_text("utf-8"))
    (finished / "evaluation.json").write_text(json.dumps({**data, "evaluations": 5}), "utf-8")
    remake(finished)
    assert "cnn: hurts" not in page(finished)


def test_what_cannot_be_reported_is_said(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected a run folder"):
        remake(tmp_path)
    store = ShardStore(finished)
    shard = next(iter(store.done("extract")))
    tar = store.tar("extract", shard)
    hidden = tar.rename(tar.with_suffix(".gone"))
    before = page(finished)
    with pytest.raises(InputError, match=r"went away .* run gif report again"):
        remake(finished)
    assert page(finished) == before
    hidden.rename(tar)
    (finished / "manifest.parquet").unlink()
    with pytest.raises(UsageError, match="first: gif export"):
        remake(finished)


def test_beside_a_writer_it_waits_or_goes_elsewhere(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    elsewhere = str(finished.with_name("elsewhere.html"))
    with ShardStore(finished).lock():
        assert gif("report", str(finished)) == 75
        said = capsys.readouterr().err
        assert "--wait-lock SECONDS; or write the page elsewhere, which takes no lock: -o FILE" in said
        assert gif("report", str(finished), "-o", elsewhere) == 0
    held = ShardStore(finished).lock()
    held.__enter__()
    before = (finished / "report/index.html").stat().st_mtime_ns
    release = Timer(0.5, held.__exit__, (None, None, None))
    release.start()
    assert gif("report", str(finished), "--wait-lock", "60") == 0
    release.join()
    assert (finished / "report/index.html").stat().st_mtime_ns > before


def test_nearest_neighbours_are_told(reference: Path) -> None:
    assert ShardStore(reference).load(VERDICTS)["nearness"]["other_seed"]
    assert "generated image, nearest other seed" in page(reference)
    assert "Similarity of samples to the nearest seed that is not theirs" in page(reference)


def test_the_command_says_where_the_page_is(
    reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gif("report", str(reference), "-o", str(tmp_path / "shared/page.html"), "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"report": str(tmp_path / "shared/page.html")}
    assert (tmp_path / "shared/page.html").read_bytes() == (reference / "report/index.html").read_bytes()
    assert gif("report", str(tmp_path)) == 2
