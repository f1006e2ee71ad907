"""The old command line: its flags, its variables, its exit codes, and the guide's Dockerfile line as it stands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from seldon_spec.cli import serving
from seldon_spec.cli.main import run as run_ours
from seldon_spec.cli.microservice import OPTIONS, load_given, parse, run
from seldon_spec.config.model import Spec
from seldon_spec.errors import Severity, SpecError

if TYPE_CHECKING:
    from tests.conftest import Serve

ANSWER_SECONDS = 60

MODEL = """\
class MyModel:
    def __init__(self, threshold=0.5, **others):
        self.threshold = threshold

    def predict(self, X, features_names=None):
        return X
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "MyModel.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _load(folder: Path, line: str | list[str], environ: dict[str, str] | None = None, annotations: str = "") -> Spec:
    arguments = line.split() if isinstance(line, str) else line
    return load_given(parse(["MyModel", *arguments]), folder, environ or {}, annotations)


def _at(spec: Spec, path: str) -> Any:
    value: Any = spec
    for step in path.split("."):
        value = value[step] if hasattr(value, "keys") else getattr(value, step)
    return value


PARAMETERS = json.dumps([{"name": "threshold", "type": "FLOAT", "value": "0.7"}])
FIELDS: list[tuple[list[str], dict[str, str], str, object]] = [
    ([], {}, "service_type", "MODEL"),
    (["--service-type", "TRANSFORMER"], {"SERVICE_TYPE": "ROUTER"}, "service_type", "TRANSFORMER"),
    ([], {"SERVICE_TYPE": "TRANSFORMER"}, "service_type", "TRANSFORMER"),
    (["--parameters", PARAMETERS], {"PREDICTIVE_UNIT_PARAMETERS": "{oops"}, "parameters.threshold", 0.7),
    ([], {"PREDICTIVE_UNIT_PARAMETERS": PARAMETERS}, "parameters.threshold", 0.7),
    (["--log-level", "ERROR"], {}, "server.log.level", "ERROR"),
    (["--log-level", "ERROR"], {"SELDON_LOG_LEVEL": "DEBUG"}, "server.log.level", "DEBUG"),
    (["--debug"], {}, "flask.DEBUG", True),
    (["--debug", "false"], {"SELDON_DEBUG": "1"}, "flask.DEBUG", False),
    (["--debug", "t"], {}, "flask.DEBUG", True),
    ([], {"SELDON_DEBUG": "1"}, "flask.DEBUG", True),
    (["--workers", "2"], {"GUNICORN_WORKERS": "3"}, "server.workers", 2),
    (["--workers", "2"], {"GUNICORN_WORKERS": "many"}, "server.workers", 2),
    (["--work", "2"], {}, "server.workers", 2),
    (["--threads", "4"], {}, "server.threads", 4),
    (["--max-requests", "100"], {"GUNICORN_MAX_REQUESTS": "200"}, "server.max_requests", 100),
    (["--max-requests", "0"], {"GUNICORN_MAX_REQUESTS": "200"}, "server.max_requests", None),
    (["--max-requests", "9", "--max-requests-jitter", "5"], {}, "server.max_requests_jitter", 5),
    (["--keepalive", "2"], {}, "server.keep_alive_seconds", 2),
    (["--threads", "4", "--single-threaded", "1"], {}, "server.threads", 1),
    (["--single-threaded", "1", "--threads", "4"], {}, "server.threads", 1),
    (["--threads", "4"], {"FLASK_SINGLE_THREADED": "1"}, "server.threads", 1),
    (["--threads", "4", "--single-threaded", "0"], {"FLASK_SINGLE_THREADED": "1"}, "server.threads", 4),
    ([], {"FLASK_SINGLE_THREADED": "0", "GUNICORN_THREADS": "4"}, "server.threads", 4),
    (["--http-port", "9001"], {"PREDICTIVE_UNIT_HTTP_SERVICE_PORT": "9002"}, "ports.http", 9001),
    (["--grpc-port", "5001"], {}, "ports.grpc", 5001),
    (["--metrics-port", "6001"], {}, "ports.metrics", 6001),
    (["--grpc-workers", "0", "--grpc-port", "5001"], {}, "ports.grpc", None),
    (["--grpc-workers", "1"], {"GRPC_WORKERS": "0"}, "ports.grpc", 5000),
    ([], {"GRPC_WORKERS": "0", "PREDICTIVE_UNIT_GRPC_SERVICE_PORT": "9500"}, "ports.grpc", None),
    (["--grpc-port", "5001"], {"GRPC_WORKERS": "0"}, "ports.grpc", None),
    (["--grpc-port", "5001"], {"GRPC_WORKERS": " 0 "}, "ports.grpc", None),
    (["--grpc-port", "5001", "--grpc-workers", "1"], {"GRPC_WORKERS": "0"}, "ports.grpc", 5001),
    (["--grpc-port", "5001"], {"GRPC_WORKERS": "2"}, "ports.grpc", 5001),
    (["--http-port", "9001"], {"SELDON_SPEC__PORTS__HTTP": "9002"}, "ports.http", 9001),
    ([], {"MODEL_NAME": "Other"}, "class_name", "MyModel"),
    (["--pidfile", "pid"], {}, "server.workers", 1),
    (["--persistence"], {}, "server.workers", 1),
    (["--access-log"], {}, "server.log.access", True),
    (["--access-log", "no"], {"GUNICORN_ACCESS_LOG": "true"}, "server.log.access", False),
    ([], {"GUNICORN_ACCESS_LOG": "true"}, "server.log.access", True),
    (["--tracing"], {}, "server.tracing", True),
    (["--tracing", "0"], {"TRACING": "1"}, "server.tracing", False),
    (["--tracing", "2"], {}, "server.tracing", True),
    ([], {"TRACING": "1"}, "server.tracing", True),
]


