"""The REST interface of a live server against its own description: no request that it allows is answered with 5xx."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

ECHO = """
class Echo:
    def predict(self, X, names):
        return {"list": X} if isinstance(X, list) else X  # one that is no array would be the class's own failure

    transform_input = transform_output = predict

    def route(self, X, names):
        return 0

    def aggregate(self, features, names):
        return self.predict(features[0], names) if features else []

    def send_feedback(self, features, names, reward, truth):
        return None
"""


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, serve_in_thread: Callable[..., AbstractContextManager[Any]]
) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("interface")
    (folder / "Echo.py").write_text(ECHO)
    with serve_in_thread(folder, "Echo") as running:
        yield running


@pytest.fixture(scope="module")
def document(server: Any) -> dict[str, Any]:
    status, _, body = server.rest("GET", "/seldon.json")
    assert status == 200
    described: dict[str, Any] = json.loads(body)
    return described


ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def values_of(schema: dict[str, Any], document: dict[str, Any], depth: int = 6) -> st.SearchStrategy[Any]:
    """What a schema allows, and now and then something that it does not."""
    if depth == 0:
        return ANYTHING
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return values_of(document["components"]["schemas"][name], document, depth - 1)
    kind = schema.get("type")
    if kind == "object":
        members = {key: values_of(each, document, depth - 1) for key, each in schema.get("properties", {}).items()}
        sound: st.SearchStrategy[Any] = st.fixed_dictionaries({}, optional=members)
        if "additionalProperties" in schema:
            sound = st.dictionaries(st.text(max_size=3), values_of(schema["additionalProperties"], document, depth - 1))
    elif kind == "array":
        sound = st.lists(values_of(schema["items"], document, depth - 1), max_size=4)
    else:
        plain: dict[Any, st.SearchStrategy[Any]] = {
            "string": st.text(max_size=8) | st.just("AAEC"),
            "integer": st.integers(-3, 300),
            "number": st.floats(allow_nan=False) | st.integers(-5, 5),
        }
        sound = plain.get(kind, ANYTHING)
    return sound | sound | sound | ANYTHING


PATHS = ("/predict", "/transform-input", "/transform-output", "/route", "/aggregate", "/send-feedback")


def test_the_description_has_these_paths(document: dict[str, Any]) -> None:
    assert {path for path, methods in document["paths"].items() if "post" in methods} == set(PATHS)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("is_form", [False, True], ids=["json", "form"])
def test_what_the_description_allows_is_never_our_fault(
    server: Any, document: dict[str, Any], path: str, is_form: bool
) -> None:
    schema = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]

    @settings(max_examples=60, deadline=None)
    @given(values_of(schema, document))
    def ask(value: Any) -> None:
        text = json.dumps(value)
        body = urlencode({"json": text}).encode() if is_form else text.encode()
        kind = "application/x-www-form-urlencoded" if is_form else "application/json"
        status, _, answer = server.rest("POST", path, body, {"Content-Type": kind})
        assert status < 500, (text, answer)
        assert status in (200, 400), (text, answer)
        json.loads(answer)

    ask()


@pytest.mark.parametrize("path", ["/health/status", "/metadata"])
def test_what_is_only_read_is_answered(server: Any, path: str) -> None:
    assert server.rest("GET", path)[0] == 200


@settings(max_examples=100, deadline=None)
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH"]),
    path=st.sampled_from([*PATHS, "/", "/live", "/ready", "/metrics", "/seldon.json", "/%00", "/predict/", "/..%2f"]),
    query=st.sampled_from(["", "?json=%7B%7D", "?json=", "?json=%ff", "?a=b&a=c"]),
    kind=st.sampled_from(
        ["application/json", "text/plain", "multipart/form-data", "multipart/form-data; boundary=b", ""]
    ),
    body=st.binary(max_size=60) | st.just(b'{"strData": "x"}'),
)
def test_any_request_is_never_our_fault(
    server: Any, method: str, path: str, query: str, kind: str, body: bytes
) -> None:
    assert server.rest(method, path + query, body, {"Content-Type": kind})[0] < 500
