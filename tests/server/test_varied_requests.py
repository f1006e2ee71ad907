"""Requests on one connection whose heads differ in some values: each has its own id, token, headers and body."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from seldon_spec.config.model import AuthSpec, ServerSpec

PLAIN = """
class Model:
    def predict(self, X, names):
        return X
"""

THROUGH_FLASK = """
import flask

handlers = flask.Blueprint("handlers", __name__)

@handlers.before_app_request
def show():
    return flask.jsonify([[name, value] for name, value in flask.request.headers])

class Model:
    model_error_handler = handlers

    def predict(self, X, names):
        return X
"""


class Client:
    """Sends requests on one connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._file = connection.makefile("rb")

    @contextmanager
    def again(self) -> Iterator[Client]:
        """Another connection to the same server."""
        with socket.create_connection(self._connection.getpeername(), 20) as connection:
            yield Client(connection)

    def send(self, data: bytes) -> None:
        self._connection.sendall(data)

    def ask(self, *headers: str, text: str = "a") -> tuple[int, dict[str, str], bytes]:
        body = json.dumps({"strData": text}).encode()
        lines = ["POST /predict HTTP/1.1", "Host: x", "Content-Type: application/json", *headers]
        head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""])
        self.send(head.encode("latin-1") + body)
        return self.answer()

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        status = int(self._file.readline().split()[1])
        headers = {}
        while line := self._file.readline().strip():
            name, _, value = line.decode("latin-1").partition(": ")
            headers[name] = value
        return status, headers, self._file.read(int(headers["content-length"]))


@pytest.fixture
def connect(tmp_path: Path, serve_in_thread: Any) -> Any:
    @contextmanager
    def begin(source: str, name: str, **server: Any) -> Iterator[Client]:
        (tmp_path / f"{name}.py").write_text(source.replace("Model", name))
        spec = ServerSpec(host="127.0.0.1", **server)
        with (
            serve_in_thread(tmp_path, name, server=spec) as running,
            socket.create_connection(("127.0.0.1", running.http_port), 20) as connection,
        ):
            yield Client(connection)

    return begin


def test_each_request_has_its_own_id_and_body(connect: Any) -> None:
    with connect(PLAIN, "VariedIds") as client:
        for number in range(12):
            status, headers, body = client.ask(f"X-Request-Id: id-{number}", "traceparent: t", text="b" * number)
            assert (status, headers["seldon-puid"]) == (200, f"id-{number}")
            assert json.loads(body)["strData"] == "b" * number
        for unfit in ("ü", "two words", "a" * 129):
            status, headers, _ = client.ask(f"X-Request-Id: {unfit}", "traceparent: t")
            assert status == 200
            assert "seldon-puid" not in headers
        assert client.ask("X-Request-Id: last", "traceparent: t")[1]["seldon-puid"] == "last"


@pytest.mark.parametrize("is_varying", [True, False], ids=["varying token", "constant token"])
def test_the_token_of_each_request_is_checked(connect: Any, is_varying: bool) -> None:
    auth = AuthSpec(tokens=("first", "second"))
    name = f"VariedTokens{is_varying}"
    with connect(PLAIN, name, auth=auth) as first, ExitStack() as stack:
        for bad in ("third", "firs", "first1", "FIRST"):
            client = stack.enter_context(first.again())
            for number in range(8):
                token = ("first", "second")[number % 2] if is_varying else "first"
                assert client.ask(f"Authorization: Bearer {token}", f"traceparent: {number}")[0] == 200
            assert client.ask(f"Authorization: Bearer {bad}", "traceparent: b")[0] == 401


def test_flask_sees_the_headers_of_each_request(connect: Any) -> None:
    with connect(THROUGH_FLASK, "VariedFlask") as client:
        for number in range(8):
            headers = [f"X-Trace: t-{number}", "Accept: */*", f"Cookie: a={number % 2}"]
            seen = dict(json.loads(client.ask(*headers, text="c" * number)[2]))
            assert (seen["X-Trace"], seen["Accept"], seen["Cookie"]) == (f"t-{number}", "*/*", f"a={number % 2}")
            assert seen["Content-Length"] == str(len(json.dumps({"strData": "c" * number})))


def test_requests_that_are_sent_ahead_or_in_pieces_keep_their_own_values(connect: Any) -> None:
    with connect(PLAIN, "VariedAhead") as client:
        for number in range(5):
            client.ask(f"X-Request-Id: warm-{number}")
        body = b'{"strData": "a"}'
        requests = b"".join(
            b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-Request-Id: id-%d\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (number, len(body), body)
            for number in range(50)
        )
        for piece in re.findall(rb"(?s).{1,97}", requests):
            client.send(piece)
        assert [client.answer()[1]["seldon-puid"] for _ in range(50)] == [f"id-{number}" for number in range(50)]
