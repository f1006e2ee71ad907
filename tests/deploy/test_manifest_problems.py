"""What ``manifest`` reports for every target of Kubernetes, each as a golden page with its place and help."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from seldon_spec.cli.main import run

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "golden" / "manifest-problems"
CLASSES = """
class Model:
    def __init__(self, threshold=0.5): ...

    def predict(self, X, names): ...


class Router:
    def route(self, X, names): ...


class Learner:
    def predict(self, X, names): ...

    def send_feedback(self, X, names, reward, truth): ...
"""

MODEL = "class_name: parts.Model\n"
LEARNER = "class_name: parts.Learner\n"
IMAGE = "registry.example.com/iris:1"
RIGHT = f"deployment: {{image: {IMAGE}, resources: {{cpu: 500m, memory: 1Gi}}}}\n"
"""A deployment without problems."""
SCALED = "deployment: {image: registry.example.com/iris:1, replicas: {min: 1, max: 3}, resources: {memory: 1Gi}}\n"
APART = RIGHT.replace("{", "{apart: true, ", 1)
TWO = RIGHT.replace("{", "{replicas: 2, ", 1)
CERTIFICATES = "server: {tls: {certificate: server.pem, key: /certs/tls.key}}\n"

ERRORS = [
    ("name-with-dot", f"name: iris.v2\n{MODEL}{RIGHT}"),
    ("name-with-digit", f"name: 2-iris\n{MODEL}{RIGHT}"),
    ("name-of-component", f"name: {'g' * 60}\ngraph: iris\ncomponents:\n  iris:\n    {MODEL}    {RIGHT}{APART}"),
    ("image-without-component", f"graph: [outside]\ncomponents: {{outside: ../outside}}\n{RIGHT}"),
    ("scaling-without-cpu", MODEL + SCALED),
    ("gpu-share", MODEL + RIGHT.replace("1Gi", "1Gi, gpu: 0.5")),
    ("file-relative", f"{MODEL}environment: {{A: {{from_file: secrets/a}}}}\n{RIGHT}"),
    ("file-relative-certificate", MODEL + CERTIFICATES + RIGHT),
    ("file-in-system-folder", f"{MODEL}parameters: {{threshold: {{from_file: /etc/threshold}}}}\n{RIGHT}"),
    ("file-in-code", f"{MODEL}parameters: {{threshold: {{from_file: /microservice/a}}}}\n{RIGHT}"),
    ("file-name", f"{MODEL}parameters: {{threshold: {{from_file: /secrets/the threshold}}}}\n{RIGHT}"),
    ("tls-of-component", f"graph: iris\ncomponents:\n  iris: {{class_name: parts.Model, server: {{tls: {{certificate: /a/b.crt, key: /a/b.key}}}}, {RIGHT.strip()}}}\n{APART}"),
]  # fmt: skip

OTHERS = [
    ("image-no-version", f"{MODEL}deployment: {{resources: {{cpu: 1}}}}\n"),
    ("image-no-version-no-deployment", MODEL),
    ("image-latest", MODEL + RIGHT.replace("iris:1", "iris:latest")),
    ("image-port-without-tag", MODEL + RIGHT.replace(".com/iris:1", ".com:5000/iris")),
    ("image-no-registry", f"{MODEL}version: '1'\ndeployment: {{resources: {{cpu: 1}}}}\n"),
    ("resources", f"{MODEL}deployment: {{image: {IMAGE}}}\n"),
    ("state-router", f"class_name: parts.Router\nservice_type: ROUTER\n{TWO}"),
    ("state-workers", f"{LEARNER}server: {{workers: 2}}\n{RIGHT}"),
    ("metrics-with-token", f"{MODEL}server: {{auth: {{tokens: [{{from_env: TOKEN}}]}}}}\n{RIGHT}"),
    ("state-component", f"graph: learner\ncomponents:\n  learner: {{class_name: parts.Learner}}\n{TWO}"),
]

NOTHING = [
    ("right", MODEL + RIGHT),
    ("digest", MODEL + RIGHT.replace("iris:1", f"iris@sha256:{'0' * 64}")),
    ("one-learner", LEARNER + RIGHT),
    ("two-models", MODEL + TWO),
    ("absolute files", f"{MODEL}environment: {{A: {{from_file: /secrets/a}}}}\n{RIGHT}"),
    ("long names of components", f"name: {'g' * 30}\ngraph: iris\ncomponents:\n  iris:\n    {MODEL}    {RIGHT}{APART}"),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("graph", "outside"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "parts.py").write_text(CLASSES)
    (tmp_path / "outside" / "seldon.yaml").write_text(MODEL)
    shutil.copy(ROOT / "tls" / "server.pem", tmp_path / "graph")
    monkeypatch.chdir(tmp_path / "graph")
    return tmp_path / "graph"


def _compare(name: str, text: str, config: pytest.Config) -> None:
    page = PAGES / f"{name}.txt"
    if config.getoption("--rewrite-golden"):
        page.write_text(text)
    assert text == page.read_text()


@pytest.mark.parametrize(("name", "text"), ERRORS, ids=[row[0] for row in ERRORS])
def test_an_error_prevents_the_manifest(
    name: str, text: str, folder: Path, capsys: pytest.CaptureFixture[str], pytestconfig: pytest.Config
) -> None:
    (folder / "seldon.yaml").write_text(text)
    assert run(["manifest", "--for", "kubernetes"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    _compare(name, captured.err, pytestconfig)


@pytest.mark.parametrize(("name", "text"), OTHERS, ids=[row[0] for row in OTHERS])
def test_warnings_and_notes_are_printed_beside_the_manifest(
    name: str, text: str, folder: Path, capsys: pytest.CaptureFixture[str], pytestconfig: pytest.Config
) -> None:
    (folder / "seldon.yaml").write_text(text)
    assert run(["manifest", "--for", "kubernetes"]) == 0
    captured = capsys.readouterr()
    assert "kind: Deployment" in captured.out
    _compare(name, captured.err, pytestconfig)


@pytest.mark.parametrize("text", [row[1] for row in NOTHING], ids=[row[0] for row in NOTHING])
def test_a_right_spec_gets_no_diagnostic(text: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "seldon.yaml").write_text(text)
    assert run(["manifest", "--for", "kubernetes"]) == 0
    assert capsys.readouterr().err == ""


SECRETS = [
    ("secret-by-variable", MODEL + RIGHT, ("SELDON_SPEC__ENVIRONMENT__DB_PASSWORD", "hunter2"), []),
    ("secret-by-variable-parameter", MODEL + RIGHT, ("SELDON_SPEC__PARAMETERS__THRESHOLD", "https://a:hunter2@b"), []),
    ("secret-in-file", f"{MODEL}environment: {{DB_PASSWORD: hunter2}}\n{RIGHT}", ("A", "b"), ["--all"]),
]


@pytest.mark.parametrize(("name", "text", "variable", "arguments"), SECRETS, ids=[row[0] for row in SECRETS])
def test_a_literal_secret_is_left_out(
    name: str,
    text: str,
    variable: tuple[str, str],
    arguments: list[str],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    pytestconfig: pytest.Config,
) -> None:
    (folder / "seldon.yaml").write_text(text)
    monkeypatch.setenv(*variable)
    assert run(["manifest", "--for", "kubernetes", *arguments]) == 0
    captured = capsys.readouterr()
    assert "hunter2" not in captured.out + captured.err
    _compare(name, captured.err, pytestconfig)


def test_a_reference_is_no_literal_secret(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    variables = "environment: {DB_PASSWORD: {from_env: DB_PASSWORD}, TOKEN: {from_file: /secrets/token}}\n"
    (folder / "seldon.yaml").write_text(MODEL + variables + RIGHT)
    assert run(["manifest", "--for", "kubernetes", "--all"]) == 0
    captured = capsys.readouterr()
    assert "secretKeyRef:" in captured.out
    assert captured.err == ""
