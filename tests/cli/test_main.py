"""The commands: exit codes, streams, and what each prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from seldon_spec import __version__
from seldon_spec.cli import main
from seldon_spec.cli.main import run
from seldon_spec.config.schema.lookup import schema_text

MODEL = """\
class MyModel:
    def __init__(self, threshold=0.5):
        self.threshold = threshold

    def predict(self, X, names):
        return X * self.threshold
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "MyModel.py").write_text(MODEL)
    (tmp_path / "seldon.yaml").write_text("class_name: MyModel\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _command(*arguments: str, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """One command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "seldon_spec", *arguments],
        env={**os.environ, **variables},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


USAGE = [
    ("unknown command", ["serv"]),
    ("unknown option", ["validate", "--fast"]),
    ("bad format", ["validate", "--format", "xml"]),
    ("setting without a value", ["show", "--set", "server.workers"]),
    ("setting without a key", ["show", "--set", "=4"]),
    ("no data", ["predict"]),
    ("two paths", ["show", ".", "."]),
    ("settings for a running server", ["predict", "[[1]]", "--at", "http://127.0.0.1:1", "--set", "name=x"]),
]


@pytest.mark.parametrize("arguments", [arguments for _, arguments in USAGE], ids=[name for name, _ in USAGE])
def test_wrong_usage_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Usage: seldon-spec" in captured.err


