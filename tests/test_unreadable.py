"""Files that cannot be used: which ones count, against what, and until when."""

import shutil
from pathlib import Path

import pytest

from gifcli import session
from gifcli.errors import InputError
from runs import save_crops, tiny

CHECKS = ("broken", "label", "drift", "band", "unchanged", "leak", "duplicate")
FEW = {"ratio": 1, "guidance__steps": 0, "max_attempts": 1, **{f"checks__{name}__enabled": False for name in CHECKS}}
"""One image a seed, whatever it looks like."""


@pytest.fixture
def four(tmp_path: Path) -> Path:
    """Two classes of two pictures."""
    for label in ("brick", "cat"):
        save_crops(tmp_path / "photos" / label, label, 2)
    return tmp_path / "photos"


def listed(root: Path) -> str:
    path = root / "failures.jsonl"
    return path.read_text("utf-8") if path.is_file() else ""


def test_a_mended_file_no_longer_counts_and_is_taken_in_by_extend(four: Path, tmp_path: Path) -> None:
    root, bad, again = tmp_path / "out", four / "cat" / "bad.png", session.Access(session.Options(if_exists="extend"))
    bad.write_bytes((four / "cat" / "0.png").read_bytes()[:900])
    for access in (session.Access(), again):  # whatever is done, a file that is still broken counts
        with pytest.raises(InputError, match=r"1 of 5 files .* --if-exists extend, which takes mended files in"):
            session.expand(four, root, tiny(**FEW), access)
    assert "cat/bad.png" in listed(root)
    save_crops(tmp_path / "spare", "cat", 3)[2].replace(bad)
    left_alone = session.expand(four, root, tiny(**FEW))
    assert (left_alone.originals, left_alone.failures, listed(root)) == (4, 0, "")
    session.verdict(left_alone, tiny(**FEW))
    extended = session.expand(four, root, tiny(**FEW), again)
    assert (extended.originals, extended.failures, extended.usable) == (5, 0, 5)
    assert (root / "train" / "cat" / "bad.png").is_file()


def test_a_broken_file_that_was_moved_counts_under_its_new_name(four: Path, tmp_path: Path) -> None:
    root, bad = tmp_path / "out", four / "cat" / "bad.png"
    bad.write_bytes(b"no picture at all")
    session.extract(four, root, tiny(**FEW))
    bad.rename(bad.with_name("worse.png"))
    with pytest.raises(InputError, match="1 of 5 files"):
        session.expand(four, root, tiny(**FEW))
    assert "cat/worse.png" in listed(root)


def test_files_beyond_the_limit_held_out_or_of_other_splits_are_usable_too(tmp_path: Path) -> None:
    source, root = tmp_path / "photos", tmp_path / "out"
    for first, split in ((0, "train"), (4, "val"), (8, "test")):
        for label in ("brick", "cat"):
            save_crops(source / split / label, label, 4, first=first)
    (source / "test" / "cat" / "empty.png").touch()
    asked = {**FEW, "input__limit": 1, "input__holdout": "25%"}
    summary = session.expand(source, root, tiny(**asked))
    assert (summary.originals, summary.failures, summary.usable) == (2, 1, 24)
    session.verdict(summary, tiny(**asked))
    with pytest.raises(InputError, match="1 of 25 files could not be used, more than --max-failures 3%"):
        session.expand(source, root, tiny(**asked, input__max_failures="3%"))


def test_an_image_that_only_the_export_finds_broken_is_not_usable(photos: Path, tmp_path: Path) -> None:
    source = tmp_path / "photos"
    for split in ("train", "test"):
        shutil.copytree(photos / "cat", source / split / "cat")
    (source / "test" / "cat" / "bad.png").write_bytes((photos / "cat" / "0.png").read_bytes()[:900])
    summary = session.expand(source, tmp_path / "out", tiny(**FEW))
    assert (summary.failures, summary.usable) == (1, 8)
    with pytest.raises(InputError, match="1 of 9 files"):
        session.verdict(summary, tiny())
