"""``seldon-spec test``: in this process and at a running server, its formats and its exit codes."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from seldon_spec.cli.main import run
from seldon_spec.config.loader import load
from seldon_spec.config.model import ServerSpec, TlsSpec

if TYPE_CHECKING:
    from tests.conftest import RunningServer, Serve

TLS = Path(__file__).parents[1] / "tls"
SPEC = """\
class_name: Model
name: risk
inputs:
  - {name: age, datatype: INT64, shape: [-1], minimum: 0, maximum: 130}
  - {name: job, datatype: BYTES, shape: [-1], content_type: str, choices: [nurse, cook]}
outputs: [{name: score, datatype: FP64, shape: [-1], minimum: 0, maximum: 130}]
"""
AUTH = "server: {auth: {tokens: [{from_env: TOKEN}]}}\n"
MODEL = """\
class Model:
    def infer(self, inputs):
        print("printed by the class")
        return {"score": inputs["age"] * 1.0}
"""
WRONG = MODEL.replace("* 1.0", "* 2.0")
DEPENDENT = MODEL.replace("* 1.0", '[:1].repeat(len(inputs["age"])) * 2.0')
FEW = ["--requests", "12"]


def make_folder(folder: Path, spec: str = SPEC, model: str = MODEL) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "seldon.yaml").write_text(spec)
    (folder / "Model.py").write_text(model)
    return folder


def test_a_right_model_exits_with_0(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["test", str(make_folder(tmp_path)), *FEW]) == 0
    printed = capfd.readouterr()
    lines = printed.out.splitlines()
    assert lines[0] == "contract test of risk, in this process"
    assert "valid v1 REST: 12 requests OK" in lines
    assert lines[-1].endswith(" requests, 0 failures, seed 0")
    assert "printed by the class" in printed.err
    assert "printed by the class" not in printed.out


def test_a_wrong_model_exits_with_1(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["test", str(make_folder(tmp_path, model=WRONG)), *FEW, "--seed", "3"]) == 1
    printed = capfd.readouterr().out
    assert "failure: range: a valid request\n" in printed
    assert "  expected: score: at least 0 and at most 130\n" in printed
    assert (
        "  request:  curl -s http://localhost:9000/predict -H 'Content-Type: application/json' -d '{\"data\": "
        in printed
    )
    assert printed.endswith(" requests, 1 failure, seed 3\n")


@pytest.mark.parametrize("model", [MODEL, WRONG], ids=["right", "wrong"])
def test_the_machine_formats(model: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = make_folder(tmp_path, model=model)
    code = run(["test", str(folder), *FEW, "--format", "json"])
    tree = json.loads(capfd.readouterr().out)
    assert code == (0 if tree["ok"] else 1) == len(tree["failures"])
    assert run(["test", str(folder), *FEW, "--format", "junit"]) == code
    suites = ET.fromstring(capfd.readouterr().out)
    assert suites.get("failures") == ("0" if tree["ok"] else "5")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--budget", "30"], "is not a time such as 30s"),
        (["--budget", "0s"], "is not a time such as 30s"),
        (["--requests", "0"], "--requests"),
        (["--token-file", "x"], "needs the URL of a server in --at"),
        (["--ca", "x"], "needs the URL of a server in --at"),
        (["--format", "xml"], "--format"),
    ],
)
def test_wrong_usage_exits_with_2(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["test", str(make_folder(tmp_path)), *arguments]) == 2
    assert message in " ".join(capsys.readouterr().err.replace("│", "").split())


@pytest.mark.parametrize(
    ("spec", "model", "message"),
    [
        pytest.param(
            "class_name: Model\n", MODEL, "declares no inputs, and there is no contract.json", id="no-contract"
        ),
        pytest.param("class_name: Model\nnme: x\n", MODEL, "unknown-key", id="spec"),
        pytest.param(SPEC, "class Model:\n    def __init__(self):\n        1 / 0\n", "ZeroDivisionError", id="class"),
    ],
)
def test_an_error_before_the_test_exits_with_1(
    spec: str, model: str, message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["test", str(make_folder(tmp_path, spec, model))]) == 1
    printed = capfd.readouterr()
    assert message in printed.err
    assert printed.out == ""


CONTRACT = {
    "features": [
        {"name": "age", "ftype": "continuous", "dtype": "FLOAT", "range": [0, 130]},
        {"name": "income", "ftype": "continuous", "dtype": "FLOAT", "range": [0, "inf"]},
    ],
    "targets": [{"name": "score", "ftype": "continuous", "dtype": "FLOAT", "range": [0, 1]}],
}
OLD_MODEL = """\
class Model:
    def predict(self, X, names):
        return X[:, :1] / {divisor}
