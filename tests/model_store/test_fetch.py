"""Downloads of model files: once for a machine, checked, and without a trace of a failed one."""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from seldon_spec.config.model_files.spec import ModelSpec
from seldon_spec.config.model_files.urls import find_local
from seldon_spec.model_store.fetch import fetch_model
from seldon_spec.model_store.sources import ModelUnavailable
from tests.model_store.conftest import Files

DATA = b"weights" * 1000
SHA256 = hashlib.sha256(DATA).hexdigest()
PATH = "/models/iris.bin"


def fetch(folder: Path, url: str, sha256: str | None = None, loaded_at: float | None = None) -> Path:
    """Fetch a model whose spec is read now."""
    model = ModelSpec(url, "sklearn", sha256=sha256)
    return fetch_model(folder, model, time.time() if loaded_at is None else loaded_at, folder / "cache")


def list_downloads(folder: Path) -> list[Path]:
    return sorted((folder / "cache").glob("*/model-*/*")) + sorted((folder / "cache").glob("*/partial-*"))


def test_a_file_is_downloaded_once_for_a_spec(files: Files, tmp_path: Path) -> None:
    files.contents[PATH] = DATA
    loaded_at = time.time()
    first = fetch(tmp_path, files.url(PATH), loaded_at=loaded_at)
    assert first.read_bytes() == DATA
    assert first.name == "iris.bin"
    assert fetch(tmp_path, files.url(PATH), loaded_at=loaded_at) == first
    assert len(files.requests) == 1


def test_a_file_with_a_checksum_is_downloaded_once(files: Files, tmp_path: Path) -> None:
    files.contents[PATH] = DATA
    assert fetch(tmp_path, files.url(PATH), SHA256) == fetch(tmp_path, files.url(PATH), SHA256)
    assert len(files.requests) == 1


def test_a_later_spec_asks_whether_the_file_has_changed(files: Files, tmp_path: Path) -> None:
    files.contents[PATH], files.etags[PATH] = DATA, '"1"'
    first = fetch(tmp_path, files.url(PATH))
    assert fetch(tmp_path, files.url(PATH)) == first
    assert [status for _, status in files.requests] == [200, 304]
    files.contents[PATH], files.etags[PATH] = b"new", '"2"'
    second = fetch(tmp_path, files.url(PATH))
    assert (first.read_bytes(), second.read_bytes()) == (DATA, b"new")
    files.contents[PATH], files.etags[PATH] = b"newer", '"3"'
    third = fetch(tmp_path, files.url(PATH))
    assert list_downloads(tmp_path) == [second, third]


def test_without_a_revision_a_later_spec_downloads_again(files: Files, tmp_path: Path) -> None:
    files.contents[PATH] = DATA
    fetch(tmp_path, files.url(PATH))
    files.contents[PATH] = b"new"
    assert fetch(tmp_path, files.url(PATH)).read_bytes() == b"new"


def test_a_changed_file_of_the_cache_is_downloaded_again(files: Files, tmp_path: Path) -> None:
    files.contents[PATH] = DATA
    fetch(tmp_path, files.url(PATH), SHA256).write_bytes(b"changed")
    assert fetch(tmp_path, files.url(PATH), SHA256).read_bytes() == DATA


FETCH = """
import sys
from pathlib import Path
from seldon_spec.config.model_files.spec import ModelSpec
from seldon_spec.model_store.fetch import fetch_model
folder, url, loaded_at = sys.argv[1:]
print(fetch_model(Path(folder), ModelSpec(url), float(loaded_at), Path(folder)))
"""


def test_processes_share_one_download(files: Files, tmp_path: Path) -> None:
    files.contents[PATH] = DATA
    files.gate.clear()
    command = [sys.executable, "-c", FETCH, str(tmp_path), files.url(PATH), str(time.time())]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    files.gate.set()
    found = {worker.communicate(timeout=60)[0] for worker in workers}
    assert [worker.returncode for worker in workers] == [0, 0, 0]
    assert len(found) == 1
    assert len(files.requests) == 1


@pytest.mark.parametrize("sha256", ["ab" * 32, None], ids=["another checksum", "short"])
def test_a_wrong_file_is_not_kept(files: Files, tmp_path: Path, sha256: str | None) -> None:
    files.contents[PATH], files.is_short = DATA, sha256 is None
    reason = (
        r"the connection ended after 3500 of 7000 bytes|IncompleteRead"
        if sha256 is None
        else f"has the checksum {SHA256}"
    )
    with pytest.raises(ModelUnavailable, match=reason):
        fetch(tmp_path, files.url(PATH), sha256)
    assert list_downloads(tmp_path) == []


def test_what_a_killed_process_left_is_removed(files: Files, tmp_path: Path) -> None:
    files.contents[PATH] = DATA
    path = fetch(tmp_path, files.url(PATH))
    (path.parents[1] / "partial-x").mkdir()
    assert list_downloads(tmp_path) == [path, path.parents[1] / "partial-x"]
    again = fetch(tmp_path, files.url(PATH))
    assert list_downloads(tmp_path) == [path, again]


def test_a_damaged_record_is_ignored(files: Files, tmp_path: Path) -> None:
    files.contents[PATH] = DATA
    path = fetch(tmp_path, files.url(PATH))
    (path.parents[1] / "record.json").write_text('{"folder": "../../x"')
    assert fetch(tmp_path, files.url(PATH)).read_bytes() == DATA


