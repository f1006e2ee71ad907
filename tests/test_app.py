"""The public names: load, Spec, make_app."""

from __future__ import annotations

import gc
import threading
import warnings
from pathlib import Path

import pytest

import seldon_spec
from seldon_spec.cli.main import run
from seldon_spec.errors import ComponentFailed, SpecError


def _folder(tmp_path: Path, source: str, spec: str = "") -> Path:
    name = f"M{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{name}.py").write_text(source.replace("NAME", name))
    (tmp_path / "seldon.yaml").write_text(f"class_name: {name}\n{spec}")
    return tmp_path


def test_the_app_answers_for_the_class(tmp_path: Path) -> None:
    folder = _folder(
        tmp_path,
        "class NAME:\n    def __init__(self, factor):\n        self.factor = factor\n"
        "    def predict(self, X, names):\n        return X * self.factor\n",
        "parameters: {factor: 3}\n",
    )
    spec = seldon_spec.load(folder, {})
    assert isinstance(spec, seldon_spec.Spec)
    client = seldon_spec.make_app(spec).test_client()
    answer = client.post("/api/v1.0/predictions", json={"data": {"ndarray": [[1, 2]]}})
    assert answer.get_json() == {"data": {"names": ["t:0", "t:1"], "ndarray": [[3, 6]]}, "meta": {}}
    assert client.get("/ready").status_code == 200


def test_one_thread_builds_the_object_and_is_the_only_one_that_calls_it(tmp_path: Path) -> None:
    folder = _folder(
        tmp_path,
        "import threading\n\nclass NAME:\n    def __init__(self):\n        self.ident = threading.get_ident()\n"
        "    def predict(self, X, names):\n        return [self.ident, threading.get_ident()]\n",
    )
    client = seldon_spec.make_app(seldon_spec.load(folder, {})).test_client()
    built, called = client.post("/predict", json={"strData": ""}).get_json()["data"]["tensor"]["values"]
    assert built == called != threading.get_ident()


def test_a_class_that_fails_is_told_at_once(tmp_path: Path) -> None:
    folder = _folder(
        tmp_path, "class NAME:\n    def __init__(self):\n        raise OSError('gone')\n    predict = None\n"
    )
    with pytest.raises(ComponentFailed) as caught:
        seldon_spec.make_app(seldon_spec.load(folder, {}))
    assert isinstance(caught.value.__cause__, OSError)


def test_a_missing_secret_is_told_at_once(tmp_path: Path) -> None:
    folder = _folder(
        tmp_path, "class NAME:\n    predict = None\n", "flask: {SECRET_KEY: {from_env: NOWHERE_TO_BE_SEEN}}\n"
    )
    with pytest.raises(SpecError, match="the variable NOWHERE_TO_BE_SEEN is not set"):
        seldon_spec.make_app(seldon_spec.load(folder, {}))


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        seldon_spec.nothing  # noqa: B018


def test_load_takes_a_text_and_the_environment_of_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = _folder(tmp_path, "class NAME:\n    def predict(self, X, names): ...\n")
    monkeypatch.setenv("GUNICORN_WORKERS", "3")
    assert seldon_spec.load(str(folder)).server.workers == 3
    assert seldon_spec.load(folder, {}).server.workers == 1
    monkeypatch.chdir(folder)
    assert seldon_spec.load().server.workers == 3


@pytest.mark.parametrize("value", ["folder", Path(), None], ids=repr)
def test_make_app_refuses_what_is_no_spec(value: object) -> None:
    with pytest.raises(TypeError, match=r"make_app takes a Spec, not .*: write make_app\(seldon_spec.load\(path\)\)"):
        seldon_spec.make_app(value)  # type: ignore[arg-type]


def test_the_text_of_an_error_is_what_validate_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = _folder(tmp_path, "class NAME:\n    predict = None\n", "nmae: x\n")
    with pytest.raises(SpecError) as caught:
        seldon_spec.load(folder, {})
    assert run(["validate", str(folder)]) == 1
    assert f"{caught.value}\n" == capsys.readouterr().err
    assert str(caught.value).splitlines() == [
        f'{folder}/seldon.yaml:2:1: error: there is no key "nmae" [unknown-key]',
        "   2 | nmae: x",
        "     | ^^^^",
        '     = help: did you mean "name"?',
        f"Found 1 error in {folder}/seldon.yaml.",
    ]


REPRS = {
    "model": ({}, "", "<Spec m: M (MODEL), {folder}/seldon.yaml>"),
    "named": ({}, "name: iris\nparameters: {a: secret}\n", "<Spec iris: M (MODEL), {folder}/seldon.yaml>"),
    "router": ({}, "service_type: ROUTER\n", "<Spec m: M (ROUTER), {folder}/seldon.yaml>"),
    "graph": (
        {"seldon.yaml": "name: pair\ngraph: [a, b]\ncomponents: {a: {class_name: M}, b: {class_name: M}}\n"},
        "",
        "<Spec pair: graph of 2 components, {folder}/seldon.yaml>",
    ),
}


@pytest.mark.parametrize(("files", "more", "expected"), REPRS.values(), ids=REPRS)
def test_a_spec_has_a_short_repr(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], more: str, expected: str
) -> None:
    source = "class M:\n    def __init__(self, a=''): ...\n    predict = route = None\n"
    written = {"M.py": source, "seldon.yaml": f"class_name: M\n{more}", **files}
    for name, text in written.items():
        (tmp_path / name).write_text(text)
    assert repr(seldon_spec.load(tmp_path, {})) == expected.format(folder=tmp_path)
    monkeypatch.chdir(tmp_path)
    assert repr(seldon_spec.load(".", {})) == expected.format(folder=tmp_path)


FILE = b'--b\r\nContent-Disposition: form-data; name="binData"; filename="f"\r\n\r\n'
LARGE = FILE + b"x" * 700_000 + b"\r\n"
"""More than Flask keeps in memory."""
NAMELESS = b"--b\r\nno disposition\r\n\r\n1\r\n--b--\r\n"
UPLOADS = {
    "whole": LARGE + b"--b--\r\n",
    "cut-off": FILE + b"abc",
    "cut-off-large": LARGE,
    "two-cut-off": LARGE + LARGE,
    "header-missing": FILE + b"abc\r\n" + NAMELESS,
    "header-missing-large": LARGE + NAMELESS,
    "too-many-parts": LARGE + b'--b\r\nContent-Disposition: form-data; name="p"\r\n\r\n1\r\n' * 1001 + b"--b--\r\n",
}


@pytest.mark.parametrize("body", UPLOADS.values(), ids=UPLOADS)
def test_every_uploaded_file_is_closed(tmp_path: Path, body: bytes) -> None:
    folder = _folder(tmp_path, "class NAME:\n    def predict(self, X, names):\n        return X\n")
    client = seldon_spec.make_app(seldon_spec.load(folder, {})).test_client()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        client.post("/predict", data=body, content_type="multipart/form-data; boundary=b").close()
        gc.collect()
    assert [str(each.message) for each in caught] == []