"""


@pytest.mark.parametrize("is_named", [False, True], ids=["in-the-folder", "by-option"])
@pytest.mark.parametrize(("divisor", "code"), [(200, 0), (100, 1)])
def test_the_contract_of_seldon_core(
    is_named: bool, divisor: int, code: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = make_folder(tmp_path / "model", "class_name: Model\n", OLD_MODEL.format(divisor=divisor))
    file = (tmp_path if is_named else folder) / "contract.json"
    file.write_text(json.dumps(CONTRACT))
    assert run(["test", str(folder), *FEW, *(["--contract", str(file)] if is_named else [])]) == code
    printed = capfd.readouterr().out
    assert "note: the server knows nothing of contract.json; declare inputs in seldon.yaml" in printed
    assert ("score:0" in printed or "1.3 is greater than the maximum 1" in printed) == (code == 1)


# At a running server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_folder(tmp_path_factory.mktemp("test") / "risk", SPEC + AUTH)
    (folder.parent / "token").write_text("s3cret-token\n")
    return folder


@pytest.fixture(scope="module")
def server(folder: Path, serve_folder: Serve) -> Iterator[RunningServer]:
    with serve_folder(folder, variables={"TOKEN": "s3cret-token"}) as running:
        yield running


AT = {
    "rest": ["--at", "http://127.0.0.1:{http}"],
    "grpc": ["--at", "grpc://127.0.0.1:{grpc}"],
    "both": ["--at", "http://127.0.0.1:{http}", "--at", "grpc://127.0.0.1:{grpc}"],
}
CHANNELS = {
    "rest": {"v1 REST", "V2 REST", "V2 REST binary"},
    "grpc": {"v1 gRPC", "V2 gRPC"},
    "both": {"v1 REST", "V2 REST", "V2 REST binary", "v1 gRPC", "V2 gRPC"},
}


def run_at(
    at: str, path: Path, server: RunningServer, folder: Path, monkeypatch: pytest.MonkeyPatch, *more: str
) -> int:
    monkeypatch.setenv("TOKEN", "s3cret-token")
    urls = [part.format(http=server.http, grpc=server.grpc) for part in AT[at]]
    token = ["--token-file", str(folder.parent / "token")]
    return run(["test", str(path), *urls, *token, *FEW, "--format", "json", *more])


def read_channels(tree: Any, kind: str) -> set[str]:
    return {g["name"].removeprefix(f"{kind} ") for g in tree["groups"] if g["name"].startswith(kind) and g["count"]}


@pytest.mark.parametrize("at", AT)
def test_a_running_server(
    at: str,
    server: RunningServer,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    code = run_at(at, folder, server, folder, monkeypatch)
    tree = json.loads(capfd.readouterr().out)
    assert tree["failures"] == []
    assert code == 0
    assert tree["notes"] == []
    assert read_channels(tree, "valid") == CHANNELS[at]
    assert read_channels(tree, "invalid") >= CHANNELS[at]


@pytest.mark.parametrize("at", AT)
def test_a_running_server_without_its_folder(
    at: str,
    server: RunningServer,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The metadata have no ranges, so that valid requests of the test may not be valid."""
    code = run_at(at, tmp_path, server, folder, monkeypatch, "-n", "3")
    tree = json.loads(capfd.readouterr().out)
    assert tree["title"].startswith("contract test of risk at ")
    assert read_channels(tree, "valid") == CHANNELS[at]
    assert code == 1
    assert {failure["check"] for failure in tree["failures"]} == {"status"}
    assert all("is not one of 'nurse', 'cook'" in failure["found"] for failure in tree["failures"])
    assert tree["notes"] == [
        "the metadata of the server have no ranges, and do not say whether it validates requests: invalid requests need"
        " not be rejected, only survived"
    ]


