"""The command line as a script sees it: exit codes, and what goes to stdout and what to stderr."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from documents import gif as main
from processes import Finished, finish, fresh, start
from runs import FLAGS, stamps

ESCAPE = "\x1b"


@pytest.fixture
def gif(tmp_path: Path):
    """Runs gif to its end."""

    def run(*arguments: str | Path, **environment: str) -> Finished:
        return start(tmp_path / "log", *arguments, **environment).wait()

    return run


@pytest.mark.parametrize("arguments", [["--help"], ["expand", "--help"], ["recipes", "list"], ["--version"]])
def test_help_imports_no_torch_and_no_rich(arguments: list[str]) -> None:
    done = finish(fresh(*arguments, flags=("-X", "importtime")))
    assert done.code == 0
    modules = {line.rpartition("|")[2].strip() for line in done.err.splitlines() if line.startswith("import time:")}
    assert "gifcli.cli" in modules
    assert not modules & {"torch", "numpy", "rich", "pyarrow", "PIL"}
    assert ESCAPE not in done.out


def test_every_command_shows_an_example(gif) -> None:
    commands = ["expand", "run", "extract", "optimize", "generate", "filter", "export", "status", "doctor"]
    groups = [("recipes", "list"), ("recipes", "show"), ("recipes", "copy"), ("models", "list"), ("models", "pull")]
    for command in [*((name,) for name in commands), *groups]:
        shown = gif(*command, "--help")
        assert shown.code == 0
        assert f"Example: gif {' '.join(command)}" in shown.out, command


def test_a_run_from_start_to_end_and_its_status(gif, photos: Path, tmp_path: Path) -> None:
    root = tmp_path / "out"
    done = gif("expand", photos, "-o", root, *FLAGS, "--ratio", "1x", "--json")
    assert done.code == 0, done.err
    summary = json.loads(done.out)
    assert (summary["originals"], summary["generated"], summary["output"]) == (12, 12, str(root))
    assert "guide: accuracy on your seeds" in done.err
    assert ESCAPE not in done.out + done.err
    again = gif("expand", photos, "-o", root, *FLAGS, "--ratio", "1x", "--quiet")
    assert again.out.splitlines()[0] == f"12 originals + 12 generated = 24 images in {root}"
    assert again.err == ""
    status = gif("status", root, "--json")
    assert json.loads(status.out)["kept"] == 12
    for stage in ("optimize", "generate", "filter", "export"):
        assert gif(stage, root).code == 0


ERRORS = {
    "unknown option": (["expand", "{photos}", "--ratios", "3x"], 2, "--ratio"),
    "unknown command": (["expnd"], 2, "expnd"),
    "missing argument": (["expand"], 2, "SOURCE"),
    "typo in a path": (["expand", "{photos}", "--set", "guidance.stepps=3"], 2, "did you mean `steps`?"),
    "no assignment": (["expand", "{photos}", "--set", "guidance.steps"], 2, "path=value"),
    "bad ratio": (["expand", "{photos}", "--ratio", "lots"], 2, "ratio: expected a number"),
    "bad choice": (["expand", "{photos}", "--if-exists", "maybe"], 2, "resume, extend, overwrite, error"),
    "bad stage": (["expand", "{photos}", "--redo", "everything"], 2, "--redo"),
    "bad prior": (["expand", "{photos}", "-o", "{tmp}/o", "--prior", "magic"], 2, "magic"),
    "bad device": (["expand", "{photos}", "-o", "{tmp}/o", "--device", "abacus"], 2, "--device"),
    "no such device": (["expand", "{photos}", "-o", "{tmp}/o", "--device", "cuda:77"], 6, "cuda:77"),
    "unknown recipe": (["expand", "{photos}", "-r", "soup"], 2, "soup"),
    "missing source": (["expand", "{tmp}/nowhere"], 3, "nowhere"),
    "empty source": (["expand", "{tmp}/empty"], 3, "expected SOURCE/<class>"),
    "output in the source": (["expand", "{photos}", "-o", "{photos}/out"], 2, "choose a folder outside it"),
    "no run folder": (["filter", "{tmp}/empty"], 2, "expected a run folder"),
    "no run folder, status": (["status", "{tmp}/empty"], 2, "expected a run folder"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_one_clear_line_and_its_exit_code(gif, photos: Path, tmp_path: Path, name: str) -> None:
    arguments, code, hint = ERRORS[name]
    (tmp_path / "empty").mkdir()
    places = {"photos": photos, "tmp": tmp_path}
    done = gif(*(argument.format(**places) for argument in arguments))
    assert done.code == code, done
    assert done.out == ""
    errors = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert hint in done.err
    assert "Traceback" not in done.err
    assert ESCAPE not in done.err


@pytest.mark.parametrize("name", ["bad ratio", "missing source", "output in the source"])
def test_json_is_one_document_on_errors_too(gif, photos: Path, tmp_path: Path, name: str) -> None:
    arguments, code, _hint = ERRORS[name]
    done = gif(*(argument.format(photos=photos, tmp=tmp_path) for argument in arguments), "--json")
    assert json.loads(done.out)["exit_code"] == code == done.code


def test_json_is_one_document_on_mistakes_on_the_command_line(gif, photos: Path) -> None:
    done = gif("expand", photos, "--json", "--ratios", "3x")
    assert json.loads(done.out)["exit_code"] == 2


def test_a_bad_recipe_lists_all_its_problems(gif, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("prior: {strength: 5}\nguides: [{name: entropy, wieght: 1}]\nrng: -1\n")
    done = gif("expand", photos, "-r", tmp_path / "bad.yaml")
    assert done.code == 2
    assert done.err.splitlines() == [
        f"error: {tmp_path / 'bad.yaml'} has 3 problems",
        "  rng: expected greater than or equal to 0; found -1",
        "  prior.strength: expected a number from 0 to 1; found 5",
        "  guides[0].wieght: unknown setting; did you mean `weight`?",
    ]


def test_a_shortfall_is_exit_4_with_one_document(gif, photos: Path, tmp_path: Path) -> None:
    none = ["--set", "checks.unchanged.max_similarity=-1", "--max-attempts", "1", "--ratio", "1x"]
    done = gif("expand", photos, "-o", tmp_path / "out", *FLAGS, *none, "--json")
    assert done.code == 4
    assert json.loads(done.out)["shortfall"] == {"brick": 4, "cat": 4, "coffee": 4}
    assert "12 of 12 samples are missing" in done.err


def test_too_many_failures_are_exit_3_before_anything_is_generated(gif, own_photos: Path, tmp_path: Path) -> None:
    (own_photos / "cat" / "bad.png").write_bytes(b"no picture")
    root, flags = tmp_path / "out", [*FLAGS, "--ratio", "1x", "--max-failures", "5%"]
    done = gif("expand", own_photos, "-o", root, *flags, "--json")
    assert done.code == json.loads(done.out)["exit_code"] == 3
    assert f"1 of 13 files could not be used, more than --max-failures 5%; {root}/failures.jsonl says why" in done.err
    assert "cat/bad.png" in (root / "failures.jsonl").read_text()
    made = [len(list((root / ".gifcli" / "stages").glob(f"{stage}/*.tar"))) for stage in ("1-seeds", "2-noises")]
    assert made == [7, 0]
    assert gif("verify", root).code == 0
    before = stamps(root / ".gifcli" / "stages" / "1-seeds")
    assert gif("expand", own_photos, "-o", root, *flags[:-1], "10%").code == 0
    assert stamps(root / ".gifcli" / "stages" / "1-seeds") == before
    assert (root / "train" / "cat" / "0.png").is_file()


def test_too_many_failures_that_only_the_export_finds_are_exit_3_and_the_dataset_is_there(
    gif, photos: Path, tmp_path: Path
) -> None:
    source, root = tmp_path / "split", tmp_path / "out"
    for split in ("train", "test"):
        shutil.copytree(photos / "cat", source / split / "cat")
    (source / "test" / "cat" / "bad.png").write_bytes((photos / "cat" / "0.png").read_bytes()[:900])
    done = gif("expand", source, "-o", root, *FLAGS, "--ratio", "1x", "--set", "checks.leak.enabled=false")
    assert done.code == 3
    assert "--max-failures 5%" in done.err
    assert (root / "train" / "cat" / "0.png").is_file()


def test_a_flag_beats_the_environment_which_beats_the_recipe(gif, photos: Path, finished: Path, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("ratio: 1\nprior: {name: classical}\nguidance: {steps: 1, encoder_size: 64}\n")
    command = ["expand", photos, "-o", finished, "-r", tmp_path / "r.yaml", "--json"]
    assert json.loads(gif(*command).out)["wanted"] == 12
    assert json.loads(gif(*command, GIF_RATIO="2x").out)["wanted"] == 24
    assert json.loads(gif(*command, "--ratio", "1.5x", GIF_RATIO="2x").out)["wanted"] == 18
    assert json.loads(gif(*command, "--set", "ratio=1", GIF_RATIO="2x").out)["wanted"] == 12
    assert json.loads(gif(*command, "--set", "ratio=1", "--ratio", "1.5x").out)["wanted"] == 18


def test_a_changed_setting_is_refused_with_what_to_do(gif, photos: Path, finished: Path) -> None:
    done = gif("expand", photos, "-o", finished, *FLAGS, "--rng", "7")
    assert done.code == 2
    assert "rng was 0, now 7" in done.err
    assert "--redo optimize" in done.err


@pytest.mark.parametrize("environment", [{}, {"NO_COLOR": "1"}, {"FORCE_COLOR": "1"}, {"TERM": "xterm-256color"}])
def test_no_ansi_where_no_terminal_is(gif, photos: Path, environment: dict[str, str]) -> None:
    for arguments in (["--help"], ["expand", "--help"], ["expand", photos, "--nope"], ["recipes", "list"]):
        done = gif(*arguments, **environment)
        assert ESCAPE not in done.out + done.err


def test_results_can_be_cut_off_by_a_pipe() -> None:
    process = fresh("recipes", "list")
    process.stdout.close()
    assert process.wait(60) == 141
    assert "Traceback" not in process.stderr.read()


def test_names_that_stdout_cannot_encode_are_escaped(gif, own_photos: Path, finished: Path) -> None:
    odd = finished.rename(finished.with_name("out-größe-😀"))
    done = gif("status", odd, PYTHONIOENCODING="ascii", LC_ALL="C")
    assert done.code == 0


def test_recipes_are_listed_shown_and_copied(gif, tmp_path: Path) -> None:
    names = list(json.loads(gif("recipes", "list", "--json").out))
    assert {"default", "classical", "texture"} <= set(names)
    shown = gif("recipes", "show", "texture").out
    copy = tmp_path / "mine.yaml"
    assert gif("recipes", "copy", "texture", copy).code == 0
    assert copy.read_text(encoding="utf-8").rstrip() == shown.rstrip()
    assert gif("recipes", "copy", "texture", copy).code == 2
    assert gif("recipes", "show", "nope").code == 2
    assert json.loads(gif("recipes", "show", "texture", "--json").out) == {"name": "texture", "recipe": shown.rstrip()}
    other = tmp_path / "other.yaml"
    assert json.loads(gif("recipes", "copy", "texture", other, "--json").out) == {"path": str(other)}


def test_a_dry_run_writes_nothing(gif, photos: Path, tmp_path: Path) -> None:
    root = tmp_path / "out"
    done = gif("expand", photos, "-o", root, *FLAGS, "--dry-run", "--json")
    assert done.code == 0, done.err
    forecast = json.loads(done.out)
    assert (forecast["originals"], forecast["generated"]) == (12, 24)
    assert not root.exists()


def test_doctor_and_models_say_what_is_there(gif) -> None:
    doctor = json.loads(gif("doctor", "--json").out)
    assert doctor
    (encoder,) = [row for row in json.loads(gif("models", "list", "--json").out) if row["kind"] == "encoder"][:1]
    assert len(encoder["revision"]) == 12


def test_python_m_gifcli_is_gif() -> None:
    done = subprocess.run([sys.executable, "-m", "gifcli", "--version"], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("gif ")


@pytest.mark.parametrize("output", ["x" * 300, "/proc/gif-out"])
def test_a_path_that_cannot_be_is_one_clear_line(gif, photos: Path, output: str) -> None:
    done = gif("expand", photos, "-o", output, *FLAGS)
    assert done.code == 6
    assert len(done.err.strip().splitlines()) == 1
    assert "try another path" in done.err


VARIABLES = {
    "a type": ({"GIF_STEPS": "many"}, "error: GIF_STEPS: "),
    "a setting": ({"GIF_RATIO": "zz"}, "error: the environment variable GIF_RATIO has a problem"),
    "a device": ({"GIF_DEVICE": "abacus"}, "error: GIF_DEVICE: expected auto, cpu or cuda:N"),
    "a prior": ({"GIF_PRIOR": "embeded"}, "error: GIF_PRIOR: expected auto, classical, embedded,"),
    "a choice": ({"GIF_IF_EXISTS": "resum"}, "error: GIF_IF_EXISTS: expected one of resume, extend"),
}


@pytest.mark.parametrize("name", VARIABLES)
def test_a_bad_value_in_the_environment_is_blamed_on_its_variable(gif, photos: Path, tmp_path: Path, name: str) -> None:
    environment, lead = VARIABLES[name]
    done = gif("expand", photos, "-o", tmp_path / "o", **environment)
    assert done.code == 2
    (line,) = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert line.startswith(lead)
    assert "command line" not in done.err


def test_a_flag_beats_the_environment_and_its_goal_and_is_blamed_alone(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"RATIO": "5x", "BALANCE": "1", "PRIOR": "classical", "STEPS": "8"}.items():
        monkeypatch.setenv(f"GIF_{name}", value)
    line = ["expand", str(photos), "-o", str(tmp_path / "o"), "--dry-run"]
    for goal in ([], ["--per-class", "5"], ["--set", "per_class=5"]):
        assert main(*line, *goal, "--set", "prior.name=foo") == 2
        said = capsys.readouterr().err
        assert "found 'foo'" in said
        assert "GIF_PRIOR" not in said
    assert main(*line, "--set", "guidance.where=after") == 2
    said = capsys.readouterr().err
    assert "ignores prior.steps = 8; of" in said
    assert "left out, it comes from GIF_STEPS" in said
    assert "error: guidance.where: the prior classical takes before" in said
    monkeypatch.delenv("GIF_RATIO")
    monkeypatch.delenv("GIF_BALANCE")
    monkeypatch.setenv("GIF_PER_CLASS", "9")
    for goal in (["--ratio", "1x"], ["--balance"]):
        assert main(*line, *goal, "--set", "prior.name=foo") == 2
        assert "found 'foo'" in capsys.readouterr().err


def test_a_variable_that_no_command_knows_is_told_of(gif, photos: Path, tmp_path: Path) -> None:
    done = gif("expand", photos, "-o", tmp_path / "o", *FLAGS, "--dry-run", GIF_RATOI="3x", GIF_QQQ="1", GIF_RATIO="zz")
    assert done.code == 0, done.err  # a flag beats the value that is none
    assert "warning: the environment variable GIF_RATOI sets nothing; did you mean `GIF_RATIO`?" in done.err
    assert "warning: the environment variable GIF_QQQ sets nothing\n" in done.err


WRONG_KIND = {
    "whole number": (["--rng", "abc"], {}, "error: --rng: expected a whole number; see: gif expand --help"),
    "variable": ([], {"GIF_RNG": "abc"}, "error: GIF_RNG: expected a whole number; found 'abc'; see"),
    "yes or no": ([], {"GIF_BALANCE": "perhaps"}, "error: GIF_BALANCE: expected true or false; found 'perhaps'; see"),
    "ratio": (["--ratio", "five"], {}, "ratio: expected a number such as 5 or 5x; found 'five'"),
    "percentage": (["--holdout", "20"], {}, "a share from 0 to 1, or a percentage; found 20; did you mean 20%?"),
}


@pytest.mark.parametrize("name", WRONG_KIND)
def test_a_value_of_the_wrong_kind_is_told_in_words(name: str, photos: Path, capsys, monkeypatch) -> None:
    flags, variables, said = WRONG_KIND[name]
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    assert main("expand", str(photos), *flags, "--dry-run") == 2
    assert said in capsys.readouterr().err


def test_a_wrong_flag_on_a_run_is_not_blamed_on_its_recipe(finished: Path, capsys) -> None:
    assert main("export", str(finished), "--to", "webdatset") == 2
    said = capsys.readouterr().err
    assert "error: the command line has a problem" in said
    assert "found 'webdatset'; did you mean `webdataset`?" in said
    assert "recipe.yaml" not in said


MISSPELT = {
    "prior": (["expand", "{photos}", "-o", "{tmp}/o", "--prior", "embeded"], "did you mean `embedded`?"),
    "encoder": (["expand", "{photos}", "-o", "{tmp}/o", "--encoder", "embeded"], "did you mean `embedded`?"),
    "recipe": (["expand", "{photos}", "-r", "textures"], "did you mean `texture`?"),
    "shown recipe": (["recipes", "show", "clasical"], "did you mean `classical`?"),
    "stage": (["expand", "{photos}", "--redo", "optimise"], "did you mean `optimize`?"),
}


@pytest.mark.parametrize("name", MISSPELT)
def test_a_name_that_is_nearly_right_is_guessed(gif, photos: Path, tmp_path: Path, name: str) -> None:
    arguments, guess = MISSPELT[name]
    done = gif(*(argument.format(photos=photos, tmp=tmp_path) for argument in arguments))
    assert done.code == 2
    assert guess in done.err
    assert "taesd" not in done.err
    assert "lcm-lora" not in done.err
