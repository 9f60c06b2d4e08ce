"""`gif filter --dry-run` says what `gif filter` then does, and touches nothing."""

import json
from pathlib import Path

import pytest

from documents import gif
from gifcli import session
from gifcli.checks import NAMES
from gifcli.errors import UsageError
from gifcli.judge.sifting import rehearse_filter
from runs import stamps, tree

TIGHT = {"checks.unchanged.max_similarity": 0.8, "checks.drift.quantile": 0.5}


def test_it_says_what_filter_then_does_and_touches_nothing(finished: Path) -> None:
    before = tree(finished), stamps(finished)
    forecast = rehearse_filter(finished, TIGHT, session.Silent())
    assert (tree(finished), stamps(finished)) == before
    assert (forecast.measured_now, forecast.samples) == (
        0,
        forecast.kept + sum(check.drops for check in forecast.checks),
    )
    samples = {name: stamp for name, stamp in before[1].items() if "3-samples" in name}
    done = session.run_stage("filter", finished, TIGHT)
    assert {check.name: check.drops for check in forecast.checks if check.drops} == done.rejected
    assert len(samples) > 5
    assert samples.items() <= stamps(finished).items()
    assert rehearse_filter(finished, {}, session.Silent()).kept_before == forecast.kept != forecast.kept_before


def test_each_check_is_also_counted_alone(finished: Path) -> None:
    checks = {check.name: check for check in rehearse_filter(finished, TIGHT, session.Silent()).checks}
    assert set(checks) == {*NAMES} - {"safety", "memorised"}
    assert all(check.alone >= check.drops for check in checks.values())
    assert checks["unchanged"].alone > 3
    assert checks["unchanged"].thresholds["max_similarity"] == 0.8
    assert (checks["outlier"].enabled, checks["outlier"].drops) == (False, 0)


def test_what_is_not_measured_yet_is_measured_in_memory(finished: Path) -> None:
    """Safety was off; once it is on, filter measures again, and generates nothing."""
    asked = {"checks.safety.enabled": True, "checks.safety.max_score": 0.05}
    before = stamps(finished)
    forecast = rehearse_filter(finished, asked, session.Silent())
    assert stamps(finished) == before
    assert forecast.measured_now == forecast.samples
    dropped = next(check for check in forecast.checks if check.name == "safety").drops
    assert 0 < dropped < forecast.samples
    done = session.run_stage("filter", finished, asked)
    assert done.rejected["safety"] == dropped
    after = stamps(finished)
    assert {name for name in before if after[name] != before[name] and "/stages/" in name} == {
        name for name in before if "4-verdicts" in name
    }


def test_the_command_prints_a_table_or_one_document(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gif("filter", str(finished), "--dry-run", "--set", "checks.unchanged.max_similarity=0.8") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["check", "drops", "alone", "thresholds"]
    assert [line.split()[0] for line in lines[2:-1]] == [name for name in NAMES if name not in ("safety", "memorised")]
    assert lines[-1].endswith("nothing was written")
    assert gif("filter", str(finished), "--dry-run", "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert data["kept"] == data["kept_before"]


def test_without_samples_it_says_what_to_do_first(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected a run folder"):
        rehearse_filter(tmp_path, {}, session.Silent())
