"""The message for each likely mistake of a user: the fix, and not another mistake's."""

from __future__ import annotations

from pathlib import Path

import pytest

from seldon_spec.cli.main import run

MODEL = "class MyModel:\n    def __init__(self, **kw): ...\n    def predict(self, X, names): ...\n"

REMEDIES = [
    ("server: {timeout: 30}", 'did you mean "request_timeout_seconds"?'),
    ("server: {timeouts: 30}", 'did you mean "request_timeout_seconds"?'),
    ("server.workers: 3", "server: {workers: …}"),
    ("server.log.level: INFO", "server: {log: {level: …}}"),
    ("timeout: 30", 'did you mean "server.request_timeout_seconds"?'),
    ("requirements: requirements.txt", 'did you mean "image.requirements"?'),
    ("image: {gpu: true}", "one of pytorch, tensorflow, cuda"),
    ("image: {gpu: yes}", "one of pytorch, tensorflow, cuda"),
    ("image: {python: 3.9}", '3.10 to 3.13, as text, e.g. "3.12"'),
    ("image: {python: '3.9'}", 'write e.g. python: "3.11"'),
    ("image: {python: 3.10}", 'write it in quotes: "3.10"'),
    ("env: {A: b}", 'did you mean "environment"?'),
    ("log_level: DEBUG", 'did you mean "server.log.level"?'),
    ("logging: DEBUG", 'did you mean "server.log.level"?'),
    ("server: {logLevel: DEBUG}", 'did you mean "server.log.level"?'),
    ("batching: {max_rows: 8}", 'did you mean "server.batching"?'),
    ("workers: 4", 'did you mean "server.workers"?'),
    ("threads: 4", 'did you mean "server.threads"?'),
    ("tracing: true", 'did you mean "server.tracing"?'),
    ("model_file: a.joblib", 'did you mean "model"?'),
    ("ports: 9000", "write {http: 9000}"),
    ("ports: {rest: 9000}", 'did you mean "http"?'),
    ("port: 9000", 'did you mean "ports.http"?'),
    ("server: {port: 9000}", 'did you mean "ports.http"?'),
    ("server: {tls: true}", "a mapping or null, e.g. {certificate: /certs/tls.crt, key: /certs/tls.key}"),
    ("server: {batching: true}", "e.g. {max_rows: 256}"),
    ("server: {batching: 32}", "write {max_rows: 32}"),
    ("server: {shutdown: 30}", "write {grace_seconds: 30}"),
    ("server: {log: debug}", "write {level: debug}"),
    ("image: {healthcheck: false}", "write {enabled: false}"),
    ("parameters: [threshold=0.5]", "write a mapping: {threshold: 0.5}"),
    ("environment: [A=b, C=d]", "write a mapping: {A: b, C: d}"),
    ("environment: [PASSWORD=hunter2]", "write a mapping: {NAME: value}"),
    ("server: {workers: auto}", "write e.g. workers: 4"),
    ("server: {max_body_bytes: 10MB}", "write the number alone: 10000000"),
    ("server: {max_body_bytes: 1 GiB}", "write the number alone: 1073741824"),
    ("server: {request_timeout_seconds: 30s}", "write the number alone: 30"),
    ("server: {request_timeout_seconds: 500ms}", "write the number alone: 0.5"),
    ("image: {user: root}", "write e.g. user: 1000"),
    ("image: {workdir: app}", 'did you mean "/app"?'),
    ("image: {tag: My Image:1}", 'did you mean "my-image:1"?'),
    ("class_name: 'MyModel:MyModel'", 'did you mean "MyModel.MyModel"?'),
    ("class_name: src/MyModel", 'did you mean "src.MyModel"?'),
    ("class_name: src/MyModel.py", 'did you mean "src.MyModel"?'),
    ("apiVersion: v1\nkind: SeldonDeployment\nmetadata: {name: iris}", "run seldon-spec migrate"),
    ("class_name: MyModel\napiVersion: v1\nkind: SeldonDeployment", "run seldon-spec migrate"),
    ("server:\u00a0{}", "U+00A0 (no-break space)"),
    ("server\uff1a {workers: 2}", "U+FF1A (fullwidth colon)"),
    ("server:\n  \u200bworkers: 2", "U+200B (zero width space)"),
    ("server:\n  \ufeffworkers: 2", "U+FEFF (zero width no-break space)"),
    ("server: {workers: \u201c4\u201d}", "U+201C (left double quotation mark)"),
    ("image: {tag: a\u2013b}", "U+2013 (en dash)"),
    ("server: {log: {level: loud}}", "one of DEBUG, INFO, WARNING, ERROR, CRITICAL"),
]  # fmt: skip


