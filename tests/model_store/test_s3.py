"""Models at URLs of S3: a file and a folder, from a server that speaks as much of its protocol as they need."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from seldon_spec.config.model_files.spec import ModelSpec
from seldon_spec.model_store.fetch import fetch_model
from seldon_spec.model_store.sources import ModelUnavailable

pytestmark = pytest.mark.skipif(find_spec("s3fs") is None, reason="the package for s3:// is not installed")

CONTENTS = {
    "models/iris/7/MLmodel": b"flavors",
    "models/iris/7/data/model.pkl": b"weights" * 1000,
    "models/a.bin": b"a",
}
DATE = "2024-01-01T00:00:00.000Z"


class Handler(BaseHTTPRequestHandler):
    """The bucket ``bucket`` with the contents above."""

    def do_HEAD(self) -> None:
        self._respond_object(is_head=True)

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        if "list-type" not in query:
            self._respond_object(is_head=False)
            return
        prefix, delimiter = query.get("prefix", [""])[0], query.get("delimiter", [""])[0]
        files, folders = {}, set()
        for name, data in CONTENTS.items():
            rest = name.removeprefix(prefix)
            if not name.startswith(prefix):
                continue
            if delimiter and delimiter in rest:
                folders.add(prefix + rest.partition(delimiter)[0] + delimiter)
            else:
                files[name] = data
        objects = "".join(
            f"<Contents><Key>{name}</Key><LastModified>{DATE}</LastModified><ETag>&quot;{len(data)}&quot;</ETag>"
            f"<Size>{len(data)}</Size><StorageClass>STANDARD</StorageClass></Contents>"
            for name, data in files.items()
        )
        prefixes = "".join(f"<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>" for name in sorted(folders))
        count = len(files) + len(folders)
        head = (
            f"<Name>bucket</Name><Prefix>{prefix}</Prefix><KeyCount>{count}</KeyCount><IsTruncated>false</IsTruncated>"
        )
        self._send(200, f"<?xml version='1.0'?><ListBucketResult>{head}{objects}{prefixes}</ListBucketResult>".encode())

    def _respond_object(self, *, is_head: bool) -> None:
        name = unquote(urlsplit(self.path).path).removeprefix("/bucket/")
        data = CONTENTS.get(name)
        if data is None:
            error = b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code><Message>gone</Message></Error>"
            self._send(404, b"" if is_head else error)
            return
        found = self.headers.get("Range")
        status = 200
        if found is not None:
            first, _, last = found.removeprefix("bytes=").partition("-")
            data, status = data[int(first) : int(last) + 1], 206
        self._send(status, data, is_head=is_head)

    def _send(self, status: int, body: bytes, *, is_head: bool = False) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT")
        self.send_header("ETag", f'"{len(body)}"')
        self.end_headers()
        if not is_head:
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture(autouse=True)
def _bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Run the server, and let the variables of AWS name it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden-secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    yield
    server.shutdown()
    thread.join()
    server.server_close()


def _fetch(folder: Path, url: str) -> Path:
    return fetch_model(folder, ModelSpec(url, "sklearn"), time.time(), folder / "cache")


def test_a_file_is_downloaded_and_compared_later(tmp_path: Path) -> None:
    first = _fetch(tmp_path, "s3://bucket/models/a.bin")
    assert (first.name, first.read_bytes()) == ("a.bin", b"a")
    assert _fetch(tmp_path, "s3://bucket/models/a.bin") == first


def test_a_folder_is_downloaded_with_its_files(tmp_path: Path) -> None:
    folder = _fetch(tmp_path, "s3://bucket/models/iris/7")
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert found == {"MLmodel": b"flavors", "data/model.pkl": b"weights" * 1000}
    assert _fetch(tmp_path, "s3://bucket/models/iris/7") == folder


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"s3://bucket/gone\.bin cannot be downloaded: there is no such file"):
        _fetch(tmp_path, "s3://bucket/gone.bin")


def test_missing_credentials_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(ModelUnavailable, match="credentials come from the variables and files of AWS"):
        _fetch(tmp_path, "s3://bucket/models/a.bin")
