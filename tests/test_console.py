import io
import json
import sys

import pytest

from gifcli import console
from gifcli.console import Console


def test_results_go_to_stdout_and_talk_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    spoken = Console()
    spoken.say("news")
    spoken.warn("beware")
    spoken.result(["one", "two"], {})
    spoken.error("over", 3)
    found = capsys.readouterr()
    assert found.out == "one\ntwo\n"
    assert found.err == "news\nwarning: beware\nerror: over\n"


def test_quiet_keeps_warnings_and_errors(capsys: pytest.CaptureFixture[str]) -> None:
    spoken = Console(quiet=True, verbose=False)
    spoken.say("news")
    spoken.start("generate", 3)
    spoken.advance(3)
    spoken.finish()
    spoken.warn("beware")
    assert capsys.readouterr().err == "warning: beware\n"


def test_json_is_one_document_whatever_happens_after_it(capsys: pytest.CaptureFixture[str]) -> None:
    spoken = Console(as_json=True)
    spoken.result(["text"], {"größe": 1})
    spoken.error("short", 4)
    assert json.loads(capsys.readouterr().out) == {"größe": 1}
    failed = Console(as_json=True)
    failed.error("short", 4)
    assert json.loads(capsys.readouterr().out) == {"error": "short", "exit_code": 4}


def test_no_name_can_command_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    spoken = Console()
    spoken.say("cat\x1b]0;owned\x07\x9b2J größe 😀\r\n  next")
    spoken.result(["cl\x1bass", "b\udcff"], {})
    found = capsys.readouterr()
    assert found.err == "cat\\x1b]0;owned\\x07\\x9b2J größe 😀\\r\n  next\n"
    assert found.out == "cl\\x1bass\nb\\udcff\n"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8", "cp1252"])
def test_json_is_valid_in_any_encoding(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    stdout = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stdout)
    names = {"größe": "😀\x1b\udcff"}
    Console(as_json=True).result([], names)
    stdout.seek(0)
    assert json.loads(stdout.read()) == names


def test_progress_is_a_plain_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spoken = Console()
    spoken.start("generate", 4)
    spoken.advance(1)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(console, "PLAIN_EVERY", 0.0)
    spoken.advance(1)
    spoken.finish()
    spoken.finish()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("generate 2/4 images, ")
    assert "left" in lines[0]
