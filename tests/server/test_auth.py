"""Bearer tokens: who is answered, what is free, and that no token is ever logged."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2

from seldon_spec import make_app
from seldon_spec.config.model import AuthSpec, ServerSpec, Spec
from seldon_spec.protocols.seldon_v1.proto import SeldonMessage
from seldon_spec.server.auth import TokenAuth

Start = Callable[..., Any]

SERVED = """
class Served:
    def predict(self, X, names):
        if X == "raise":
            raise ValueError("of the class")
        return X
"""

THROUGH_FLASK = """
    import flask; model_error_handler = flask.Blueprint("nothing", __name__)
"""

TOKENS = ["first-token-of-the-tests", "second-token-of-the-tests"]
WIRE = SeldonMessage(strData="x").SerializeToString()

engines = pytest.mark.parametrize("engine", ["native", "uvicorn"])


@pytest.fixture(scope="module")
def serve(start_for_module: Start) -> Callable[[str], Any]:
    servers: dict[str, Any] = {}

    def get(engine: str) -> Any:
        if engine not in servers:
            source = SERVED + THROUGH_FLASK if engine == "Flask" else SERVED
            server = {"engine": "native" if engine == "Flask" else engine, "max_body_bytes": 100_000}
            servers[engine] = start_for_module(source, tokens=TOKENS, server=server).wait_until_ready()
        return servers[engine]

    return get


class Client:
    """One connection."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def ask(
        self, method: str, path: str, authorization: str | None, body: str | None = None
    ) -> http.client.HTTPResponse:
        headers = {} if authorization is None else {"Authorization": authorization}
        if body is not None:
            headers["Content-Type"] = "application/json"
        self._connection.request(method, path, body, headers)
        response = self._connection.getresponse()
        response.read()
        return response

    def close(self) -> None:
        self._connection.close()


def ask(port: int, *request: Any) -> http.client.HTTPResponse:
    client = Client(port)
    try:
        return client.ask(*request)
    finally:
        client.close()


BODY = '{"strData":"x"}'
GUARDED: dict[str, tuple[str, str, str, str | None]] = {
    "predictions": ("http_port", "POST", "/predict", BODY),
    "predictions by the old path": ("http_port", "POST", "/api/v1.0/predictions", BODY),
    "predictions through Flask": ("http_port", "POST", "/predict?x=1", BODY),
    "predictions by a query": ("http_port", "GET", "/predict?json=%7B%22strData%22%3A%22x%22%7D", None),
    "metadata": ("http_port", "GET", "/metadata", None),
    "the interface": ("http_port", "GET", "/seldon.json", None),
    "metrics": ("metrics_port", "GET", "/metrics", None),
}
REFUSED: dict[str, str | None] = {
    "nothing": None,
    "empty": "",
    "the scheme alone": "Bearer",
    "the scheme and a space": "Bearer ",
    "another token": "Bearer third-token-of-the-tests",
    "the beginning of a token": f"Bearer {TOKENS[0][:-1]}",
    "a token and more": f"Bearer {TOKENS[0]}x",
    "two tokens": f"Bearer {TOKENS[0]} {TOKENS[1]}",
    "two tokens in a list": f"Bearer {TOKENS[0]}, {TOKENS[1]}",
    "another scheme": f"Basic {TOKENS[0]}",
    "no scheme": TOKENS[0],
    "in capitals": f"Bearer {TOKENS[0].upper()}",
    "not ascii": "Bearer \xff\xfe",
    "very long": "Bearer " + "x" * 50_000,
}


