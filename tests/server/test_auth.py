"""Bearer tokens: who is answered, what is free, and that no token is ever logged."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from seldon_spec.proto import SeldonMessage
from seldon_spec.server.auth import Tokens
from seldon_spec.spec.model import AuthSpec

Start = Callable[..., Any]

SERVED = """
class Served:
    def predict(self, X, names):
        if X == "raise":
            raise ValueError("of the class")
        return X
"""

TOKENS = ["first-token-of-the-tests", "second-token-of-the-tests"]
WIRE = SeldonMessage(strData="x").SerializeToString()

engines = pytest.mark.parametrize("engine", ["native", "uvicorn"])


@pytest.fixture(scope="module")
def serve(start_for_module: Start) -> Callable[[str], Any]:
    servers: dict[str, Any] = {}

    def get(engine: str) -> Any:
        if engine not in servers:
            servers[engine] = start_for_module(SERVED, tokens=TOKENS, server={"engine": engine}).wait_until_ready()
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


@engines
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/nothing"), ("PUT", "/predict"), ("HEAD", "/metadata"), ("GET", "//live")]
)
def test_without_a_token_nobody_learns_which_paths_there_are(serve: Any, engine: str, method: str, path: str) -> None:
    assert ask(serve(engine).http_port, method, path, None).status == 401


@engines
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/live"), ("GET", "/ready"), ("GET", "/health/ping"), ("HEAD", "/live"), ("OPTIONS", "/predict")],
)
def test_probes_and_questions_of_pages_are_free(serve: Any, engine: str, method: str, path: str) -> None:
    assert ask(serve(engine).http_port, method, path, None).status == 200


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
    assert not any(token in repr(auth) + repr(Tokens(auth)) for token in TOKENS)


@pytest.mark.parametrize("metadata", [(), (("authorization", "Bearer wrong"),)], ids=["none", "wrong"])
def test_grpc_without_a_token(serve: Any, metadata: Any) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{serve('native').grpc_port}") as channel:
        predict = channel.unary_unary("/seldon.protos.Model/Predict", None, None)
        with pytest.raises(grpc.RpcError) as caught:
            predict(WIRE, timeout=20, metadata=metadata)
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_grpc_with_a_token(serve: Any) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{serve('native').grpc_port}") as channel:
        predict = channel.unary_unary("/seldon.protos.Model/Predict", None, None)
        answer = predict(WIRE, timeout=20, metadata=(("authorization", f"Bearer {TOKENS[1]}"),))
        assert SeldonMessage.FromString(answer).strData == "x"
