"""References are read only for the verbs that load the class, and never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from seldon_spec.errors import SpecError
from seldon_spec.spec.loader import load
from seldon_spec.spec.secrets import MAX_SECRET_BYTES, prepare_to_load

SPEC = """\
class_name: MyModel
parameters: {password: {from_env: PW}, nested: [{from_file: secret.txt}]}
environment: {TOKEN: {from_file: secret.txt}, PLAIN: x}
flask: {SECRET_KEY: {from_env: PW}, SECRET_KEY_FALLBACKS: [{from_env: PW}, old]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "MyModel.py").write_text(
        "class MyModel:\n    def __init__(self, **kw): ...\n    def predict(self, X, n): ...\n"
    )
    (tmp_path / "seldon.yaml").write_text(SPEC)
    (tmp_path / "secret.txt").write_text("  from a file \n\n")
    return tmp_path


def test_every_reference_is_read(folder: Path) -> None:
    spec = prepare_to_load(load(folder, {}), {"PW": "hunter2"})
    assert spec.parameters == {"password": "hunter2", "nested": ["  from a file \n"]}
    assert spec.environment == {"TOKEN": "  from a file \n", "PLAIN": "x"}
    assert spec.flask.SECRET_KEY == "hunter2"
    assert spec.flask.SECRET_KEY_FALLBACKS == ("hunter2", "old")


def test_what_cannot_be_read_is_told_at_once_with_its_line(folder: Path) -> None:
    (folder / "secret.txt").unlink()
    with pytest.raises(SpecError) as caught:
        prepare_to_load(load(folder, {}), {})
    findings = [
        (d.code, ".".join(d.path), d.origin.position.line if d.origin.position else 0) for d in caught.value.diagnostics
    ]
    assert findings == [
        ("unread-secret", "flask.SECRET_KEY", 4),
        ("unread-secret", "flask.SECRET_KEY_FALLBACKS", 4),
        ("unread-secret", "parameters.password", 2),
        ("unread-secret", "parameters.nested", 2),
        ("unread-secret", "environment.TOKEN", 3),
    ]


BAD_FILES = [("not text", b"\xff"), ("too long", b"x" * (MAX_SECRET_BYTES + 1))]


@pytest.mark.parametrize("data", [data for _, data in BAD_FILES], ids=[name for name, _ in BAD_FILES])
def test_a_file_that_is_no_secret_is_told_without_its_content(folder: Path, data: bytes) -> None:
    (folder / "secret.txt").write_bytes(data)
    with pytest.raises(SpecError) as caught:
        prepare_to_load(load(folder, {}), {"PW": "hunter2"})
    assert {d.code for d in caught.value.diagnostics} == {"unread-secret"}
    assert "hunter2" not in str(caught.value)


def test_a_missing_argument_is_an_error_for_what_loads_the_class(folder: Path) -> None:
    (folder / "MyModel.py").write_text(
        "class MyModel:\n    def __init__(self, a): ...\n    def predict(self, X, n): ...\n"
    )
    (folder / "seldon.yaml").write_text("class_name: MyModel\n")
    spec = load(folder, {})
    assert [(d.code, d.severity.value) for d in spec.diagnostics] == [("missing-argument", "warning")]
    with pytest.raises(SpecError) as caught:
        prepare_to_load(spec, {})
    assert [(d.code, d.severity.value) for d in caught.value.diagnostics] == [("missing-argument", "error")]
