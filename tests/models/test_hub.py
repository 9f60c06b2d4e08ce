"""Names of models, the hub's cache, and pulling from a small hub on this machine."""

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import open_clip
import pytest
import torch
from safetensors.torch import save_file

import checkpoints
from documents import gif
from gifcli import models
from gifcli.errors import ModelMissingError, UsageError
from gifcli.models import hub
from gifcli.models.hashes import file_hash
from gifcli.models.pulling import pull_missing, pull_named
from gifcli.models.tags import SAFE, is_tagged, tag_files

COMMIT = "a" * 40


class Hub(BaseHTTPRequestHandler):
    """As much of the hub's protocol as `snapshot_download` speaks: one repository, served from a folder."""

    folder: Path
    served: list[str]

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if "/nobody/" in path:
            self._answer(404, b"", {"X-Error-Code": "RepoNotFound"})
        elif "/tree/" in path:
            self._answer(200, json.dumps([self._entry(name) for name in self._names()]).encode())
        elif path.startswith("/api/models/"):
            siblings = [{"rfilename": name} for name in self._names()]
            self._answer(200, json.dumps({"id": "someone/tiny", "sha": COMMIT, "siblings": siblings}).encode())
        else:
            name = path.partition("/resolve/")[2].partition("/")[2]  # of the commit, or of main
            if not (self.folder / name).is_file():
                self._answer(404, b"", {"X-Error-Code": "EntryNotFound"})
                return
            self.served.append(name)
            data = (self.folder / name).read_bytes()
            digest = hashlib.sha256(data).hexdigest()
            self._answer(200, data, {"ETag": f'"{digest}"', "X-Repo-Commit": COMMIT})

    do_HEAD = do_GET  # noqa: N815 - the name that http.server calls

    def _names(self) -> list[str]:
        return sorted(path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file())

    def _entry(self, name: str) -> dict[str, object]:
        data = (self.folder / name).read_bytes()
        return {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}

    def _answer(self, code: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for key, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder that a hub on this machine serves as someone/tiny; the cache is empty."""
    from huggingface_hub import constants

    folder = checkpoints.save("sd-turbo", tmp_path / "repository")
    handler = type("Served", (Hub,), {"folder": folder, "served": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", endpoint + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    monkeypatch.setitem(hub.TINY, "sd", "taesd")
    monkeypatch.setattr(hub, "find", lambda name, find=hub.find: Path("/there") if name == "taesd" else find(name))
    yield folder
    server.shutdown()
    server.server_close()


def test_pulling_takes_what_loading_needs_and_nothing_else(repository: Path) -> None:
    (repository / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"pickled")
    (repository / "one_file_with_all.safetensors").write_bytes(b"the same once more")
    (repository / "picture.png").write_bytes(b"png")
    (repository / "README.md").write_text("---\nlicense: openrail++\n---\n")
    said: list[str] = []
    folders = pull_named(["someone/tiny"], said.append)
    assert said == ["pulling someone/tiny ..."]
    pulled = {
        path.relative_to(folders["someone/tiny"]).as_posix() for path in Path(folders["someone/tiny"]).rglob("*.*")
    }
    assert not {name for name in pulled if name.endswith((".bin", ".png")) or name.startswith("one_file")}
    assert {"unet/diffusion_pytorch_model.safetensors", "model_index.json", "tokenizer/merges.txt"} <= pulled
    assert hub.cached() == ["someone/tiny"]
    card = models.prior_card("someone/tiny")
    assert (card.licence, card.steps) == ("openrail++", 4)
    (repository / "README.md").unlink()
    own = models.prior_card(str(repository))
    assert card.revision == own.revision  # the content decides, not where it lies


def test_weights_of_an_open_clip_tag_are_pulled_before_any_worker_asks(
    repository: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its own download, from a hub on this machine; never offline, nor by a dry run."""
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED["ViT-B-32"], "gif_test", {"hf_hub": "someone/tiny/"})
    save_file({"x": torch.zeros(1)}, repository / SAFE)
    name, heard = "ViT-B-32:gif_test", []
    assert (is_tagged(name), is_tagged("ViT-B-32:other"), is_tagged("sd-turbo")) == (True, False, False)
    line = ["expand", str(photos), "-o", str(tmp_path / "out"), "--prior", "classical", "--encoder", name]
    assert gif(*line, "--dry-run") == 6
    assert f"encoder: {name} is not on this machine; get it with: gif models pull {name}" in capsys.readouterr().err
    with monkeypatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        pull_missing(["auto", None, name], heard.append)
        assert (tag_files(name), heard) == ((), [])
    assert gif(*line) == 6  # what is pulled is no ViT-B-32
    said = capsys.readouterr().err
    assert f"pulling {name} ..." in said
    assert f"encoder {name!r} cannot be loaded" in said
    assert [path.name for path in tag_files(name)] == [SAFE]
    assert len(models.revision(models.encoder_card(name).files)) == 12
    pull_missing(["auto", None, name], heard.append)
    assert heard == []
    assert list(pull_named([name], heard.append)) == [name]


