"""Paths hold every point; names do not lie over one another."""

import re

import numpy as np

from gifcli.report import Cloud
from gifcli.report.histogram import histogram
from gifcli.report.plot import LETTER, LINE, crosses, dots, lay_out, steps

NAMES = {"a": "Anna", "b": "Bert", "c": "a name that is far too long to be shown"}
POINTS = [
    (100.0, 100.0, "seed", "a"),
    (110.0, 104.0, "seed", "b"),
    (90.0, 98.0, "kept", "a"),
    (630.0, 5.0, "seed", "c"),
]


def test_a_path_has_all_points_of_its_kind() -> None:
    assert dots([(1.5, 2.0), (3.0, 4.0)]) == "M1.5 2h0M3 4h0"
    assert crosses([(10.0, 20.0)], 2.5) == "M7.5 17.5l5 5m0-5l-5 5"
    drawn = lay_out(Cloud([*POINTS, (9.0, 9.0, "rejected", "b")], 640, 300, 0.5), NAMES, 12)
    assert drawn.kinds["seed"].count("M") == 3
    assert {label: sorted(kinds) for label, kinds in drawn.classes.items()} == {
        "a": ["kept", "seed"],
        "b": ["rejected", "seed"],
        "c": ["seed"],
    }


def test_names_stay_apart_and_inside() -> None:
    drawn = lay_out(Cloud(POINTS, 640, 300, 0.5), NAMES, 12)
    assert len(drawn.names) == 3
    for x, y, name in drawn.names:
        assert len(name) * LETTER / 2 <= x <= 640 - len(name) * LETTER / 2
        assert LINE <= y <= 300
    (_, first, _), (_, second, _) = sorted(
        (entry for entry in drawn.names if entry[0] < 300), key=lambda entry: entry[1]
    )
    assert second - first >= LINE


def test_many_classes_are_one_cloud() -> None:
    drawn = lay_out(Cloud(POINTS, 640, 300, 0.5), NAMES, 2)
    assert (drawn.classes, drawn.names) == ({}, [])
    assert set(drawn.kinds) == {"seed", "kept"}


def test_a_class_that_the_page_does_not_know_is_in_the_cloud_only() -> None:
    drawn = lay_out(Cloud(POINTS, 640, 300, 0.5), {"a": "Anna", "b": "Bert"}, 12)
    assert set(drawn.classes) == {"a", "b"}
    assert drawn.kinds["seed"].count("M") == 3


def test_a_histogram_has_every_value_and_its_outline_every_bin() -> None:
    values = np.array([0.0, 0.5, 0.5, 1.0, 7.0])
    found = histogram("x", values, 0.0, 1.0)
    assert sum(found.shares) == 1
    assert (found.shares[0], found.shares[16], found.shares[-1]) == (0.2, 0.4, 0.4)
    assert (found.median, found.highest) == (0.5, 7.0)
    outline = steps(found, 0.4, 320, 50)
    assert len(re.findall(r"V", outline)) == 33
    assert "V0.0" in outline