def test_a_wrong_token_fails(
    server: RunningServer,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "wrong").write_text("wrong-token")
    code = run_at("both", folder, server, folder, monkeypatch, "--token-file", str(tmp_path / "wrong"))
    tree = json.loads(capfd.readouterr().out)
    assert code == 1
    assert {failure["found"].split(":")[0] for failure in tree["failures"]} <= {"401", "UNAUTHENTICATED"}
    assert '-H "Authorization: Bearer $TOKEN"' in tree["failures"][0]["curl"]
    assert f"http://127.0.0.1:{server.http}/" in tree["failures"][0]["curl"]


def test_a_failure_over_grpc_only_has_a_command_that_sends_it_over_grpc(
    tmp_path: Path, serve_in_thread: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = make_folder(tmp_path, SPEC.replace("name: risk", "name: model"), DEPENDENT)
    spec = load(folder, {})
    with serve_in_thread(folder, "Model", inputs=spec.inputs, outputs=spec.outputs) as running:
        url = f"grpc://127.0.0.1:{running.grpc_port}"
        assert run(["test", str(folder), "--at", url, *FEW, "--format", "json"]) == 1
        failures = {failure["check"]: failure for failure in json.loads(capfd.readouterr().out)["failures"]}
        assert set(failures) == {"range", "rows alone"}
        for check, at in (("range", url), ("rows alone", f"{url}/v2/models/model")):
            command = shlex.split(failures[check]["curl"])
            assert (command[:2], command[-2:]) == (["seldon-spec", "predict"], ["--at", at])
            assert run(command[1:]) == 0
            response = json.loads(capfd.readouterr().out.splitlines()[-1])  # the class prints, too
            assert ("outputs" in response) == (check == "rows alone")


def test_a_server_with_tls(tmp_path: Path, serve_in_thread: Any, capfd: pytest.CaptureFixture[str]) -> None:
    folder = make_folder(tmp_path, SPEC.replace("name: risk", "name: model"))
    spec = load(folder, {})
    pem = {"certificate": str(TLS / "server.pem"), "key": str(TLS / "server-key.pem")}
    server = ServerSpec(host="127.0.0.1", tls=TlsSpec(**pem))
    with serve_in_thread(folder, "Model", server=server, inputs=spec.inputs, outputs=spec.outputs) as running:
        urls = ["--at", f"https://127.0.0.1:{running.http_port}", "--at", f"grpcs://127.0.0.1:{running.grpc_port}"]
        assert run(["test", str(folder), *urls, "--ca", str(TLS / "ca.pem"), "-n", "5"]) == 0
        assert capfd.readouterr().out.endswith(" requests, 0 failures, seed 0\n")
        assert run(["test", str(folder), *urls, "-n", "5"]) == 1
        assert "certificate" in capfd.readouterr().out


def test_a_server_that_does_not_run_fails(
    folder: Path, reserve_ports: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TOKEN", "s3cret-token")
    with reserve_ports(1) as (port,):
        assert run(["test", str(folder), "--at", f"http://127.0.0.1:{port}"]) == 1
    printed = capfd.readouterr().out
    assert "no response" in printed
    assert "note: the server does not respond: the other requests were not sent" in printed


@pytest.mark.parametrize(
    ("urls", "message"),
    [
        (["localhost:9000"], "is not the URL of a server"),
        (["http://localhost:1", "http://localhost:2"], "accepts one http(s):// URL and one grpc(s):// URL"),
    ],
)
def test_wrong_urls_are_reported(
    urls: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["test", str(make_folder(tmp_path)), *[word for url in urls for word in ("--at", url)]]) == 1
    assert message in capsys.readouterr().err


def test_the_command_line_loads_no_protocol_for_other_commands() -> None:
    code = "import sys; from seldon_spec.cli.main import run; run(['--version']); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert "seldon_spec.contract_test" not in done.stdout
    assert "numpy" not in done.stdout
