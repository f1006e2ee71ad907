"""The document ``/openapi.json``: valid, with examples that are, and true for a real server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import openapi_spec_validator
import pytest
from jsonschema import Draft202012Validator

import seldon_spec
from seldon_spec.config.model import PortsSpec, Spec
from seldon_spec.server.rest.protocols import rest_protocols
from tests.server.openapi_cases import CASES, TOKEN, Case

if TYPE_CHECKING:
    from tests.conftest import Running

Serve = Callable[..., AbstractContextManager["Running"]]
JSON = "application/json"
AUTHORIZATION = {"Authorization": f"Bearer {TOKEN}"}


def _document(case: Case, name: str = "iris") -> dict[str, Any]:
    spec = Spec(class_name="Model", folder=Path(), name=name, ports=PortsSpec(0, 0, 0), **case.fields)
    (route,) = (r for protocol in rest_protocols(spec) for r in protocol.routes if r.path == "/openapi.json")
    assert route.document is not None
    document: dict[str, Any] = json.loads(route.document.content)
    return document


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method.upper(), operation


def _check(value: Any, schema: dict[str, Any], document: dict[str, Any]) -> None:
    Draft202012Validator({**schema, "components": document["components"]}).validate(value)


def _contents(node: Any) -> Iterator[dict[str, Any]]:
    """Yield each part of a document that has a schema and examples."""
    if isinstance(node, dict):
        if "schema" in node and "examples" in node:
            yield node
        else:
            for each in node.values():
                yield from _contents(each)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_document_is_valid_and_its_examples_match_their_schemas(case: Case) -> None:
    document = _document(case)
    openapi_spec_validator.validate(document)
    contents = list(_contents(document))
    assert contents
    for content in contents:
        for example in content["examples"].values():
            _check(example["value"], content["schema"], document)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_example_is_a_request_that_succeeds(case: Case, tmp_path: Path, serve_in_thread: Serve) -> None:
    (tmp_path / "Model.py").write_text(case.make_source("Model"))
    with serve_in_thread(tmp_path, "Model", **case.fields) as running:
        _, _, body = running.rest("GET", "/openapi.json", headers=AUTHORIZATION)
        document = json.loads(body)
        for path, method, operation in _operations(document):
            bodies: dict[str, Any] = operation.get("requestBody", {}).get("content", {"": {}})
            for media_type, content in bodies.items():
                values = [example["value"] for example in content.get("examples", {}).values()]
                for value in values if media_type else [None]:
                    headers = {**AUTHORIZATION, "Content-Type": media_type}
                    sent = json.dumps(value).encode() if media_type == JSON else _to_form(value)
                    status, answered, received = running.rest(method, path, sent, headers)
                    assert status == 200, (path, value, received)
                    _check_response(operation["responses"]["200"], answered["Content-Type"], received, document)


def _to_form(value: dict[str, str] | None) -> bytes | None:
    from urllib.parse import urlencode

    return None if value is None else urlencode(value).encode()


def _check_response(response: dict[str, Any], content_type: str, body: bytes, document: dict[str, Any]) -> None:
    media_type = content_type.partition(";")[0]
    content = response["content"]
    schema = content.get(media_type, content.get("*/*", {})).get("schema", {})
    _check(json.loads(body) if media_type == JSON else body.decode(), schema, document)
    assert media_type in content or "*/*" in content


PATHS = {
    "no contract": {"/api/v1.0/predictions", "/api/v1.0/feedback", "/v2/models/iris/infer"},
    "columns": {"/api/v1.0/predictions", "/v2/models/iris/infer", "/v2/models/iris/versions/1.0/infer"},
    "router": {"/route", "/v2/models/iris/route"},
    "transformer": {"/transform-input", "/transform-output", "/v2/models/iris/infer"},
    "combiner": {"/aggregate", "/v2/models/iris/aggregate"},
    "outlier detector": {"/transform-input", "/api/v1.0/predictions", "/v2/models/iris/infer"},
}


@pytest.mark.parametrize(("name", "paths"), PATHS.items(), ids=PATHS)
def test_the_document_lists_what_the_service_type_is_for(name: str, paths: set[str]) -> None:
    posted = {path for path, method, _ in _operations(_document(CASES[name])) if method == "POST"}
    assert posted - {"/v2/repository/index"} == paths | {"/api/v1.0/feedback"}


def test_the_name_of_the_model_is_escaped_in_paths() -> None:
    assert "/v2/models/my%20model%7Bx%7D/infer" in _document(Case(), "my model{x}")["paths"]


def test_only_requests_that_need_a_token_have_security() -> None:
    document = _document(CASES["auth"])
    assert document["security"] == [{"bearer": []}]
    open_paths = {path for path, _, operation in _operations(document) if operation.get("security") == []}
    assert open_paths == {"/live", "/ready", "/v2/health/live", "/v2/health/ready"}
    assert all(
        ("401" in operation["responses"]) != (path in open_paths) for path, _, operation in _operations(document)
    )
    assert "security" not in _document(CASES["no contract"])


VIOLATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "below the minimum": ("columns", {"data": {"ndarray": [[-1, 3.5, 2]]}}),
    "not a choice": ("columns", {"data": {"ndarray": [[1, 3.5, 3]]}}),
    "missing value": ("columns", {"data": {"ndarray": [[None, 3.5, 2]]}}),
    "no rows": ("columns", {"data": {"ndarray": []}}),
    "too few columns": ("columns", {"data": {"ndarray": [[1, 3.5]]}}),
    "unknown column": ("columns", {"data": {"names": ["length", "width", "x"], "ndarray": [[1, 3.5, 2]]}}),
    "column is missing": ("columns", {"data": {"names": ["length", "width"], "ndarray": [[1, 3.5]]}}),
    "text for a number": ("table", {"data": {"ndarray": [["van", "old", 1.5, True]]}}),
    "wrong shape": ("tensor", {"data": {"ndarray": [[1, 2], [3, 4]]}}),
    "wrong member": ("tensor", {"strData": "text"}),
    "missing input": ("several tensors", {"jsonData": {"query": ["text"]}}),
}
ACCEPTED: dict[str, tuple[str, dict[str, Any]]] = {
    "missing value of an optional column": ("columns", {"data": {"ndarray": [[1, None, 2]]}}),
    "columns in another order": (
        "columns",
        {"data": {"names": ["legs", "length", "width"], "ndarray": [[2, 1, None]]}, "meta": {"tags": {"a": 1}}},
    ),
    "a table without an optional input": (
        "table",
        {"data": {"names": ["is_new", "vehicle", "age"], "ndarray": [[True, "van", 3]]}},
    ),
    "no optional input": ("several tensors", {"jsonData": {"image": [[[[0] * 3] * 4] * 4]}}),
}


@pytest.mark.parametrize(("name", "request_"), VIOLATIONS.values(), ids=VIOLATIONS)
def test_requests_that_violate_the_contract_do_not_match(name: str, request_: dict[str, Any]) -> None:
    components = _document(CASES[name])["components"]
    schema = {**components["schemas"]["SeldonRequest"], "components": components}
    assert not Draft202012Validator(schema).is_valid(request_)


@pytest.mark.parametrize(("name", "request_"), ACCEPTED.values(), ids=ACCEPTED)
def test_requests_that_the_contract_allows_match(name: str, request_: dict[str, Any]) -> None:
    document = _document(CASES[name])
    _check(request_, document["components"]["schemas"]["SeldonRequest"], document)


def _input(name: str, datatype: str, shape: list[int], data: list[Any]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


V2_REQUESTS: dict[str, tuple[str, list[dict[str, Any]], bool]] = {
    "flat": ("columns", [_input("input-0", "FP64", [2, 3], [1, 2, 2, 1, 2, 4])], True),
    "nested": ("columns", [_input("input-0", "FP64", [1, 3], [[1, None, 2]])], True),
    "above the maximum": ("columns", [_input("input-0", "FP64", [1, 3], [[11, 2, 2]])], False),
    "another name": ("columns", [_input("x", "FP64", [1, 3], [1, 2, 2])], False),
    "another datatype": ("columns", [_input("input-0", "BYTES", [1, 3], [1, 2, 2])], False),
    "another shape": ("columns", [_input("input-0", "FP64", [1, 4], [1, 2, 2, 2])], False),
    "no input": ("columns", [], False),
    "optional input": ("several tensors", [_input("image", "UINT8", [1, 4, 4, 3], [0] * 48)], True),
    "required input": ("several tensors", [_input("query", "BYTES", [1], ["text"])], False),
    "too many values": ("scalar", [_input("x", "INT64", [], [1, 2])], False),
    "too large": ("several tensors", [_input("image", "UINT8", [1, 4, 4, 3], [256] * 48)], False),
}


@pytest.mark.parametrize(("name", "inputs", "is_valid"), V2_REQUESTS.values(), ids=V2_REQUESTS)
def test_inference_requests_match_if_the_contract_allows_them(
    name: str, inputs: list[dict[str, Any]], is_valid: bool
) -> None:
    components = _document(CASES[name])["components"]
    schema = {**components["schemas"]["InferenceRequest"], "components": components}
    assert Draft202012Validator(schema).is_valid({"inputs": inputs}) == is_valid


def test_every_way_of_serving_has_the_same_document(tmp_path: Path, serve_in_thread: Serve) -> None:
    """Natively, through Flask, and in the app of ``make_app``."""
    case, bodies = CASES["columns"], []
    for name, first in (("Native", ""), ("Mounted", "import flask")):
        (tmp_path / f"{name}.py").write_text(case.make_source(name, first))
        with serve_in_thread(tmp_path, name, **case.fields) as running:
            status, headers, body = running.rest("GET", "/openapi.json")
            assert (status, headers["Content-Type"]) == (200, JSON)
            etag = headers["ETag"]
            status, headers, empty = running.rest("GET", "/openapi.json", headers={"If-None-Match": etag})
            assert (status, headers["ETag"], empty) == (304, etag, b"")
            bodies.append(body)
    spec = Spec(class_name="Native", folder=tmp_path, name="model", **case.fields)
    bodies.append(seldon_spec.make_app(spec).test_client().get("/openapi.json").data)
    assert bodies[0] == bodies[1] == bodies[2]


def test_the_document_needs_a_token(tmp_path: Path, serve_in_thread: Serve) -> None:
    case = CASES["auth"]
    (tmp_path / "Model.py").write_text(case.make_source("Model"))
    with serve_in_thread(tmp_path, "Model", **case.fields) as running:
        assert running.rest("GET", "/openapi.json")[0] == 401
        assert running.rest("GET", "/openapi.json", headers=AUTHORIZATION)[0] == 200
