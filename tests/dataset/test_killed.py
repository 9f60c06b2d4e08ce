"""A dataset that was told of, reported on or exported when that was killed: verify says so, and the next command mends it."""

import shutil
from pathlib import Path

import pytest

from gifcli import session
from gifcli.dataset.exporting import tell
from gifcli.dataset.verify import assert_whole, verify
from gifcli.errors import CheckError
from gifcli.evaluate.record import read_evaluations
from kill_points import eval_told, exported, kill_points, overwritten, report_made
from report.test_page import EVALUATION
from runs import tiny, tree

ARM = {"ece": 5.0, "corrupted": None, "verdict": "hurts", "augmentation": "weak", "inner": 60.0, "share": 50}
MEASURED = {
    **EVALUATION,
    "plain": "half",
    "steps": 20,
    "test_images": 40,
    "originals": 12,
    "generated": 24,
    "arms": [{**arm, **ARM} for arm in EVALUATION["arms"]],
}
"""An entry of evaluation.json."""


def assert_said(root: Path) -> bool:
    """Verify finds nothing damaged; whether it says that an export is to be finished."""
    found = verify(root)
    assert found.differences == {}
    if found.unfinished:
        with pytest.raises(CheckError, match=rf"interrupted; finish it: gif export {root}$"):
            assert_whole(found)
    return found.unfinished


def bring_back(root: Path, reference: Path) -> None:
    shutil.rmtree(root)
    shutil.copytree(reference, root)


def test_an_evaluation_killed_at_any_change_is_mended_by_the_next_export(
    photos: Path, finished: Path, reference: Path, tmp_path: Path
) -> None:
    told = shutil.copytree(reference, tmp_path / "told" / "out")
    eval_told(photos, told, MEASURED)
    unfinished = []
    for number in kill_points(finished, 3, eval_told, photos, finished, MEASURED):
        unfinished.append(assert_said(finished))
        kept = bool(read_evaluations(finished))
        session.run_stage("export", finished, {})
        assert tree(finished) == tree(told if kept else reference), number
        bring_back(finished, reference)
    assert unfinished.count(True) >= 3
    assert False in unfinished
    assert tree(finished) == tree(told)


def test_an_evaluation_after_a_killed_one_mends_it_too(
    photos: Path, finished: Path, reference: Path, tmp_path: Path
) -> None:
    told = shutil.copytree(reference, tmp_path / "told" / "out")
    eval_told(photos, told, MEASURED)
    for _ in kill_points(finished, 7, eval_told, photos, finished, MEASURED):
        with session.opened(photos, finished, tiny(), session.Access()) as run:
            tell(run, MEASURED)
        assert tree(finished) == tree(told)
        bring_back(finished, reference)


def test_a_report_killed_at_any_change_is_mended_by_the_next_export(finished: Path, reference: Path) -> None:
    unfinished = []
    for _ in kill_points(finished, 2, report_made, finished):
        unfinished.append(assert_said(finished))
        session.run_stage("export", finished, {})
        assert tree(finished) == tree(reference)
        bring_back(finished, reference)
    assert True in unfinished
    assert tree(finished) == tree(reference)


def test_an_export_killed_in_many_places_is_mended_by_the_next(photos: Path, finished: Path, reference: Path) -> None:
    unfinished = []
    for _ in kill_points(finished, 5, exported, photos, finished, "mit"):
        unfinished.append(assert_said(finished))
        session.expand(photos, finished, tiny())
        assert tree(finished) == tree(reference)
        bring_back(finished, reference)
    assert True in unfinished


def test_an_overwrite_killed_while_it_removes_files_is_mended_by_the_next_run(
    photos: Path, finished: Path, reference: Path
) -> None:
    before = len(tree(finished))
    for _ in kill_points(finished, 15, overwritten, photos, finished):
        if 0 < before - len(tree(finished)) < before - 10:
            break
    else:
        pytest.fail("it was never killed between the first file that it removes and the last")
    assert assert_said(finished)
    session.expand(photos, finished, tiny())
    assert tree(finished) == tree(reference)
