"""`gif eval` on a small real run: what it writes, what it refuses."""

import json
import os
from pathlib import Path

import pytest

from documents import gif
from gifcli import session
from gifcli.dataset import verify
from gifcli.evaluate import EvaluationSettings, evaluate_run
from gifcli.evaluate.record import EVALUATION, keep_evaluation, read_evaluations
from gifcli.session import run_stage
from gifcli.state.owed import VERDICTS
from gifcli.state.shards import ShardStore
from runs import save_crops, tiny

QUICK = ("--rngs", "2", "--train-steps", "20")


@pytest.fixture(scope="module")
def test_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Other crops of the run's pictures, and one that the run was trained on."""
    folder = tmp_path_factory.mktemp("test")
    for label in ("brick", "cat", "coffee"):
        save_crops(folder / label, label, 4, first=8)
    save_crops(folder / "cat", "cat", 1)
    (folder / "cat" / "broken.png").write_bytes(b"\x89PNG\r\n and no more")
    return folder


def test_table_card_advice_and_report_tell_the_same(finished, test_folder, capsys):
    code = gif("eval", str(finished), "--test", str(test_folder), *QUICK, "--json", "--corruptions")
    out = capsys.readouterr()
    told = json.loads(out.out)
    assert "broken.png is left out of the test" in out.err
    assert code == 0
    assert told["test"] == "12 images of " + test_folder.name  # without the one that the run knows
    assert (told["originals"], told["generated"]) == (12, 24)
    assert all(arm["corrupted"]["mean"] >= 0 for arm in told["arms"])
    kept = json.loads((finished / EVALUATION).read_text())["evaluations"]
    assert kept == [{name: value for name, value in told.items() if name != "run"}]
    card = (finished / "README.md").read_text()
    assert "## Does it help?" in card
    assert told["chosen"] in card
    assert "by: measured" in (finished / "advice.yaml").read_text()
    assert told["chosen"] in (finished / "report" / "index.html").read_text()
    verify.assert_whole(verify.verify(finished))


def test_one_class_has_nothing_to_tell_apart(photos, tmp_path, capsys):
    session.expand(photos / "cat", tmp_path / "one", tiny(ratio=1))
    assert gif("eval", str(tmp_path / "one"), "--test", str(photos)) == 2
    assert "expected two classes or more" in capsys.readouterr().err


def test_without_test_images_it_says_what_to_do(finished, capsys):
    assert gif("eval", str(finished)) == 2
    assert "give a folder with --test DIR" in capsys.readouterr().err
    assert not (finished / EVALUATION).exists()


def test_it_runs_where_it_is_told_to(finished, test_folder, capsys, monkeypatch):
    command = ["eval", str(finished), "--test", str(test_folder), *QUICK]
    assert gif(*command, "--device", "cuda:77") == 6
    assert "--device cuda:77" in capsys.readouterr().err
    monkeypatch.setenv("GIF_DEVICE", "abacus")
    assert gif(*command) == 2
    assert "GIF_DEVICE: expected auto, cpu or cuda:N" in capsys.readouterr().err
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.setenv(name, "0")
    assert gif("eval", str(finished), "--device", "cpu", "--offline") == 2  # no test images
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    assert gif("eval", str(finished), "--strength", "0.3") == 2  # not a setting that eval has


def test_the_gate_has_its_exit_code(finished, test_folder, capsys):
    command = ["eval", str(finished), "--test", str(test_folder), *QUICK]
    assert gif(*command, "--fail-under", "gain=99") == 5
    assert "--fail-under gain=99: expected the 90% interval" in capsys.readouterr().err
    assert gif(*command, "--fail-under", "gain=-100") == 0


def test_the_same_run_gives_the_same_table(finished, test_folder):
    settings = EvaluationSettings(test=test_folder, rngs=2, steps=10)
    assert evaluate_run(finished, settings).data == evaluate_run(finished, settings).data


def test_what_was_measured_goes_with_the_images_that_it_was_measured_on(finished):
    store = ShardStore(finished)
    keep_evaluation(finished, {"learner": "probe", "test": "t"})
    keep_evaluation(finished, {"learner": "cnn", "test": "t"})
    keep_evaluation(finished, {"learner": "probe", "test": "u"})
    assert [(each["learner"], each["test"]) for each in read_evaluations(finished)] == [("cnn", "t"), ("probe", "u")]
    store.save(VERDICTS, {**store.load(VERDICTS), "fingerprint": "other"})
    assert read_evaluations(finished) == []
    assert (finished / EVALUATION).exists()
    run_stage("export", finished, {"checks.label.quantile": 0.2})
    assert not (finished / EVALUATION).exists()
