"""Readable names of the classes."""

import pytest
from PIL import Image

from gifcli.errors import InputError
from gifcli.sources.classes import read_names, readable
from gifcli.sources.source import scan


def test_names_come_from_the_file_else_from_the_folder(tmp_path):
    (tmp_path / "classes.yaml").write_text("n02099601: golden retriever\n01: beagle\nno: no dog\nempty:\n")
    names = read_names(tmp_path, ["01", "empty", "n02099601", "no", "tabby_cat--old"])
    assert list(names.names.values()) == ["beagle", "empty", "golden retriever", "no dog", "tabby cat old"]
    assert names.warnings == []


def test_another_file_goes_first(tmp_path):
    (tmp_path / "classes.yaml").write_text("a: one")
    (tmp_path / "other.yaml").write_text("a: two")
    assert read_names(tmp_path, ["a"], tmp_path / "other.yaml").names == {"a": "two"}


def test_an_unknown_folder_gets_a_suggestion(tmp_path):
    (tmp_path / "classes.yaml").write_text("beegle: a hound")
    assert "no class folder is named beegle; did you mean beagle?" in read_names(tmp_path, ["beagle"]).warnings[0]


@pytest.mark.parametrize("text", ["- a\n- b", "a: {b: c}", "a: [b", "just words", "a: \x00", "a: [1, 2]"])
def test_a_broken_file_is_refused(tmp_path, text):
    (tmp_path / "classes.yaml").write_text(text)
    with pytest.raises(InputError, match=r"classes\.yaml: .*golden retriever"):
        read_names(tmp_path, ["a"])


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_names(tmp_path, ["a"], tmp_path / "none.yaml")


def test_a_name_of_signs_only_stays(tmp_path):
    assert (readable("__"), readable("a_-b")) == ("__", "a b")


def test_scan_uses_them(tmp_path):
    for label in ("n01", "n02"):
        (tmp_path / label).mkdir()
        Image.new("RGB", (8, 8), (label[-1] == "1" and "red") or "blue").save(tmp_path / label / "x.png")
    (tmp_path / "classes.yaml").write_text("n01: tench\nn02: Tench")
    found = scan(tmp_path)
    assert found.classes == {"n01": "tench", "n02": "Tench"}
    assert "'n01', 'n02' read the same" in found.warnings[0]
