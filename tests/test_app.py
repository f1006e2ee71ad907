"""The public names: load, Spec, make_app."""

from __future__ import annotations

import gc
import threading
import warnings
from pathlib import Path

import pytest

import seldon_spec
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


def test_an_error_tells_its_place_and_its_fix(tmp_path: Path) -> None:
    folder = _folder(tmp_path, "", "nmae: x\n")
    with pytest.raises(SpecError) as caught:
        seldon_spec.load(folder, {})
    assert f'{folder}/seldon.yaml:2:1: there is no key "nmae" (did you mean "name"?)' in str(caught.value).splitlines()


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
