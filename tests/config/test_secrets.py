"""References are read only for the operations that load the class, and never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from seldon_spec.config.loader import load
from seldon_spec.config.secrets import MAX_SECRET_BYTES, prepare_to_load
from seldon_spec.errors import Severity, SpecError

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
        (d.code, ".".join(d.path), d.origin.position.line if d.origin.position else 0)
        for d in caught.value.diagnostics
        if d.severity is Severity.ERROR
    ]
    assert findings == [
        ("unread-secret", "flask.SECRET_KEY", 4),
        ("unread-secret", "flask.SECRET_KEY_FALLBACKS", 4),
        ("unread-secret", "parameters.password", 2),
        ("unread-secret", "parameters.nested", 2),
        ("unread-secret", "environment.TOKEN", 3),
    ]


def _serve_tokens(folder: Path, tokens: str, environ: dict[str, str]) -> tuple[object, ...]:
    (folder / "seldon.yaml").write_text(f"class_name: MyModel\nserver: {{auth: {{tokens: {tokens}}}}}\n")
    auth = prepare_to_load(load(folder, {}), environ).server.auth
    assert auth is not None
    return auth.tokens


TOKENS = [
    ("one", "{from_env: A}", {"A": "hunter2hunter2"}, ("hunter2hunter2",)),
    ("8 characters", "{from_env: A}", {"A": "12345678"}, ("12345678",)),
    ("one a line", "{from_env: A}", {"A": "first-token\r\n\n  second-token\n"}, ("first-token", "second-token")),
    ("several secrets", "[{from_env: A}, {from_file: secret.txt}]", {"A": "first-token"}, ("first-token", "from-a-file")),
    ("twice the same", "[{from_env: A}, {from_env: A}]", {"A": "first-token"}, ("first-token",)),
]  # fmt: skip


@pytest.mark.parametrize(("tokens", "environ", "expected"), [row[1:] for row in TOKENS], ids=[row[0] for row in TOKENS])
def test_bearer_tokens_are_read_one_a_line(
    folder: Path, tokens: str, environ: dict[str, str], expected: tuple[str, ...]
) -> None:
    (folder / "secret.txt").write_text("from-a-file\n")
    assert _serve_tokens(folder, tokens, environ) == expected


BAD_TOKENS = [
    ("empty", "", "{from_env: A} contains none"),
    ("blank", " \n\n", "{from_env: A} contains none"),
    ("short", "hunter2", "token 1 of {from_env: A} has fewer than 8 characters"),
    ("one of two short", "hunter2hunter2\nhunter2", "token 2 of {from_env: A} has fewer than 8 characters"),
    ("space within", "hunter2 hunter2", "token 1 of {from_env: A} has characters that a header cannot contain"),
    ("not ASCII", "hunter2hünter2", "token 1 of {from_env: A} has characters that a header cannot contain"),
]


@pytest.mark.parametrize(("text", "words"), [row[1:] for row in BAD_TOKENS], ids=[row[0] for row in BAD_TOKENS])
def test_what_is_no_bearer_token_is_told_without_itself(folder: Path, text: str, words: str) -> None:
    with pytest.raises(SpecError) as caught:
        _serve_tokens(folder, "{from_env: A}", {"A": text})
    (finding,) = caught.value.diagnostics
    assert (finding.code, finding.message) == ("unusable-token", f"server.auth.tokens: {words}")
    assert finding.origin.position is not None
    assert "unter2" not in repr(finding)


def test_tokens_that_cannot_be_read_are_told_once_each(folder: Path) -> None:
    with pytest.raises(SpecError) as caught:
        _serve_tokens(folder, "[{from_env: A}, {from_file: nothing.txt}]", {})
    assert [d.code for d in caught.value.diagnostics] == ["unread-secret", "unread-secret"]


def test_tokens_stay_out_of_a_spec_s_words(folder: Path) -> None:
    (folder / "seldon.yaml").write_text("class_name: MyModel\nserver: {auth: {tokens: {from_env: A}}}\n")
    assert "hunter2" not in repr(prepare_to_load(load(folder, {}), {"A": "hunter2hunter2"}))


BAD_FILES = [("not text", b"\xff"), ("too long", b"x" * (MAX_SECRET_BYTES + 1))]


@pytest.mark.parametrize("data", [data for _, data in BAD_FILES], ids=[name for name, _ in BAD_FILES])
def test_a_file_that_is_no_secret_is_told_without_its_content(folder: Path, data: bytes) -> None:
    (folder / "secret.txt").write_bytes(data)
    with pytest.raises(SpecError) as caught:
        prepare_to_load(load(folder, {}), {"PW": "hunter2"})
    assert {d.code for d in caught.value.diagnostics if d.severity is Severity.ERROR} == {"unread-secret"}
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


MARKED = [
    ("utf-8", "\ufeffs3cret\n".encode()),
    ("utf-16-le", "\ufeffs3cret\r\n".encode("utf-16-le")),
    ("utf-16-be", "\ufeffs3cret\n".encode("utf-16-be")),
    ("utf-32-le", "\ufeffs3cret\n".encode("utf-32-le")),
]


@pytest.mark.parametrize("data", [data for _, data in MARKED], ids=[name for name, _ in MARKED])
def test_a_byte_order_mark_is_no_part_of_a_secret(folder: Path, data: bytes) -> None:
    (folder / "secret.txt").write_bytes(data)
    assert prepare_to_load(load(folder, {}), {"PW": "x"}).environment["TOKEN"] == "s3cret"