@pytest.mark.parametrize(
    ("line", "environ", "path", "value"),
    FIELDS,
    ids=[" ".join([*(f"{k}={v}" for k, v in environ.items()), *line]) or "nothing" for line, environ, *_ in FIELDS],
)
def test_a_flag_stands_above_its_variable(
    folder: Path, line: list[str], environ: dict[str, str], path: str, value: object
) -> None:
    assert _at(_load(folder, line, environ), path) == value


UNHEEDED = ["--grpc-threads 2", "--grpc-workers 2", "--persistence", "--persistence 1"]  # fmt: skip
QUIET = ["--grpc-threads 1", "--grpc-workers 1", "--max-requests 0", "--max-requests-jitter 0", "--keepalive 2",
         "--persistence 0"]  # fmt: skip


@pytest.mark.parametrize("line", UNHEEDED)
def test_a_flag_without_an_effect_is_accepted_and_told_once(folder: Path, line: str) -> None:
    variable = next(option.variable for option in OPTIONS if option.flag == line.split()[0])
    assert variable is not None
    (finding,) = _load(folder, line, {variable: "7"}).diagnostics
    assert (finding.code, finding.severity, finding.origin.name) == ("no-effect", Severity.WARNING, line.split()[0])


@pytest.mark.parametrize("line", QUIET)
def test_a_flag_without_a_request_is_not_reported(folder: Path, line: str) -> None:
    assert _load(folder, line).diagnostics == ()


def test_every_flag_is_tried_here() -> None:
    tried = {word for line, *_ in FIELDS for word in line if word.startswith("--")}
    tried |= {line.split()[0] for line in [*UNHEEDED, *QUIET]}
    assert {option.flag for option in OPTIONS} <= tried


def test_a_file_in_the_folder_is_the_base(folder: Path) -> None:
    (folder / "seldon.yaml").write_text("class_name: Other\nserver: {workers: 3, threads: 2}\nname: iris\n")
    spec = _load(folder, "--workers 4")
    assert (spec.class_name, spec.server.workers, spec.server.threads, spec.name) == ("MyModel", 4, 2, "iris")
    assert str(spec.origin("server", "workers").below).endswith("seldon.yaml:2:19")


def test_the_pod_s_annotations_are_read_beneath_the_environment(folder: Path) -> None:
    lines = 'seldon.io/rest-timeout="2000"\nseldon.io/grpc-max-message-size="9"\n'
    spec = _load(folder, "", {"SELDON_SPEC__SERVER__MAX_MESSAGE_BYTES": "8"}, lines)
    assert (spec.server.request_timeout_seconds, spec.server.max_message_bytes) == (2, 8)


def test_annotations_are_a_file_s_text_bounded_and_may_be_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "ANNOTATIONS_FILE", tmp_path)
    assert serving.read_annotations() == ""
    file = tmp_path / "annotations"
    monkeypatch.setattr(serving, "ANNOTATIONS_FILE", file)
    assert serving.read_annotations() == ""
    file.write_bytes(b"x" * (serving.MAX_ANNOTATIONS_BYTES + 1))
    assert serving.read_annotations() == ""
    file.write_bytes(b'a="\xff"\n')
    assert serving.read_annotations() == 'a="\ufffd"\n'
    file.write_bytes('\ufeffa="ü"\n'.encode("utf-16-le"))
    assert serving.read_annotations() == 'a="ü"\n'


def test_our_own_commands_read_annotations_where_a_server_is_meant(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "seldon.yaml").write_text("class_name: MyModel\n")
    (folder / "annotations").write_text('seldon.io/rest-timeout="1500"\n')
    monkeypatch.setattr(serving, "ANNOTATIONS_FILE", folder / "annotations")
    assert run_ours(["show"]) == 0
    line = "server.request_timeout_seconds = 1.5  <- annotation seldon.io/rest-timeout\n"
    assert line in capsys.readouterr().out
    assert run_ours(["dockerfile"]) == 0
    assert "TIMEOUT_SECONDS" not in capsys.readouterr().out


def test_a_class_that_does_not_fit_its_type_is_only_warned_of(folder: Path) -> None:
    (finding,) = _load(folder, "--service-type ROUTER").diagnostics
    assert (finding.code, finding.severity, finding.origin.name) == ("no-hook", Severity.WARNING, "--service-type")


