"""What is measured again, and what is not."""

from pathlib import Path

import pytest

from gifcli.judge import safety
from gifcli.judge.checklist import OTHERS, SEEDS, is_measured, to_measure, to_survey
from runs import tiny

ON = {"checks__safety__enabled": True}


def test_another_model_of_the_safety_check_means_measuring_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, surveyed = to_measure(tiny(**ON)), to_survey(tiny(**ON))
    mark = {"measured": wanted}
    assert len(str(wanted["safety"])) == 12
    assert is_measured(mark, to_measure(tiny(**ON)))
    (tmp_path / "other.onnx").write_bytes(b"another model")
    monkeypatch.setattr(safety, "model_file", lambda: tmp_path / "other.onnx")
    assert not is_measured(mark, to_measure(tiny(**ON)))
    assert is_measured(mark, to_measure(tiny()))
    for place in (SEEDS, OTHERS):
        assert not is_measured({"measured": surveyed[place]}, to_survey(tiny(**ON))[place])


def test_where_the_package_is_missing_what_was_measured_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    mark = {"measured": to_measure(tiny(**ON))}
    monkeypatch.setattr(safety, "PACKAGE", "no_such_package")
    assert is_measured(mark, to_measure(tiny(**ON)))
    assert not is_measured({"measured": to_measure(tiny())}, to_measure(tiny(**ON)))
