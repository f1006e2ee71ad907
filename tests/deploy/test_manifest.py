"""The command ``manifest``: golden files of every target, its options, and what prevents a manifest."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from seldon_spec import __version__
from seldon_spec.cli.main import run
from seldon_spec.config.loader import load
from seldon_spec.config.model import SPEC_FILE
from seldon_spec.deploy.manifest.render import find_problems
from seldon_spec.deploy.manifest.target import Target
from seldon_spec.errors import Severity
from tests.deploy.kubernetes_schemas import find_errors
from tests.deploy.manifest_specs import RandomSpec

GOLDEN = Path(__file__).parents[1] / "golden" / "manifest"
EXPECTED = sorted(GOLDEN.glob("*/for-*.yaml"))
VERSION = "0.1.0"
"""Of the package, in golden files."""

Capture = pytest.CaptureFixture[str]


def read_lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


@pytest.mark.parametrize("expected", EXPECTED, ids=lambda path: path.relative_to(GOLDEN).as_posix())
def test_golden(
    expected: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    folder = expected.parent
    [file] = {*folder.glob("*.yaml")} - {*folder.glob("for-*.yaml")}
    monkeypatch.chdir(folder)
    for line in read_lines(folder / "env"):
        monkeypatch.setenv(*line.split("=", 1))
    flags = [word for line in read_lines(folder / "flags") for word in ("--set", line)]
    target, _, is_complete = expected.stem.removeprefix("for-").partition("-")
    arguments = [
        "manifest",
        *([] if file.name == SPEC_FILE else [file.name]),
        "--for",
        target,
        *flags,
        *(["--all"] if is_complete else []),
    ]
    assert run(arguments) == 0
    text = capsys.readouterr().out.replace(f"seldon-spec {__version__} from", f"seldon-spec {VERSION} from")
    if request.config.getoption("--rewrite-golden"):
        expected.write_text(text, encoding="utf-8")
    assert text == expected.read_text(encoding="utf-8")
    assert "never-in-a-manifest" not in text


@pytest.mark.parametrize(
    "path",
    EXPECTED,
    ids=lambda path: path.relative_to(GOLDEN).as_posix(),
)
def test_golden_files_are_valid(path: Path) -> None:
    documents = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    documents = [document for document in documents if "kind" in document]
    assert [error for document in documents for error in find_errors(document)] == []


def test_every_target_has_golden_files() -> None:
    assert {path.stem.split("-")[1] for path in GOLDEN.glob("*/for-*.yaml")} == {target.value for target in Target}


# ----- the command


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A class with two kinds of objects, in the current folder."""
    deployment = {"image": "registry.example.com/risk:1", "replicas": 2, "resources": {"cpu": 1, "memory": "1Gi"}}
    RandomSpec({"class_name": "parts.Model", "name": "risk", "deployment": deployment}).write(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def render(capsys: Capture, *arguments: str, code: int = 0) -> str:
    assert run(["manifest", "--for", "kubernetes", *arguments]) == code
    return capsys.readouterr().out


def read_kinds(text: str) -> list[str]:
    return [document["kind"] for document in yaml.safe_load_all(text)]


def test_only_some_kinds(folder: Path, capsys: Capture) -> None:
    assert read_kinds(render(capsys)) == ["Deployment", "Service", "PodDisruptionBudget"]
    assert read_kinds(render(capsys, "--only", "Service")) == ["Service"]
    both = render(capsys, "--only", "PodDisruptionBudget", "--only", "Deployment")
    assert read_kinds(both) == ["Deployment", "PodDisruptionBudget"]


def test_an_unknown_kind(folder: Path, capsys: Capture) -> None:
    assert run(["manifest", "--for", "kubernetes", "--only", "Pod"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "one of Deployment, Service, PodDisruptionBudget" in captured.err
    assert run(["manifest", "--for", "compose", "--only", "Pod"]) == 2  # a Compose file has no objects
    assert "help: leave out --only" in capsys.readouterr().err


def test_without_comments(folder: Path, capsys: Capture) -> None:
    text, plain = render(capsys), render(capsys, "--no-comments")
    assert "#" in text
    assert "#" not in plain
    assert list(yaml.safe_load_all(text)) == list(yaml.safe_load_all(plain))


def test_output_to_a_file(folder: Path, capsys: Capture) -> None:
    text = render(capsys)
    assert render(capsys, "--output", "out.yaml") == ""
    assert (folder / "out.yaml").read_text(encoding="utf-8") == text


def test_all_repeats_what_the_image_contains(folder: Path, capsys: Capture) -> None:
    assert "SELDON_SPEC__CLASS_NAME" not in render(capsys)
    assert "SELDON_SPEC__CLASS_NAME" in render(capsys, "--all")


@pytest.mark.parametrize("way", ["flag", "variable"])
def test_the_image_of_a_release(folder: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    image = "registry.example.com/risk:2"
    if way == "variable":
        monkeypatch.setenv("SELDON_SPEC__DEPLOYMENT__IMAGE", image)
    text = render(capsys, *(["--set", f"deployment.image={image}"] if way == "flag" else []))
    [document] = [each for each in yaml.safe_load_all(text) if each["kind"] == "Deployment"]
    [container] = document["spec"]["template"]["spec"]["containers"]
    assert container["image"] == image
    assert image not in str(container.get("env"))


EQUAL: dict[str, Callable[[str], str]] = {
    "the same": lambda text: text,
    "comments": lambda text: text.replace("# ", "# other "),
    "layout": lambda text: yaml.safe_dump_all(list(yaml.safe_load_all(text)), sort_keys=True, default_flow_style=True),
}
DIFFERENT: dict[str, Callable[[str], str]] = {
    "a value": lambda text: text.replace("replicas: 2", "replicas: 3"),
    "a boolean for a number": lambda text: text.replace("maxUnavailable: 0", "maxUnavailable: false"),
    "one more key": lambda text: text.replace("replicas: 2", "replicas: 2\n  paused: true"),
    "one object less": lambda text: text.rpartition("---\n")[0],
    "another order of objects": lambda text: "---\n".join(reversed(text.split("---\n"))),
    "no YAML": lambda text: f"{text}[",
    "empty": lambda _: "",
}


@pytest.mark.parametrize("change", EQUAL.values(), ids=EQUAL)
def test_check_of_an_equal_file(folder: Path, capsys: Capture, change: Callable[[str], str]) -> None:
    (folder / "found.yaml").write_text(change(render(capsys)), encoding="utf-8")
    assert render(capsys, "--check", "found.yaml") == ""


@pytest.mark.parametrize("change", DIFFERENT.values(), ids=DIFFERENT)
def test_check_of_a_different_file(folder: Path, capsys: Capture, change: Callable[[str], str]) -> None:
    (folder / "found.yaml").write_text(change(render(capsys)), encoding="utf-8")
    assert run(["manifest", "--for", "kubernetes", "--check", "found.yaml"]) == 1
    captured = capsys.readouterr()
    assert captured.out.startswith("--- found.yaml\n+++ found.yaml (rendered)\n")
    assert "update it with --output found.yaml" in captured.err


def test_check_of_a_missing_file(folder: Path, capsys: Capture) -> None:
    assert run(["manifest", "--for", "kubernetes", "--check", "missing.yaml"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "missing.yaml cannot be read" in captured.err


# ----- pods

SHUTDOWNS: list[tuple[dict[str, float], dict[str, str], int]] = [
    ({}, {"DELAY": "5"}, 25),
    ({"grace_seconds": 0}, {"DELAY": "5", "GRACE": "6"}, 11),
    ({"grace_seconds": 3}, {"DELAY": "5", "GRACE": "8"}, 13),
    ({"grace_seconds": 5}, {"DELAY": "5", "GRACE": "10"}, 15),
    ({"grace_seconds": 30.5}, {"DELAY": "5"}, 36),
    ({"grace_seconds": 4, "delay_seconds": 3}, {}, 9),
]


@pytest.mark.parametrize(("shutdown", "variables", "seconds"), SHUTDOWNS, ids=[str(each[0]) for each in SHUTDOWNS])
def test_the_server_drains(
    folder: Path, capsys: Capture, shutdown: dict[str, float], variables: dict[str, str], seconds: int
) -> None:
    """The delay is shorter than the grace period of the server, and that is shorter than the one of the pod."""
    RandomSpec({"class_name": "parts.Model", "name": "risk", "server": {"shutdown": shutdown}}).write(folder)
    [deployment] = yaml.safe_load_all(render(capsys, "--only", "Deployment"))
    pod = deployment["spec"]["template"]["spec"]
    found = {each["name"]: each["value"] for each in pod["containers"][0].get("env", ())}
    assert found == {f"SELDON_SPEC__SERVER__SHUTDOWN__{key}_SECONDS": value for key, value in variables.items()}
    assert pod["terminationGracePeriodSeconds"] == seconds


def test_metrics_are_read_over_tls(folder: Path, capsys: Capture) -> None:
    RandomSpec({"class_name": "parts.Model", "name": "risk", "server": {"tls": TLS}}).write(folder)
    deployment, service = yaml.safe_load_all(render(capsys))
    assert deployment["spec"]["template"]["metadata"]["annotations"]["prometheus.io/scheme"] == "https"
    protocols = {port["name"]: port.get("appProtocol") for port in service["spec"]["ports"]}
    assert protocols == {"http": "https", "grpc": None, "metrics": "https"}


# ----- what prevents a manifest

CLASS = {"class_name": "parts.Model", "name": "risk"}
GRAPH: dict[str, Any] = {"name": "risk", "graph": ["iris"]}
TLS = {"certificate": "/etc/tls/a", "key": "/etc/tls/b"}


def make_graph(entry: Mapping[str, Any], **deployment: Any) -> dict[str, Any]:
    return {**GRAPH, "components": {"iris": {"class_name": "parts.Model", **entry}}, "deployment": deployment}


def make_file(path: str) -> dict[str, Any]:
    return {**CLASS, "parameters": {"key": {"from_file": path}}}


ERRORS: list[tuple[str, dict[str, Any], str, str]] = [
    ("name", {**CLASS, "name": "a.b"}, "deployment-name", "name"),
    ("long name", {**make_graph({}, apart=True), "name": "a" * 60}, "deployment-name", "components.iris.name"),
    ("scaling", {**CLASS, "deployment": {"replicas": {"min": 1, "max": 2}}}, "deployment-scaling", "deployment.replicas"),
    ("relative", make_file("key"), "deployment-file", "parameters.key"),
    ("relative TLS", {**CLASS, "server": {"tls": {"certificate": "/etc/tls/a", "key": "key.pem"}}}, "deployment-file", "server.tls.key"),
    ("root", make_file("/key"), "deployment-file", "parameters.key"),
    ("tmp", make_file("/tmp/key"), "deployment-file", "parameters.key"),
    ("etc", make_file("/etc/key"), "deployment-file", "parameters.key"),
    ("in the image", make_file("/microservice/key"), "deployment-file", "parameters.key"),
    ("not normal", make_file("/etc/a/../key"), "deployment-file", "parameters.key"),
    ("not a key", make_file("/etc/keys/the key"), "deployment-file", "parameters.key"),
    ("TLS apart", make_graph({"server": {"tls": TLS}}, apart=True), "not-in-target", "components.iris.server.tls"),
    ("outside", {**GRAPH, "components": {"iris": "../outside"}}, "deployment-image", "components.iris"),
    ("outside, apart", {**GRAPH, "components": {"iris": "../outside"}, "deployment": {"apart": True}}, "deployment-image", "components.iris"),
]  # fmt: skip
ACCEPTED = {
    "key of a Secret": {**make_file("/etc/keys/the key"), "deployment": {"secrets": {"/etc/keys/the key": "risk/key"}}},
    "folder in another folder": make_file("/etc/keys/key"),
    "TLS in one process": make_graph({"server": {"tls": TLS}}),
    "outside, with an image": {
        **GRAPH,
        "components": {"iris": {"path": "../outside", "deployment": {"image": "a:1"}}},
        "deployment": {"apart": True},
    },
}


def find_paths(folder: Path, tree: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return the code and path of each error, and whether its place is in the file."""
    RandomSpec({"class_name": "outside.Model"}).write(folder / "outside")
    (folder / "outside" / "parts.py").rename(folder / "outside" / "outside.py")
    path = RandomSpec(dict(tree)).write(folder / "inside")
    shutil.copy(Path(__file__).parents[1] / "tls" / "server-key.pem", path.parent / "key.pem")
    spec = load(path, {})
    errors = [each for each in find_problems(spec, Target.KUBERNETES) if each.severity is Severity.ERROR]
    return [(each.code, ".".join(each.path), each.origin.kind.value) for each in errors]


@pytest.mark.parametrize(("tree", "code", "path"), [each[1:] for each in ERRORS], ids=[each[0] for each in ERRORS])
def test_errors(tmp_path: Path, tree: Mapping[str, Any], code: str, path: str) -> None:
    [found] = find_paths(tmp_path, tree)
    assert found[:2] == (code, path)
    assert found[2] == "file" or path == "components.iris.name"


@pytest.mark.parametrize("tree", ACCEPTED.values(), ids=ACCEPTED)
def test_no_errors(tmp_path: Path, tree: Mapping[str, Any]) -> None:
    assert find_paths(tmp_path, tree) == []


def test_an_error_leaves_stdout_empty(folder: Path, capsys: Capture) -> None:
    assert run(["manifest", "--for", "kubernetes", "--set", "name=a.b"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "[deployment-name]" in captured.err


def test_a_literal_secret_of_a_flag_is_left_out(folder: Path, capsys: Capture) -> None:
    assert (
        run(
            [
                "manifest",
                "--for",
                "kubernetes",
                "--set",
                "flask.SECRET_KEY=hunter2",
                "--set",
                "parameters.token=hunter2",
            ]
        )
        == 0
    )
    captured = capsys.readouterr()
    assert "hunter2" not in captured.out + captured.err
    assert captured.err.count("[deployment-secret]") == 2


def test_another_name_of_the_file(folder: Path, capsys: Capture) -> None:
    entry = {"class_name": "parts.Model", "service_type": "MODEL"}
    tree = {"name": "risk", "graph": ["iris"], "components": {"iris": entry}, "deployment": {"apart": True}}
    RandomSpec(tree).write(folder).rename(folder / "risk $(A).yaml")
    text = render(capsys, "risk $(A).yaml")
    deployments = [each for each in yaml.safe_load_all(text) if each["kind"] == "Deployment"]
    arguments = [each["spec"]["template"]["spec"]["containers"][0].get("args") for each in deployments]
    assert arguments == [None, ["seldon-spec", "serve", "risk $$(A).yaml", "--component", "iris"]]
