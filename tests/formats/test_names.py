"""Names are kept as they are, unless two would meet on some file system."""

import itertools

import pytest

from gifcli.formats.names import LONGEST, Names, folder_names, identity


@pytest.mark.parametrize(("one", "other"), [("a", "A"), ("é", "e\u0301"), ("É", "e\u0301"), ("straße", "STRASSE")])
def test_names_that_may_meet_are_identical(one: str, other: str) -> None:
    assert identity(one) == identity(other)


def test_candidates_are_free_distinct_and_short_enough() -> None:
    names = Names()
    names.take("train/cat/a.jpg")
    found = list(itertools.islice(names.candidates("train/cat", "A", ".jpg", "k1"), 3))
    assert found == ["train/cat/A-k1.jpg", "train/cat/A-k1-2.jpg", "train/cat/A-k1-3.jpg"]
    long = next(names.candidates("train/cat", "é" * 300, ".jpg", "k1")).rpartition("/")[2]
    assert LONGEST - 1 <= len(long.encode()) <= LONGEST
    assert long.endswith("é.jpg")


def test_folders_keep_labels_and_their_order() -> None:
    labels = ["on", "007", "a\\b", "A_B", "-x", "a: b"]
    assert folder_names(labels) == {
        "on": "on",
        "007": "007",
        "a\\b": "a_b",
        "A_B": "A_B-2",
        "-x": "-x",
        "a: b": "a: b",
    }
