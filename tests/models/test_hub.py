"""Names of models, the hub's cache, and pulling from a small hub on this machine."""

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import checkpoints
from gifcli import models
from gifcli.errors import ModelMissingError, UsageError
from gifcli.models import hub
from gifcli.models.hashes import file_hash

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
            name = path.partition(f"/resolve/{COMMIT}/")[2]
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
    folders = hub.pull_all(["someone/tiny"], said.append)
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
