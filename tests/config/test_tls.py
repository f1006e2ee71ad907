"""The files of ``server.tls`` are judged before anything is started, and again where the server starts."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

from seldon_spec.config.checks.patterns import is_left_out
from seldon_spec.config.checks.tls import MAX_PEM_BYTES, require_tls
from seldon_spec.config.loader import load
from seldon_spec.errors import Severity, SpecError

PEMS = Path(__file__).parents[1] / "tls"
MODEL = "class MyModel:\n    def predict(self, X, names): return X\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "MyModel.py").write_text(MODEL)
    return tmp_path


def _findings(folder: Path, certificate: str, key: str, more: str = "") -> list[tuple[str, Severity, str]]:
    """What ``load`` says: code, severity and the key of ``server.tls``."""
    text = f"class_name: MyModel\nserver: {{tls: {{certificate: '{certificate}', key: '{key}'}}}}\n{more}"
    (folder / "seldon.yaml").write_text(text)
    try:
        diagnostics = load(folder, {}).diagnostics
    except SpecError as error:
        diagnostics = error.diagnostics
    return [(finding.code, finding.severity, finding.path[-1]) for finding in diagnostics]


def _pem(*names: str) -> str:
    return "".join((PEMS / name).read_text() for name in names)


PAIRS = [
    ("alone", _pem("server.pem"), _pem("server-key.pem"), []),
    ("with its authority", _pem("server.pem", "ca.pem"), _pem("server-key.pem"), []),
    ("after its authority", _pem("ca.pem", "server.pem"), _pem("server-key.pem"), ["key-mismatch"]),
    ("both in both", _pem("server.pem", "server-key.pem"), _pem("server.pem", "server-key.pem"), []),
    ("with words", "Grüße\n" + _pem("server.pem"), "a key\n" + _pem("server-key.pem"), []),
    ("other key", _pem("server.pem"), _pem("other-key.pem"), ["key-mismatch"]),
    ("encrypted key", _pem("server.pem"), _pem("encrypted-key.pem"), ["bad-tls-file"]),
    ("old encrypted key", _pem("server.pem"), "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n", ["bad-tls-file"]),
    ("key cut short", _pem("server.pem"), _pem("server-key.pem")[:90], ["bad-tls-file"]),
    ("certificate cut short", _pem("server.pem")[:90], _pem("server-key.pem"), ["bad-tls-file"]),
    ("empty", "", "", ["bad-tls-file", "bad-tls-file"]),
    ("too long", _pem("server.pem") + "#" * MAX_PEM_BYTES, _pem("server-key.pem"), ["unread-tls-file"]),
    ("expired", _pem("expired.pem"), _pem("server-key.pem"), ["certificate-dates"]),
]  # fmt: skip


@pytest.mark.parametrize(("certificate", "key", "codes"), [row[1:] for row in PAIRS], ids=[row[0] for row in PAIRS])
def test_a_pair_is_judged_by_what_it_holds(folder: Path, certificate: str, key: str, codes: list[str]) -> None:
    (folder / "tls.crt").write_text(certificate, encoding="utf-8")
    (folder / "tls.key").write_text(key, encoding="utf-8")
    found = _findings(folder, "tls.crt", "tls.key", "image: {exclude: ['tls.*']}\n")
    assert [code for code, _, _ in found] == codes


def test_a_broken_key_is_told_at_the_key(folder: Path) -> None:
    (folder / "broken.pem").write_text("-----BEGIN PRIVATE KEY-----\nMIGHAgEA\n-----END PRIVATE KEY-----\n")
    found = _findings(folder, str(PEMS / "server.pem"), "broken.pem", "image: {exclude: ['*.pem']}\n")
    assert found == [("bad-tls-file", Severity.ERROR, "key")]


def test_a_certificate_for_clients_is_told_at_the_certificate(folder: Path) -> None:
    found = _findings(folder, str(PEMS / "client.pem"), str(PEMS / "client-key.pem"))
    assert found == [("bad-tls-file", Severity.ERROR, "certificate")]


PLACES = [
    ("in the folder", "tls.crt", "", Severity.ERROR),
    ("in the folder, excluded", "tls.crt", "image: {exclude: ['*.crt']}", Severity.NOTE),
    ("in the folder, by its whole path", "{folder}/tls.crt", "", Severity.ERROR),
    ("beside the folder", "../tls.crt", "", Severity.NOTE),
    ("anywhere", "/nowhere/tls.crt", "", Severity.NOTE),
]


@pytest.mark.parametrize(("name", "more", "severity"), [row[1:] for row in PLACES], ids=[row[0] for row in PLACES])
def test_a_file_that_is_not_there_is_an_error_where_the_folder_should_have_it(
    folder: Path, name: str, more: str, severity: Severity
) -> None:
    found = _findings(folder, name.format(folder=folder), str(PEMS / "server-key.pem"), more)
    assert found == [("unread-tls-file", severity, "certificate")]


def test_a_folder_is_no_file(folder: Path) -> None:
    assert _findings(folder, ".", str(PEMS / "server-key.pem")) == [("unread-tls-file", Severity.ERROR, "certificate")]


KEYS = [
    ("in the folder", "tls/key.pem", "", None, True),
    ("by its whole path", "{folder}/tls/key.pem", "", None, True),
    ("by a way around", "../{folder.name}/tls/key.pem", "", None, True),
    ("excluded by name", "tls/key.pem", "image: {exclude: ['**/key.pem']}", None, False),
    ("excluded by folder", "tls/key.pem", "image: {exclude: [tls/]}", None, False),
    ("excluded and kept", "tls/key.pem", "image: {exclude: [tls], include: [tls/*.pem]}", None, True),
    ("left out by the folder's own file", "tls/key.pem", "", "# keys\ntls/*.pem\n", False),
    ("the spec's patterns alone count", "tls/key.pem", "image: {exclude: [other]}", "tls", True),
    ("a link that leads out", "link.pem", "", None, False),
]  # fmt: skip


@pytest.mark.parametrize(
    ("key", "more", "ignored", "is_reported"), [row[1:] for row in KEYS], ids=[row[0] for row in KEYS]
)
def test_a_key_that_the_image_would_hold_is_reported(
    folder: Path, key: str, more: str, ignored: str | None, *, is_reported: bool
) -> None:
    (folder / "tls").mkdir()
    shutil.copy(PEMS / "server-key.pem", folder / "tls" / "key.pem")
    (folder / "link.pem").symlink_to(PEMS / "server-key.pem")
    if ignored is not None:
        (folder / ".dockerignore").write_text(ignored)
    found = _findings(folder, str(PEMS / "server.pem"), key.format(folder=folder), more)
    assert found == [("key-in-image", Severity.WARNING, "key")] * is_reported


PATTERNS = [
    ("*.pem", "a.pem", True), ("*.pem", "a/a.pem", False), ("**/*.pem", "a/b/a.pem", True), ("**/*.pem", "a.pem", True),
    ("a", "a/b/c", True), ("a/", "a/b", True), ("/a/b", "a/b", True), ("./a", "a", True), ("a/**", "a/b/c", True),
    ("a/*/c", "a/b/c", True), ("a/*/c", "a/b/d/c", False), ("?.pem", "a.pem", True), ("[ab].pem", "b.pem", True),
    ("b", "a/b", False), ("", "a", False), ("# a", "a", False), ("#", "#", False), ("a\n!a", "a", False),
    ("!a\na", "a", True), ("a\n!a/b\n", "a/b", False), ("a\n!a/b", "a/c", True), ("**", "a/b", True), ("[", "[", True),
]  # fmt: skip


@pytest.mark.parametrize(("patterns", "path", "is_out"), PATTERNS, ids=[f"{row[0]!r} {row[1]}" for row in PATTERNS])
def test_patterns_leave_files_out_as_a_builder_does(patterns: str, path: str, *, is_out: bool) -> None:
    assert is_left_out(PurePosixPath(path), patterns.split("\n")) is is_out


def _write(folder: Path, certificate: str) -> None:
    key = PEMS / "server-key.pem"
    (folder / "seldon.yaml").write_text(
        f"class_name: MyModel\nserver: {{on_timeout: replace, tls: {{certificate: {certificate}, key: {key}}}}}\n"
    )


REFUSED = [
    ("not there", "/nowhere/tls.crt", "unread-tls-file"),
    ("expired", str(PEMS / "expired.pem"), "certificate-dates"),
]


@pytest.mark.parametrize(("certificate", "code"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_is_only_told_before_is_refused_where_the_server_starts(folder: Path, certificate: str, code: str) -> None:
    _write(folder, certificate)
    with pytest.raises(SpecError) as caught:
        require_tls(load(folder, {}))
    assert [(d.code, d.severity) for d in caught.value.diagnostics] == [(code, Severity.ERROR)]


def test_a_server_starts_with_files_that_are_right(folder: Path) -> None:
    _write(folder, str(PEMS / "server.pem"))
    require_tls(load(folder, {}))


def test_ssl_is_imported_only_where_files_are_named(folder: Path) -> None:
    (folder / "seldon.yaml").write_text("class_name: MyModel\n")
    code = "import sys; from pathlib import Path; from seldon_spec.config.loader import load; load(Path(), {}); print('ssl' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"