def test_a_class_of_an_installed_module_is_no_mistake(folder: Path) -> None:
    spec = load_given(parse(["elsewhere"]), folder, {})
    assert [(d.code, d.severity) for d in spec.diagnostics] == [("no-such-module", Severity.WARNING)]


def test_a_wrong_value_names_its_flag(folder: Path) -> None:
    with pytest.raises(SpecError) as caught:
        _load(folder, "--workers 0 --http-port 99999")
    assert [d.origin.name for d in caught.value.diagnostics] == ["--http-port", "--workers"]


WRONG_USAGE = {
    "nothing": ([], "INTERFACE_NAME"),
    "unknown flag": (["MyModel", "--no-such-flag"], "--no-such-flag"),
    "service type": (["MyModel", "--service-type", "OUTPUT_TRANSFORMER"], "OUTPUT_TRANSFORMER"),
    "service type missing": (["MyModel", "--service-type"], "expected one argument"),
    "log level": (["MyModel", "--log-level", "debug"], "debug"),
    "port": (["MyModel", "--http-port", "abc"], '"abc" is not an integer'),
    "boolean": (["MyModel", "--debug", "maybe"], '"maybe" is not a boolean'),
    "transport": (["MyModel", "REST", "--service-type", "MODEL"], "both served"),
    "transport after": (["MyModel", "--service-type", "MODEL", "grpc"], "both served"),
    "a second name": (["MyModel", "Other"], "Other"),
}


@pytest.mark.parametrize(("arguments", "message"), WRONG_USAGE.values(), ids=WRONG_USAGE)
def test_wrong_usage_exits_2_with_a_message(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err.splitlines()[-1]


def test_help_exits_0_and_names_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    page = capsys.readouterr().out
    assert [option.flag for option in OPTIONS if option.flag not in page] == []


USER_ERRORS: dict[str, tuple[list[str], str]] = {
    "no class in the module": (["helpers"], 'helpers.py defines no class "helpers"'),
    "parameters no JSON": (["MyModel", "--parameters", "{oops"], "parameters is not JSON"),
    "parameter not of its type": (
        ["MyModel", "--parameters", '[{"name": "a", "type": "INT", "value": "abc"}]'],
        'the parameter "a" is not an INT',
    ),
    "a required argument": (["Needy"], 'Needy.__init__ needs "must"'),
    "range": (["MyModel", "--workers", "0"], "server.workers is out of range"),
    "pidfile": (["MyModel", "--pidfile", "no/such/folder/pid"], "--pidfile: no/such/folder/pid cannot be written"),
}


@pytest.mark.parametrize(("arguments", "message"), USER_ERRORS.values(), ids=USER_ERRORS)
def test_a_mistake_exits_1_with_a_page_and_no_traceback(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    (folder / "helpers.py").write_text("x = 1\n")
    (folder / "Needy.py").write_text("class Needy:\n    def __init__(self, must): ...\n    def predict(self, X): ...\n")
    assert run(arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert "Traceback" not in captured.err


def test_the_guide_s_command_serves_a_folder_of_one_class(folder: Path, serve_folder: Serve) -> None:
    """The CMD and the variables of the guide's Dockerfile, letter by letter."""
    command = ["/bin/sh", "-c", "exec seldon-core-microservice $MODEL_NAME --service-type $SERVICE_TYPE"]
    assert [path.name for path in folder.iterdir()] == ["MyModel.py"]
    with serve_folder(folder, command, {"MODEL_NAME": "MyModel", "SERVICE_TYPE": "MODEL"}) as server:
        body = json.dumps({"data": {"ndarray": [[1, 2]]}}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{server.http}/predict", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as response:
            assert json.load(response)["data"]["ndarray"] == [[1, 2]]


def test_the_guide_s_command_has_nothing_to_tell(folder: Path) -> None:
    environ = {"MODEL_NAME": "MyModel", "SERVICE_TYPE": "MODEL"}
    assert _load(folder, "--service-type MODEL", environ).diagnostics == ()


def test_the_old_command_does_not_wait_for_the_option_parser_of_ours() -> None:
    """Nor for what only a wrong spec or a model needs: a pod starts with it."""
    code = (
        "import sys, seldon_spec.cli.microservice; print({'typer', 'click', 'jsonschema', 'numpy'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_the_pidfile_is_there_while_the_server_is(folder: Path, serve_folder: Serve) -> None:
    command = ["seldon-core-microservice", "MyModel", "--pidfile", "pid"]
    with serve_folder(folder, command):
        os.kill(int((folder / "pid").read_text()), 0)
    assert not (folder / "pid").exists()


def test_a_class_that_cannot_be_found_exits_1(folder: Path, serve_folder: Serve) -> None:
    with (
        pytest.raises(pytest.fail.Exception, match="exit code 1"),
        serve_folder(folder, ["seldon-core-microservice", "Absent"]),
    ):
        pass