USERS_FAULTS = [
    ("no file", ["validate", "elsewhere"], "there is no elsewhere"),
    ("not json", ["predict", "[[1,"], "DATA is not JSON: Expecting value at line 1, column 5"),
    ("no message", ["predict", "5"], "neither a JSON array"),
    ("deep", ["predict", "[" * 100_000], "DATA is "),
    ("no data file", ["predict", "@nothing.json"], "nothing.json cannot be read"),
    ("no url", ["predict", "[[1]]", "--at", "http://"], "is not the URL of a server"),
    ("bad scheme", ["predict", "[[1]]", "--at", "ftp://127.0.0.1:1"], "is not the URL of a server"),
    ("bad port", ["predict", "[[1]]", "--at", "http://127.0.0.1:x"], "is not the URL of a server"),
    ("no server", ["predict", "[[1]]", "--at", "http://127.0.0.1:1"], "no response from 127.0.0.1:1"),
    ("no gRPC server", ["predict", "[[1]]", "--at", "grpc://127.0.0.1:1"], "error: no response from 127.0.0.1:1: "),
    ("text", ["predict", "free money"], 'a text is {"strData": "text"}'),
    ("not ready", ["health", "--set", "ports.http=1"], "no response from 127.0.0.1:1"),
    ("no payload", ["predict", '{"meta": {}}'], "Invalid request data type"),
]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("arguments", "message"), [row[1:] for row in USERS_FAULTS], ids=[row[0] for row in USERS_FAULTS]
)
def test_a_user_error_exits_with_1_and_no_traceback(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert "Traceback" not in captured.err


def test_an_exception_of_the_class_shows_the_user_s_frames_only(folder: Path) -> None:
    (folder / "MyModel.py").write_text(
        "class MyModel:\n    def __init__(self):\n        raise ValueError('no weights')\n    predict = None\n"
    )
    done = _command("predict", "[[1]]")
    assert (done.returncode, done.stdout) == (1, "")
    assert "ValueError: no weights" in done.stderr
    assert "MyModel.py" in done.stderr
    assert "seldon_spec" not in done.stderr.replace("seldon-spec", "")


def test_an_internal_error_exits_with_3_and_a_report(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("broken inside")

    monkeypatch.setattr("seldon_spec.cli.commands.load", fail)
    assert run(["show", str(folder)]) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "RuntimeError: broken inside" in captured.err
    assert f"internal error of seldon-spec {__version__}" in captured.err


def test_an_interrupt_ends_with_130(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("seldon_spec.cli.commands.load", interrupt)
    assert run(["show", str(folder)]) == 130


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"seldon-spec {__version__}\n"


def test_schema_prints_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema"]) == 0
    assert capsys.readouterr().out == schema_text()


@pytest.mark.usefixtures("folder")
def test_validate_as_json_is_on_stdout_for_right_and_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"diagnostics": []}
    assert run(["validate", "--format", "json", "--set", "ports.http=0"]) == 1
    captured = capsys.readouterr()
    (finding,) = json.loads(captured.out)["diagnostics"]
    assert finding["code"] == "range"
    assert finding["path"] == "ports.http"
    assert finding["origin"] == {"kind": "flag", "name": "--set ports.http"}
    assert captured.err == ""


def test_show_prints_each_value_with_its_origin(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "seldon.yaml").write_text(
        "class_name: MyModel\nserver: {threads: 4}\nenvironment: {A_TOKEN: hunter2, B: {from_env: C}}\n"
    )
    monkeypatch.setenv("GUNICORN_THREADS", "8")
    assert run(["show"]) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert "server.threads = 8  <- GUNICORN_THREADS (seldon.yaml:2:19 said 4)" in lines
    assert 'name = "my-model"  <- from class_name (seldon.yaml:1:13)' in lines
    assert 'environment.A_TOKEN = "(not shown)"  <- seldon.yaml:3:24' in lines
    assert 'environment.B = {"from_env": "C"}  <- seldon.yaml:3:33' in lines
    assert "server.workers = 1  <- default" in lines
    assert "hunter2" not in captured.out + captured.err


def test_show_as_json_holds_values_and_origins(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "seldon.yaml").write_text("class_name: MyModel\nserver: {workers: 2}\n")
    monkeypatch.setenv("SELDON_SPEC__SERVER__WORKERS", "4")
    assert run(["show", "--format", "json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["spec"]["server"]["workers"] == 4
    assert shown["spec"]["ports"] == {"http": 9000, "grpc": 5000, "metrics": 6000}
    assert shown["origins"]["server.workers"] == {
        "kind": "environment",
        "name": "SELDON_SPEC__SERVER__WORKERS",
        "above": {"kind": "file", "name": "seldon.yaml", "line": 2, "column": 19, "value": 2},
    }
    assert "server.threads" not in shown["origins"]


def test_dockerfile_warns_of_what_no_image_takes_along(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SELDON_SPEC__PARAMETERS__THRESHOLD", "0.75")
    monkeypatch.setenv("FLASK_SECRET_KEY", "hunter2")
    monkeypatch.setenv("GUNICORN_WORKERS", "3")
    assert run(["dockerfile", str(folder)]) == 0
    captured = capsys.readouterr()
    assert 'ENV GUNICORN_WORKERS="3"' in captured.out
    assert "hunter2" not in captured.out + captured.err
    assert "0.75" not in captured.out
    assert captured.err.count("[not-baked]") == 2
    assert captured.err.count("or refer to it: {from_env: NAME}") == 1


PREDICTIONS = [
    ("rows", ["[[1, 2]]"], "", {"data": {"names": ["t:0", "t:1"], "ndarray": [[0.5, 1.0]]}, "meta": {}}),
    ("message", ['{"data": {"tensor": {"shape": [1, 1], "values": [4]}}}'], "",
     {"data": {"names": ["t:0"], "tensor": {"shape": [1, 1], "values": [2.0]}}, "meta": {}}),
    ("file", ["@rows.json"], "", {"data": {"names": ["t:0"], "ndarray": [[1.5]]}, "meta": {}}),
    ("stdin", ["-"], "[[8]]", {"data": {"names": ["t:0"], "ndarray": [[4.0]]}, "meta": {}}),
    ("setting", ["[[1]]", "--set", "parameters.threshold=3"], "", {"data": {"names": ["t:0"], "ndarray": [[3]]}, "meta": {}}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "stdin", "response"), [row[1:] for row in PREDICTIONS], ids=[row[0] for row in PREDICTIONS]
)
def test_predict_in_process(folder: Path, arguments: list[str], stdin: str, response: object) -> None:
    (folder / "rows.json").write_text("[[3]]")
    done = _command("predict", *arguments, stdin=stdin)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == response


THREADS = {
    "none": "pass",
    "ends": "threading.Thread(target=time.sleep, args=(1.5,)).start()",
    "stays": "threading.Thread(target=threading.Event().wait).start()",
}


@pytest.mark.parametrize("begin", THREADS.values(), ids=THREADS.keys())
def test_predict_calls_the_handlers_of_the_class_at_its_end(folder: Path, begin: str) -> None:
    (folder / "MyModel.py").write_text(
        "import atexit, sys, threading, time\n\natexit.register(print, 'ended', file=sys.stderr)\n"
        f"class MyModel:\n    def load(self):\n        {begin}\n\n    def predict(self, X, names):\n        return X\n"
    )
    done = _command("predict", "[[1]]")
    assert (done.returncode, json.loads(done.stdout)["data"]["ndarray"]) == (0, [[1]])
    assert done.stderr.count("ended") == 1
    assert ("exiting without it" in done.stderr) == ("Event" in begin)


def test_predict_at_another_folder(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    done = _command("predict", "[[2]]", "--at", str(folder))
    assert json.loads(done.stdout)["data"]["ndarray"] == [[1.0]]


def test_the_class_sees_its_environment_but_a_real_variable_wins(folder: Path) -> None:
    (folder / "MyModel.py").write_text(
        "import os\n\n\nclass MyModel:\n    def predict(self, X, names):\n        return [os.environ['A'], os.environ['B'], os.environ['C']]\n"
    )
    (folder / "seldon.yaml").write_text("class_name: MyModel\nenvironment: {A: file, B: file, C: {from_env: SECRET}}\n")
    done = _command("predict", "[[1]]", B="real", SECRET="kept")
    assert json.loads(done.stdout)["data"]["ndarray"] == ["file", "real", "kept"]


def test_a_secret_that_is_not_there_stops_predict_but_not_validate(folder: Path) -> None:
    (folder / "seldon.yaml").write_text("class_name: MyModel\nparameters:\n  threshold: {from_env: NOWHERE}\n")
    assert _command("validate").returncode == 0
    done = _command("predict", "[[1]]")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("seldon.yaml:3:3: error: parameters.threshold: the secret cannot be read")


@pytest.mark.usefixtures("folder")
def test_a_closed_pipe_is_no_error() -> None:
    command = f"{sys.executable} -m seldon_spec show | head -n 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
    assert done.stdout.startswith("class_name")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("command", [["validate"], ["schema"], ["dockerfile"], ["show"]], ids=lambda c: c[0])
def test_commands_that_only_read_import_no_server(command: list[str]) -> None:
    code = (
        "import sys\nfrom seldon_spec.cli.main import run\n"
        f"assert run({command!r}) == 0\n"
        "heavy = {'flask', 'grpc', 'numpy', 'google.protobuf', 'uvicorn'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_validate_takes_several_paths(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As pre-commit calls it."""
    other = folder / "other"
    other.mkdir()
    (other / "seldon.yaml").write_text("class_name: Nothing\n")
    assert run(["validate", "seldon.yaml", "other/seldon.yaml"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "seldon.yaml: OK"
    assert lines[1].startswith("other/seldon.yaml:1:13: error: ")
    assert lines[-1] == "Found 1 error in other/seldon.yaml."


PLAIN = [["validate"], ["validate", "."], ["validate", "seldon.yaml"], ["validate", "wrong"], ["dockerfile"],
         ["dockerfile", "."], ["dockerfile", "wrong"], ["schema"], ["health"], ["health", "."], ["serve", "wrong"]]  # fmt: skip


@pytest.mark.parametrize("arguments", PLAIN, ids=" ".join)
def test_a_plain_line_has_the_same_output_with_and_without_the_parser(
    folder: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "wrong").mkdir()
    (folder / "wrong" / "seldon.yaml").write_text("class: x\n")
    monkeypatch.setenv("PREDICTIVE_UNIT_HTTP_SERVICE_PORT", "1")
    assert main._match_plain(arguments) is not None
    plain = run(arguments), capsys.readouterr()
    monkeypatch.setattr(main, "_match_plain", lambda _: None)
    assert (run(arguments), capsys.readouterr()) == plain


def test_plain_lines_import_no_parser_and_no_validator(folder: Path) -> None:
    code = (
        "import sys\nfrom seldon_spec.cli.main import run\n"
        "assert [run([name]) for name in ('validate', 'dockerfile', 'schema')] == [0, 0, 0]\n"
        "heavy = {'typer', 'click', 'rich', 'jsonschema', 'pydantic', 'difflib', 'email', 'importlib.metadata'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
