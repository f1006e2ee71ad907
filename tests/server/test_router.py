"""The router: exact paths before patterns, methods, tokens and probes, for several protocols."""

from __future__ import annotations

from pathlib import Path

import pytest

from seldon_spec.config.model import Spec
from seldon_spec.inference.message import Operation
from seldon_spec.protocols.json_style import JsonStyle
from seldon_spec.protocols.route import Page, RestProtocol, Route
from seldon_spec.protocols.seldon_v1.errors import describe, describe_http
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec
from seldon_spec.protocols.seldon_v1.routes import ROUTES, seldon_v1
from seldon_spec.server.auth import TokenAuth
from seldon_spec.server.rest.responses import ResponseFactory
from seldon_spec.server.rest.router import Router

MODELS = RestProtocol(
    "models",
    (
        Route("model", "/m/{name}", ("GET",), Operation.METADATA),
        Route("version", "/m/{name}/versions/{version}", ("GET",), Operation.METADATA),
        Route("infer", "/m/{name}/infer", ("POST",), Operation.PREDICT),
        Route("special", "/m/special", ("GET",), Operation.HEALTH),
        Route("status", "/m/{name}/live", ("GET",), page=Page.LIVE, is_probe=True),
    ),
    JsonStyle(),
    lambda _route: JsonCodec(),
    describe,
    describe_http,
)
MODEL = Spec(class_name="M", folder=Path(), name="model")
ROUTER = Router((seldon_v1(MODEL), MODELS))

MATCHES: dict[tuple[str, str], tuple[str | None, dict[str, str]]] = {
    ("POST", "/predict"): ("predict", {}),
    ("GET", "/predict"): ("predict", {}),
    ("HEAD", "/predict"): ("predict", {}),
    ("POST", "/api/v1.0/predictions"): ("predict-post", {}),
    ("GET", "/api/v1.0/predictions"): (None, {}),
    ("HEAD", "/api/v1.0/predictions"): (None, {}),
    ("POST", "//predict"): ("predict", {}),
    ("POST", "/api//v1.0/predictions"): ("predict-post", {}),
    ("POST", "/predict/"): (None, {}),
    ("POST", "/"): (None, {}),
    ("POST", ""): (None, {}),
    ("GET", "/m/iris"): ("model", {"name": "iris"}),
    ("GET", "/m/special"): ("special", {}),
    ("GET", "/m/iris/versions/1.0"): ("version", {"name": "iris", "version": "1.0"}),
    ("POST", "/m/iris/infer"): ("infer", {"name": "iris"}),
    ("GET", "/m/iris/infer"): (None, {"name": "iris"}),
    ("GET", "/m/\xc3\xa4"): ("model", {"name": "ä"}),
    ("GET", "/m/\xff"): ("model", {"name": "�"}),
    ("GET", "/m/"): (None, {}),
    ("GET", "/m/a/b"): (None, {}),
}


@pytest.mark.parametrize(("request_line", "expected"), MATCHES.items(), ids=[" ".join(line) for line in MATCHES])
def test_requests_find_their_routes(request_line: tuple[str, str], expected: tuple[str | None, dict[str, str]]) -> None:
    match = ROUTER.match(*request_line)
    assert (None if match.route is None else match.route.name, dict(match.parameters)) == expected


TOKENS = {
    "/predict": (True, False),
    "/nothing": (True, False),
    "/health/status": (True, False),
    "/seldon.json": (True, False),
    "/health/ping": (False, True),
    "/live": (False, True),
    "/m/iris": (True, False),
    "/m/iris/live": (False, True),
}


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize(("path", "expected"), TOKENS.items(), ids=TOKENS)
def test_tokens_and_probes_depend_on_the_path_alone(method: str, path: str, expected: tuple[bool, bool]) -> None:
    match = ROUTER.match(method, path)
    assert (match.needs_token, match.is_probe) == expected


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("PUT", "/predict", 405, "GET, HEAD, OPTIONS, POST"),
        ("PUT", "/m/iris/infer", 405, "OPTIONS, POST"),
        ("OPTIONS", "/m/iris", 200, "GET, HEAD, OPTIONS"),
        ("OPTIONS", "/nothing", 404, None),
        ("GET", "/nothing", 404, None),
    ],
)
def test_requests_without_a_route_get_a_status_and_the_allowed_methods(
    method: str, path: str, status: int, allow: str | None
) -> None:
    responses = ResponseFactory((seldon_v1(MODEL), MODELS), TokenAuth())
    response = responses.unmatched(ROUTER.match(method, path), method)
    assert (response.status, dict(response.headers).get("Allow")) == (status, allow)


def test_routes_of_one_name_have_the_same_methods() -> None:
    methods: dict[str, tuple[str, ...]] = {}
    for route in ROUTES:
        assert methods.setdefault(route.name, route.methods) == route.methods
        assert (route.operation is None) != (route.page is None)