def _validate(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str]:
    first = "" if text.startswith(("class_name", "apiVersion")) else "class_name: MyModel\n"
    (tmp_path / "seldon.yaml").write_text(f"{first}{text}\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    code = run(["validate"])
    return code, capsys.readouterr().err


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "MyModel.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("text", "help_"), REMEDIES, ids=[text[:40] for text, _ in REMEDIES])
def test_a_mistake_gets_its_fix(
    folder: Path, text: str, help_: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, page = _validate(text, folder, monkeypatch, capsys)
    assert code == 1
    assert help_ in page
    assert "write it in quotes" not in page or "write it in quotes" in help_


SURPRISES = [
    ("parameters: {lr: 1e-3}", "write 1.0e-3, or put it in quotes"),
    ("parameters: {lr: 1.5E5}", "write 1.5e+5, or put it in quotes"),
    ("parameters: {a: [{b: None}]}", 'write null, or "None" in quotes'),
    ("parameters: {home: ~}", 'write null, or "~" in quotes'),
    ("parameters: {model_version: 1.10}", 'write it in quotes: "1.10"'),
    ('parameters: {path: "C:\\new\\table"}', "use single quotes"),
    ("parameters: {path: $HOME/models}", "write {from_env: NAME}"),
    ("environment: {A: '${MODEL_DIR}/x'}", "write {from_env: NAME}"),
    ("environment: {A: $HOME}", "write {from_env: NAME}"),
    ("server: {request_timeout_seconds: 30000}", "write 30 if you mean milliseconds"),
    ("environment: {OPENAI_KEY: abc}", "use a reference"),
    ("environment: {AWS_ACCESS_KEY_ID: abc}", "use a reference"),
]
QUIET = [
    "parameters: {lr: 1.0e-3, a: null, b: , ratio: 0.50, cost: '$5', regex: '^a$', path: 'C:\\new', x: '1e-3'}",
    "environment: {N: 4, DEBUG: true, RATIO: 1.10, NOTHING: ''}",
    "server: null\nparameters:\nimage:\n  labels:\nenvironment: ~",
    "server: {log: {level: debug}}",
    "server: {request_timeout_seconds: 300, keep_alive_seconds: 75}",
    "image: {labels: {build: 17}, environment: {N: 4}}",
]


@pytest.mark.parametrize(("text", "help_"), SURPRISES, ids=[text[:40] for text, _ in SURPRISES])
def test_a_value_that_is_not_what_it_looks_like_is_reported(
    folder: Path, text: str, help_: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, page = _validate(text, folder, monkeypatch, capsys)
    assert code == 0
    assert help_ in page


@pytest.mark.parametrize("text", QUIET, ids=[text[:40] for text in QUIET])
def test_what_is_meant_as_it_is_written_is_not(
    folder: Path, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, page = _validate(text, folder, monkeypatch, capsys)
    assert (code, "warning" in page) == (0, False)


METHODS = [
    ("def predict(X): ...", False), ("def predict(self): ...", False), ("def predict(): ...", False),
    ("def predict(self, X, names, meta, extra): ...", False), ("def predict(self, X, *, extra): ...", False),
    ("async def predict(self): ...", False), ("@staticmethod\n    def predict(): ...", False),
    ("def predict(self, X, n): ...\n    def load(self, path): ...", False),
    ("def predict(self, X, n): ...\n    def load(): ...", False),
    ("def predict(self, X, n): ...\n    def metrics(self, x): ...", False),
    ("def predict(self, X, names, meta): ...", True), ("def predict(self, X, names=None, meta=None, extra=1): ...", True),
    ("def predict(self, *args): ...", True), ("def predict(*args, **kwargs): ...", True),
    ("def predict(self, X, *names): ...", True), ("def predict(self, X, names, *, meta=None): ...", True),
    ("def predict(self, X, names, *, meta): ...", True), ("@staticmethod\n    def predict(X, names): ...", True),
    ("@classmethod\n    def predict(cls, X, names): ...", True), ("@timed\n    def predict(X): ...", True),
    ("def __init__(self): self.predict = f\n    def predict(self): ...", True), ("def predict(self): ...\n    predict = f", True),
    ("def predict(self, X, names): ...\n    def load(self, path='x'): ...", True),
    ("def predict(self, X, names): ...\n    def send_feedback(self, features, names, reward, truth, routing): ...", True),
]  # fmt: skip


@pytest.mark.parametrize(("text", "is_right"), METHODS, ids=[text for text, _ in METHODS])
def test_a_method_that_cannot_be_called_is_an_error(
    folder: Path, text: str, is_right: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "MyModel.py").write_text(f"class MyModel:\n    {text}\n")
    code, page = _validate("", folder, monkeypatch, capsys)
    assert (code, "[hook-signature]" in page) == (int(not is_right), not is_right)


def test_a_misspelt_hook_stops_what_would_answer_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "MyModel.py").write_text("class MyModel:\n    def predct(self, X, names): ...\n")
    (folder / "seldon.yaml").write_text("class_name: MyModel\n")
    assert run(["validate"]) == 0
    for command in (["serve"], ["predict", "[[1]]"]):
        assert run(command) == 1
        assert "error: MyModel has no predict method" in capsys.readouterr().err.replace("warning", "")


PLACES = [
    (["seldon.yml"], ["validate"], "did you mean seldon.yml?"),
    (["seldon.YAML"], ["validate"], "did you mean seldon.YAML?"),
    (["Seldon.yaml"], ["show"], "did you mean Seldon.yaml?"),
    (["seldon.yaml.txt"], ["validate"], "did you mean seldon.yaml.txt?"),
    ([], ["validate"], "run seldon-spec init to create one"),
    ([], ["serve"], "run seldon-spec init to create one"),
    ([], ["serve", "MyModel.py"], "MyModel.py is a Python file, not a spec"),
    ([], ["predict", "[[1]]", "--at", "localhost:9000"], "write http://localhost:9000"),
    ([], ["validate", "nowhere/seldon.yaml"], "name the folder with seldon.yaml"),
]


@pytest.mark.parametrize(("files", "command", "help_"), PLACES, ids=[" ".join([*f, *c]) for f, c, _ in PLACES])
def test_a_file_that_is_not_there_is_found_under_its_other_name(
    folder: Path, files: list[str], command: list[str], help_: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in files:
        (folder / name).write_text("class_name: MyModel\n")
    assert run(command) == 1
    assert help_ in capsys.readouterr().err


@pytest.mark.parametrize("spelling", ["model", "Router", "OUTLIER_DETECTOR"])
def test_the_type_of_a_new_folder_may_have_any_case(tmp_path: Path, spelling: str) -> None:
    assert run(["init", str(tmp_path / "new"), "--service-type", spelling]) == 0
