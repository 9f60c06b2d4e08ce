"""An exported dataset is a folder that huggingface_hub uploads as it is, to a hub that this test plays on this machine."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import datasets
import pytest
import yaml
from huggingface_hub import DatasetCard, HfApi

from gifcli import session


class Hub(BaseHTTPRequestHandler):
    """Takes a commit of small files, and keeps what was sent."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        hub = self.server
        if self.path.endswith("/validate-yaml"):
            header = json.loads(body)["content"].split("---\n")[1]
            hub.header = yaml.safe_load(header)
            self._answer({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            files = json.loads(body)["files"]
            self._answer(
                {"files": [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in files]}
            )
        elif "/commit/" in self.path:
            for line in body.splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    hub.files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
            self._answer(
                {"success": True, "commitOid": "0" * 40, "commitUrl": f"{hub.url}/datasets/me/pets/commit/{'0' * 40}"}
            )
        else:
            self._answer({"url": f"{hub.url}/datasets/me/pets", "name": "me/pets"})

    def do_GET(self) -> None:
        self._answer({"id": "me/pets", "sha": "0" * 40, "siblings": []})

    def _answer(self, value: object) -> None:
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def hub() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.url, server.files, server.header = f"http://127.0.0.1:{server.server_port}", {}, {}
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


@pytest.mark.parametrize("to", ["imagefolder", "parquet"])
def test_the_folder_is_uploaded_as_it_is(
    finished: Path, tmp_path: Path, hub: ThreadingHTTPServer, to: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    there = tmp_path / "there"
    session.export_to(str(there), finished, {"export.to": to, "export.licence": "cc-by-4.0"})
    api = HfApi(endpoint=hub.url, token="hf_of_this_test")
    api.upload_folder(folder_path=there, repo_id="me/pets", repo_type="dataset")
    sent = {name: hashlib.sha256(data).hexdigest() for name, data in hub.files.items()}
    assert sent == {
        path.relative_to(there).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in there.rglob("*")
        if path.is_file()
    }
    names = hub.header["dataset_info"]["features"][1]["dtype"]["class_label"]["names"]
    assert names == {"0": "brick", "1": "cat", "2": "coffee"}
    assert hub.header["license"] == "cc-by-4.0"
    assert DatasetCard.load(there / "README.md").data.task_categories == ["image-classification"]
    for name, data in hub.files.items():  # and down again
        (tmp_path / "down" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "down" / name).write_bytes(data)
    loaded = datasets.load_dataset(str(tmp_path / "down"), split="train", cache_dir=str(tmp_path / "cache"))
    assert (len(loaded), loaded.features["label"].names) == (36, ["brick", "cat", "coffee"])