def test_the_log_hides_the_query_of_the_url(files: Files, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    files.contents[PATH] = DATA
    fetch(tmp_path, files.url(f"{PATH}?sig=hidden"))
    with pytest.raises(ModelUnavailable) as caught:
        fetch(tmp_path, files.url("/other?sig=hidden"))
    text = caplog.text + str(caught.value)
    assert f"downloading {files.url(PATH)}?*** (7000 bytes)" in text
    assert "hidden" not in text
    assert files.requests[0] == (f"{PATH}?sig=hidden", 200)


def test_a_server_that_cannot_be_reached_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"http://127\.0\.0\.1:1/a\.bin cannot be downloaded: .*refused"):
        fetch(tmp_path, "http://127.0.0.1:1/a.bin")


def test_a_missing_file_is_reported(files: Files, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="cannot be downloaded: HTTP 404"):
        fetch(tmp_path, files.url(PATH))


def test_the_login_of_a_host_comes_from_netrc(files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    files.contents[PATH], files.login = DATA, "Basic bWU6c2VjcmV0"
    with pytest.raises(
        ModelUnavailable, match=r"HTTP 401 Unauthorized; for a private file, put the host .* into \.netrc"
    ):
        fetch(tmp_path, files.url(PATH))
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    (tmp_path / ".netrc").chmod(0o600)
    assert fetch(tmp_path, files.url(PATH)).read_bytes() == DATA


def test_a_redirect_does_not_get_the_login(files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".netrc").write_text("machine localhost login me password secret\n")
    (tmp_path / ".netrc").chmod(0o600)
    files.contents["/other/iris.bin"] = DATA
    files.redirects[PATH] = files.url("/other/iris.bin")
    assert fetch(tmp_path, files.url(PATH).replace("127.0.0.1", "localhost")).read_bytes() == DATA
    assert files.logins == ["Basic bWU6c2VjcmV0", None]


def test_a_redirect_out_of_http_is_refused(files: Files, tmp_path: Path) -> None:
    files.redirects[PATH] = "ftp://127.0.0.1/iris.bin"
    with pytest.raises(ModelUnavailable, match=r"redirects to ftp://127\.0\.0\.1/iris\.bin"):
        fetch(tmp_path, files.url(PATH))


def test_a_cache_that_cannot_be_written_is_reported(files: Files, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(ModelUnavailable, match=r"cannot be stored in .*/cache/"):
        fetch(tmp_path, files.url(PATH))


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_cache_of_another_user_is_not_used(files: Files, tmp_path: Path) -> None:
    files.contents[PATH] = DATA
    entry = fetch(tmp_path, files.url(PATH)).parents[1]
    os.chown(entry, 12345, 12345)
    with pytest.raises(ModelUnavailable, match="belongs to another user"):
        fetch(tmp_path, files.url(PATH))


def test_a_model_of_another_format_is_not_loaded(files: Files, tmp_path: Path) -> None:
    files.contents["/iris.bin"] = b'{"learner": {}, "version": [3, 2, 0]}'
    with pytest.raises(ModelUnavailable, match="is no model of the format sklearn: it is a model of XGBoost in JSON"):
        fetch(tmp_path, files.url("/iris.bin"))


def test_a_file_url_is_used_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a model.bin"
    url = path.as_uri()
    with pytest.raises(ModelUnavailable, match="there is no file"):
        fetch(tmp_path, url)
    path.write_bytes(DATA)
    assert fetch(tmp_path, url, SHA256) == path
    with pytest.raises(ModelUnavailable, match="has the checksum"):
        fetch(tmp_path, url, "ab" * 32)
    assert not (tmp_path / "cache").exists()


def test_a_checksum_of_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="is a folder, which has no checksum"):
        fetch(tmp_path, tmp_path.as_uri(), SHA256)


def _download(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "seldon_spec.model_store", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def test_the_command_of_a_build_puts_the_file_where_the_server_looks(files: Files, tmp_path: Path) -> None:
    files.contents[PATH] = DATA
    done = _download(tmp_path, files.url(PATH), ".", SHA256)
    assert (done.returncode, done.stdout) == (0, "")
    assert find_local(tmp_path, files.url(PATH), SHA256).read_bytes() == DATA
    fetch(tmp_path, files.url(PATH), SHA256)
    assert len(files.requests) == 1


FAILURES = [
    ("checksum", [PATH, ".", "ab" * 32], 1, "has the checksum"),
    ("missing", ["/gone.bin", "."], 1, "HTTP 404"),
    ("words", [PATH], 2, "usage:"),
]


@pytest.mark.parametrize(("words", "code", "text"), [row[1:] for row in FAILURES], ids=[row[0] for row in FAILURES])
def test_the_command_of_a_build_reports_a_failure(
    words: list[str], code: int, text: str, files: Files, tmp_path: Path
) -> None:
    files.contents[PATH] = DATA
    done = _download(tmp_path, files.url(words[0]), *words[1:])
    assert done.returncode == code
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_the_command_of_a_build_refuses_other_schemes(tmp_path: Path) -> None:
    done = _download(tmp_path, "ftp://models.example/iris.bin", ".")
    assert (done.returncode, "the scheme ftp is not supported" in done.stderr) == (1, True)