@engines
@pytest.mark.parametrize("authorization", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize(("port", "method", "path", "body"), GUARDED.values(), ids=GUARDED)
def test_without_a_token_nothing_is_told(
    serve: Any, engine: str, port: str, method: str, path: str, body: str | None, authorization: str | None
) -> None:
    response = ask(getattr(serve(engine), port), method, path, authorization, body)
    assert (response.status, response.getheader("www-authenticate")) == (401, "Bearer")


@engines
@pytest.mark.parametrize("authorization", [f"Bearer {TOKENS[0]}", f"bearer {TOKENS[1]}", f"BEARER   {TOKENS[0]}"])
@pytest.mark.parametrize(("port", "method", "path", "body"), GUARDED.values(), ids=GUARDED)
def test_each_of_the_tokens_is_taken(
    serve: Any, engine: str, port: str, method: str, path: str, body: str | None, authorization: str
) -> None:
    assert ask(getattr(serve(engine), port), method, path, authorization, body).status == 200


BEARERS = {"none": None, "wrong": "Bearer third-token-of-the-tests", "right": f"Bearer {TOKENS[0]}"}
PREFLIGHT = {
    "Origin": "http://page.example",
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization, content-type",
}
JSON = {"Content-Type": "application/json"}
QUERY = "/predict?json=%7B%22strData%22%3A%22x%22%7D"
ROUTES: dict[tuple[str, str], tuple[int, int, Mapping[str, str], str | None]] = {
    ("POST", "/predict"): (401, 200, JSON, BODY),
    ("POST", "/predict?x=1"): (401, 200, JSON, BODY),
    ("GET", QUERY): (401, 200, {}, None),
    ("POST", "/api/v1.0/predictions"): (401, 200, JSON, BODY),
    ("POST", "/api/v0.1/predictions"): (401, 200, JSON, BODY),
    ("POST", "/transform-input"): (401, 200, JSON, BODY),
    ("POST", "/transform-output"): (401, 200, JSON, BODY),
    ("POST", "/route"): (401, 400, JSON, BODY),
    ("POST", "/aggregate"): (401, 400, JSON, BODY),
    ("POST", "/send-feedback"): (401, 200, JSON, "{}"),
    ("GET", "/metadata"): (401, 200, {}, None),
    ("HEAD", "/metadata"): (401, 200, {}, None),
    ("GET", "/api/v1.0/metadata"): (401, 200, {}, None),
    ("GET", "/health/status"): (401, 200, {}, None),
    ("GET", "/api/v1.0/health/status"): (401, 200, {}, None),
    ("GET", "/seldon.json"): (401, 200, {}, None),
    ("GET", "/nothing"): (401, 404, {}, None),
    ("GET", "/live/"): (401, 404, {}, None),
    ("PUT", "/predict"): (401, 405, {}, None),
    ("POST", "/predict "): (401, 404, JSON, BODY),
    ("POST", "/send-feedback?x=2"): (401, 413, JSON, " " * 200_000),
    ("OPTIONS", "/predict"): (401, 200, {}, None),
    ("OPTIONS", "/predict?x=3"): (401, 200, {"Origin": "http://page.example"}, None),
    ("OPTIONS", "/predict?x=4"): (200, 200, PREFLIGHT, None),
    ("OPTIONS", "/nothing"): (200, 200, PREFLIGHT, None),
    ("GET", "/live"): (200, 200, {}, None),
    ("HEAD", "/live"): (200, 200, {}, None),
    ("GET", "/live?x=1"): (200, 200, {}, None),
    ("POST", "/live"): (405, 405, {}, None),
    ("GET", "/ready"): (200, 200, {}, None),
    ("GET", "/health/ping"): (200, 200, {}, None),
}
"""The status without a valid token, and with one."""

TRANSPORTS = ["native", "Flask", "uvicorn", "make_app"]
Ask = Callable[[str, str, Mapping[str, str], "str | None"], "tuple[int, dict[str, str], bytes]"]


@pytest.fixture(scope="module")
def ask_by(serve: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Ask]:
    """Sends a request to a transport; the response's headers have lower-case names."""

    def by_server(server: Any) -> Ask:
        def send(method: str, path: str, headers: Mapping[str, str], body: str | None) -> Any:
            connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=30)
            try:
                connection.request(method, path.replace(" ", "%20"), body, dict(headers))
                response = connection.getresponse()
                return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
            finally:
                connection.close()

        return send

    @cache
    def by_app() -> Ask:
        folder = tmp_path_factory.mktemp("app")
        (folder / "OfAnApp.py").write_text(SERVED.replace("Served", "OfAnApp"))
        server = ServerSpec(auth=AuthSpec(tuple(TOKENS)), max_body_bytes=100_000)
        client = make_app(Spec("OfAnApp", folder, "m", server=server)).test_client()

        def send(method: str, path: str, headers: Mapping[str, str], body: str | None) -> Any:
            response = client.open(path.replace(" ", "%20"), method=method, headers=dict(headers), data=body)
            return response.status_code, {k.lower(): v for k, v in response.headers}, response.data

        return send

    return lambda transport: by_app() if transport == "make_app" else by_server(serve(transport))


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("bearer", BEARERS)
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_route_with_and_without_a_token(
    ask_by: Callable[[str], Ask], transport: str, bearer: str, method: str, path: str
) -> None:
    refused, allowed, headers, body = ROUTES[method, path]
    authorization = BEARERS[bearer]
    more = {} if authorization is None else {"Authorization": authorization}
    status, found, content = ask_by(transport)(method, path, {**headers, **more}, body)
    assert status == (allowed if bearer == "right" else refused)
    assert found.get("www-authenticate") == ("Bearer" if status == 401 else None)
    assert found["access-control-allow-origin"] == headers.get("Origin", "*")
    if status in (401, 413) and method != "HEAD":
        texts = {401: "a valid bearer token is required (server.auth)"}
        texts[413] = "the body is larger than server.max_body_bytes, 100000"
        assert json.loads(content)["status"]["info"] == texts[status]
    if headers is PREFLIGHT:
        assert found["access-control-allow-headers"] == "authorization, content-type"
        assert "POST" in found["access-control-allow-methods"]