def test_a_prior_that_ignores_what_is_asked_for_costs_no_other_download(
    repository: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED["ViT-B-32"], "gif_test", {"hf_hub": "someone/tiny/"})
    line = ["expand", str(photos), "-o", str(tmp_path / "out"), "--prior", "someone/tiny", "--lora", "someone/lora"]
    assert gif(*line, "--encoder", "ViT-B-32:gif_test", "--set", "prior.noise_level=3") == 2
    said = capsys.readouterr().err
    assert "ignores prior.noise_level = 3" in said
    assert [word for word in said.splitlines() if "pulling" in word] == ["pulling someone/tiny ..."]
    assert not (tmp_path / "out").exists()


def test_adapt_downloads_the_prior_that_it_is_to_teach_but_not_offline(
    repository: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["adapt", str(photos), "-o", str(tmp_path / "lora"), "--prior", "someone/tiny", "--device", "cpu"]
    line += ["--train-steps", "1", "--train-batch", "1", "--rank", "1"]
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):  # set by --offline, and given back after the test
        monkeypatch.setenv(name, "0")
    with monkeypatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "0")
        assert gif(*line, "--offline") == 6
    assert "prior: someone/tiny is not on this machine; this is offline" in capsys.readouterr().err
    assert gif(*line) == 0
    said = capsys.readouterr().err
    assert "pulling someone/tiny ..." in said
    assert "was distilled to a few steps (turbo)" in said


def test_what_cannot_be_pulled_is_one_line(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelMissingError, match="cannot be downloaded") as caught:
        hub.pull("nobody/nothing")
    assert "\n" not in str(caught.value)
    for weights in repository.rglob("*.safetensors"):
        weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(ModelMissingError, match="no safetensors weights"):
        hub.pull("someone/tiny")
    with pytest.raises(UsageError, match="expected a hub id"):
        hub.pull("nonsense")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelMissingError, match="cannot be downloaded offline"):
        hub.pull("someone/tiny")


def test_one_set_of_weights_a_folder_half_precision_first() -> None:
    files = ["model_index.json", "sd.safetensors", "README.md", "unet/config.json", "vae/config.json"]
    files += ["unet/m.safetensors", "unet/m.fp16.safetensors", "unet/m.non_ema.safetensors", "unet/m.bin"]
    files += ["vae/m.safetensors", "safety_checker/model.safetensors", "text_encoder/flax_model.msgpack"]
    wanted = ["unet/m.fp16.safetensors", "vae/m.safetensors", "model_index.json", "README.md", "unet/config.json"]
    assert hub.wanted(files) == sorted([*wanted, "vae/config.json"])
    assert hub.wanted(["config.json", "model.safetensors", "pytorch_model.bin"]) == ["config.json", "model.safetensors"]


def test_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hub.hub_id("sd-turbo") == "stabilityai/sd-turbo"
    assert hub.hub_id("a/b@main") == "a/b@main"
    assert [hub.hub_id(name) for name in ("nonsense", "./a/b", "a/b/c", "../b", str(tmp_path))] == [None] * 5
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert hub.find("a/b") == Path("a/b")
    assert hub.hub_id("a/b") is None


def test_half_precision_weights_are_loaded_where_there_are_no_others(tmp_path: Path) -> None:
    from diffusers import AutoencoderTiny

    AutoencoderTiny.from_pretrained(checkpoints.save("tiny", tmp_path / "whole")).save_pretrained(
        tmp_path / "half", variant="fp16"
    )
    found = models.tiny_checkpoint(str(tmp_path / "half"))
    assert found is not None
    assert found.weights == {"": "fp16"}
    assert [path.name for path in found.files] == ["config.json", "diffusion_pytorch_model.fp16.safetensors"]


def test_large_files_are_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("gifcli.models.hashes.LARGE", 4)
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"weights")
    assert file_hash(path) == hashlib.sha256(b"weights").hexdigest()
    memory = tmp_path / "cache" / "gifcli" / "hashes.json"
    [(name, known)] = json.loads(memory.read_text()).items()
    assert str(path) in name
    assert known == file_hash(path)
    path.write_bytes(b"others!")
    assert file_hash(path) == hashlib.sha256(b"others!").hexdigest()
    blob = tmp_path / "blobs" / ("b" * 64)
    blob.parent.mkdir()
    blob.write_bytes(b"anything")
    assert file_hash(blob) == "b" * 64  # the hub's cache has checked it


def test_auto_takes_what_is_there_and_downloads_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(models, "_has_gpu", lambda: True)
    assert models.choose_prior()[0] != models.RECOMMENDED
    folder = tmp_path / "models--stabilityai--sd-turbo"
    checkpoints.save("sd-turbo", folder / "snapshots" / COMMIT)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(COMMIT)
    name, why = models.choose_prior()
    assert (name, models.prior_card(name).steps) == ("sd-turbo", 4)
    assert "in the local cache" in why
    assert models.choose_prior("cpu")[0] != name
    monkeypatch.setattr(models, "_has_gpu", lambda: False)
    assert models.choose_prior()[0] != name
    assert "stabilityai/sd-turbo" in [card.name for card in models.priors()]
