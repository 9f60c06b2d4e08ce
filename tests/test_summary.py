from pathlib import Path

from gifcli import session
from gifcli.pipeline import Done
from gifcli.summary import Summary, summarise
from runs import tiny

SHORT = Summary("out", 12, 20, 24, 40, {"drift": 8, "label": 2}, {"cat": 4}, 3, {"generate": 12.345}, 7.4)


def test_lines_say_what_a_person_wants_to_know() -> None:
    assert SHORT.to_lines() == [
        "12 originals + 20 generated = 32 images in out",
        "checks kept 75% of 40 samples; rejected: drift 8, label 2",
        "images/s: generate 12.3; 7 s in all",
        "short of the ratio by 4 of 24 samples; class: cat 4",
        "3 files could not be used; out/failures.jsonl says why",
    ]


def test_a_run_whose_dataset_is_not_written_yet_does_not_speak_of_one() -> None:
    early = Summary("my run", 12, 0, 24, 0, {}, {"cat": 24}, 0, {}, 1.0, exported=False)
    assert early.to_lines() == [
        "12 originals + 0 generated = 12 images so far; gif status 'my run' says what is next",
        "not there yet: 24 of 24 samples; class: cat 24",
    ]


def test_data_says_the_same() -> None:
    data = SHORT.to_data()
    assert data["kept_share"] == 0.75
    assert data["shortfall"] == {"cat": 4}


def test_nothing_was_judged_yet() -> None:
    assert Summary("out", 12, 0, 24, 0, {}, {}, 0, {}, 0.0).kept_share == 0


def test_a_finished_run_in_figures(photos: Path, finished: Path) -> None:
    steps = [Done("extract", 1, 10, 2.0), Done("generate", 1, 10, 1.0), Done("generate", 1, 5, 0.5), Done("filter")]
    with session.opened(photos, finished, tiny(), session.Access()) as run:
        summary = summarise(run, steps)
    assert (summary.originals, summary.generated, summary.wanted, summary.shortfall) == (12, 24, 24, {})
    assert summary.judged == 24 + sum(summary.rejected.values())
    assert summary.rates == {"extract": 5.0, "generate": 10.0}
    assert summary.seconds == 3.5