@engines
@pytest.mark.parametrize("bearer", BEARERS)
@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("GET", "/metrics", 200), ("HEAD", "/metrics", 200), ("GET", "/x", 404), ("POST", "/metrics", 405)],
)
def test_the_metrics_port_with_and_without_a_token(
    serve: Any, engine: str, bearer: str, method: str, path: str, allowed: int
) -> None:
    response = ask(serve(engine).metrics_port, method, path, BEARERS[bearer])
    assert response.status == (allowed if bearer == "right" else 401)
    assert response.getheader("www-authenticate") == (None if bearer == "right" else "Bearer")


CALLS = {
    "/seldon.protos.Model/Predict": "OK",
    "/seldon.protos.Seldon/Predict": "OK",
    "/seldon.protos.Generic/TransformInput": "OK",
    "/seldon.protos.Router/Route": "UNIMPLEMENTED",
    "/seldon.protos.Model/Metadata": "OK",
    "/seldon.protos.Seldon/GraphMetadata": "UNIMPLEMENTED",
    "/seldon.protos.Model/Nothing": "UNIMPLEMENTED",
    "/nothing.Service/Method": "UNIMPLEMENTED",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": "OK",
    "/grpc.health.v1.Health/Check": "OK",
}


@engines
@pytest.mark.parametrize("bearer", BEARERS)
@pytest.mark.parametrize("method", CALLS)
def test_every_call_with_and_without_a_token(serve: Any, engine: str, bearer: str, method: str) -> None:
    authorization = BEARERS[bearer]
    metadata = () if authorization is None else (("authorization", authorization),)
    is_stream = "reflection" in method
    with grpc.insecure_channel(f"127.0.0.1:{serve(engine).grpc_port}") as channel:
        try:
            if is_stream:
                question = reflection_pb2.ServerReflectionRequest(list_services="").SerializeToString()
                list(channel.stream_stream(method, None, None)(iter([question]), timeout=20, metadata=metadata))
            else:
                wire = b"" if "Health" in method or "Metadata" in method else WIRE
                channel.unary_unary(method, None, None)(wire, timeout=20, metadata=metadata)
            code = "OK"
        except grpc.RpcError as error:
            code = error.code().name
    is_open = bearer == "right" or "Health" in method
    assert code == (CALLS[method] if is_open else "UNAUTHENTICATED")


@engines
def test_a_token_counts_for_one_request_and_not_for_its_connection(serve: Any, engine: str) -> None:
    client = Client(serve(engine).http_port)
    try:
        for _ in range(3):
            assert client.ask("POST", "/predict", f"Bearer {TOKENS[0]}", BODY).status == 200
            assert client.ask("POST", "/predict", None, BODY).status == 401
    finally:
        client.close()


@engines
def test_no_token_is_ever_logged(start: Start, engine: str) -> None:
    server = start(SERVED, tokens=TOKENS, server={"engine": engine}).wait_until_ready()
    for authorization in (f"Bearer {TOKENS[0]}", f"Bearer {TOKENS[1]}x", f"Basic {TOKENS[0]}", None):
        for body in (BODY, '{"strData":"raise"}', "{"):
            for path in ("/predict", "/predict?x=1"):
                ask(server.http_port, "POST", path, authorization, body)
        ask(server.metrics_port, "GET", "/metrics", authorization)
    assert server.stop() == 0
    assert "of the class" in server.log
    assert not any(token in server.log for token in TOKENS)


def test_tokens_are_not_shown() -> None:
    auth = AuthSpec(tuple(TOKENS))
    assert not any(token in repr(auth) + repr(TokenAuth(auth)) for token in TOKENS)
