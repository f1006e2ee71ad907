"""Which requests are valid, and which responses are sent, over real sockets: RFC 9110 and 9112 on both engines."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple
from urllib.parse import urlencode

import pytest

Start = Callable[..., Any]
Serve = Callable[[str], Any]

SERVED = """
class Served:
    def __init__(self):
        self.seen = []

    def predict_raw(self, message):
        text = message.get("strData", "")
        if text == "seen":
            return {"jsonData": self.seen}
        self.seen.append(text)
        if text == "gate":
            from gated import pass_gate
            pass_gate()
        if text == "large":
            return {"strData": "x" * 40_000_000}
        if text.isdigit():
            return {"status": {"code": int(text)}, "data": {"ndarray": [1]}}
        return message
"""

HOOKED = """
import json
import flask

class Served:
    model_error_handler = flask.Blueprint("hooks", __name__)

    def predict(self, X, names):
        return X

class Raw(flask.Response):
    more = ()

    def get_wsgi_headers(self, environ):
        headers = super().get_wsgi_headers(environ)
        headers._list += self.more
        return headers

@Served.model_error_handler.before_app_request
def respond():
    query = flask.request.args
    if "status" not in query:
        return None
    body = json.dumps(list(flask.request.headers)) if query["body"] == "headers" else query["body"]
    response = Raw(body, int(query["status"]))
    response.automatically_set_content_length = False
    del response.headers["Content-Length"]
    response.more = [tuple(pair) for pair in json.loads(query["more"])]
    return response
"""

WAIT_SECONDS = 30
engines = pytest.mark.parametrize("engine", ["native", "uvicorn"])


def serving(start: Start, source: str) -> Serve:
    """Servers of one class by their engine, each started when it is first needed."""
    started: dict[str, Any] = {}

    def get(engine: str) -> Any:
        if engine not in started:
            started[engine] = start(source, server={"engine": engine}).wait_until_ready()
        return started[engine]

    return get


@pytest.fixture(scope="module")
def serve(start_for_module: Start) -> Serve:
    """Servers whose class sends back what it gets."""
    return serving(start_for_module, SERVED)


@pytest.fixture(scope="module")
def serve_hooked(start_for_module: Start) -> Serve:
    """Servers whose class has a blueprint that responds as the query says."""
    return serving(start_for_module, HOOKED)


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), WAIT_SECONDS)


class Response(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]


def read_response(responses: BinaryIO, method: str = "POST") -> Response:
    """The next response of a connection, by the rules of RFC 9112 section 6.3."""
    version, status = responses.readline().split(b" ", 2)[:2]
    assert version == b"HTTP/1.1"
    headers = []
    while line := responses.readline().decode("latin-1").rstrip("\r\n"):
        name, _, value = line.partition(": ")
        headers.append((name, value))
    response = Response(int(status), headers, b"")
    if method == "HEAD" or status in (b"204", b"304") or status[:1] == b"1":
        return response
    (length,) = response.values("content-length")
    return response._replace(body=responses.read(int(length)))


def read_rest(client: socket.socket) -> bytes:
    """Everything until the server closes, which it has to."""
    received = b""
    with suppress(ConnectionResetError):
        while part := client.recv(1 << 20):
            received += part
    return received


def ask(port: int, raw: bytes) -> bytes:
    with connect(port) as client:
        client.sendall(raw)
        return read_rest(client)


def head(line: str, *headers: str) -> bytes:
    return "\r\n".join([line, *headers, "", ""]).encode("latin-1")


def build(text: str, *headers: str, line: str = "POST /predict HTTP/1.1") -> bytes:
    body = json.dumps({"strData": text}).encode()
    return head(line, "Host: x", "Content-Type: application/json", *headers, f"Content-Length: {len(body)}") + body


LIVE = head("GET /live HTTP/1.1", "Host: x")
CLOSED = head("GET /live HTTP/1.1", "Host: x", "Connection: close")

# Hosts

HOSTS: dict[str, tuple[list[str], int]] = {
    "a name": (["Host: a"], 200),
    "a name and a port": (["Host: a.b-c_d:80"], 200),
    "a port without digits": (["Host: a:"], 200),
    "IPv4": (["Host: 127.0.0.1:9000"], 200),
    "IPv6": (["Host: [::1]"], 200),
    "IPv6 and a port": (["Host: [2001:db8::1]:9000"], 200),
    "white space around it": (["Host: \t a \t"], 200),
    "percent-encoded": (["Host: a%20b"], 200),
    "none": ([], 400),
    "twice, the same": (["Host: a", "Host: a"], 400),
    "twice, different": (["Host: a", "host: b"], 400),
    "empty": (["Host:"], 400),
    "blank": (["Host:  "], 400),
    "a list": (["Host: a, b"], 400),
    "a space": (["Host: a b"], 400),
    "a slash": (["Host: a/b"], 400),
    "a user": (["Host: u@a"], 400),
    "a port of letters": (["Host: a:b"], 400),
    "two ports": (["Host: a:1:2"], 400),
    "only a port": (["Host: :80"], 400),
    "an open bracket": (["Host: [::1"], 400),
    "no address in brackets": (["Host: [:]"], 400),
    "something behind the brackets": (["Host: [::1]a"], 400),
    "beyond ASCII": (["Host: é"], 400),
    "a question mark": (["Host: a?b"], 400),
    "quotes": (['Host: "a"'], 400),
    "a backslash": (["Host: a\\b"], 400),
    "a fragment": (["Host: a#b"], 400),
    "a tag": (["Host: <script>"], 400),
    "an incomplete escape": (["Host: a%2"], 400),
}


@engines
@pytest.mark.parametrize(("headers", "status"), HOSTS.values(), ids=HOSTS)
def test_hosts(serve: Serve, engine: str, headers: list[str], status: int) -> None:
    server = serve(engine)
    for port in (server.http_port, server.metrics_port):
        path = "/live" if port == server.http_port else "/metrics"
        received = ask(port, head(f"GET {path} HTTP/1.1", *headers, "Connection: close") + LIVE)
        assert received.startswith(b"HTTP/1.1 %d " % status)
        assert received.count(b"HTTP/1.1 ") == 1
        assert b"connection: close" in received


@engines
def test_http_1_0_needs_no_host_but_a_valid_one(serve: Serve, engine: str) -> None:
    port = serve(engine).http_port
    assert ask(port, head("GET /live HTTP/1.0")).startswith(b"HTTP/1.1 200 ")
    assert ask(port, head("GET /live HTTP/1.0", "Host: a b")).startswith(b"HTTP/1.1 400 ")


# Targets

TARGETS: dict[str, tuple[str, int]] = {
    "a path": ("GET /live", 200),
    "a path and a query": ("GET /live?a=b&c[]=%C3%A9/?:@!$'()*+,;-._~%", 200),
    "percent-encoded": ("GET /%6c%69ve", 200),
    "an absolute URL": ("GET http://localhost:9000/live?x", 200),
    "an absolute URL of https": ("GET HTTPS://[::1]/live", 200),
    "an absolute URL without a path": ("GET http://localhost", 200),
    "an absolute URL without a path, with a query": ("GET http://localhost?a", 200),
    "an asterisk": ("OPTIONS *", 404),
    "an asterisk that is not allowed": ("GET *", 400),
    "an asterisk with a query": ("OPTIONS *?a", 400),
    "an authority": ("CONNECT localhost:80", 400),
    "an authority that is not allowed": ("GET localhost:80", 400),
    "CONNECT with a path": ("CONNECT /live", 400),
    "no slash": ("GET live", 400),
    "only a query": ("GET ?a", 400),
    "an absolute URL without a host": ("GET http:///live", 400),
    "an absolute URL with a user": ("GET http://u:p@localhost/live", 400),
    "an absolute URL with a strange host": ("GET http://a:b/live", 400),
    "another scheme": ("GET ftp://localhost/live", 400),
    "a fragment": ("GET /live#/../admin", 400),
    "a fragment of an absolute URL": ("GET http://localhost/live#a", 400),
    "a fragment behind a query": ("GET /live?a#b", 400),
    "a tag": ("GET /live<", 400),
    "a tag in a query": ("GET /live?<a>", 400),
    "quotes": ('GET /live"', 400),
    "quotes in a query": ('GET /live?"', 200),
    "a bar": ("GET /livea|b", 400),
    "a bar in a query": ("GET /live?a|b", 200),
    "a backslash": ("GET /live\\", 400),
    "a circumflex": ("GET /live^", 400),
    "a circumflex in a query": ("GET /live?^", 200),
    "a backtick": ("GET /live`", 400),
    "a backtick in a query": ("GET /live?`", 200),
    "braces": ("GET /live{a}", 400),
    "braces in a query": ("GET /live?{a}", 200),
    "brackets in a path": ("GET /live[a]", 400),
    "an incomplete escape": ("GET /live%2", 400),
    "an escape that is none": ("GET /live%zz", 400),
    "a control character": ("GET /live\x01", 400),
    "DEL": ("GET /live?\x7f", 400),
    "a tab": ("GET /live\t", 400),
    "beyond ASCII": ("GET /live?é", 400),
}


@engines
@pytest.mark.parametrize(("line", "status"), TARGETS.values(), ids=TARGETS)
def test_targets(serve: Serve, engine: str, line: str, status: int) -> None:
    raw = head(f"{line} HTTP/1.1", "Host: x", "Connection: close")
    received = ask(serve(engine).http_port, raw + LIVE)
    assert received.startswith(b"HTTP/1.1 %d " % status)
    assert received.count(b"HTTP/1.1 ") == 1


def ask_hooked(server: Any, *headers: str, method: str = "GET", target: str = "", **query: Any) -> list[Response]:
    """Ask the blueprint for a response, and for another on the same connection."""
    words = {"status": 200, "body": "x", **query, "more": json.dumps(query.get("more", []))}
    line = f"{method} {target}/anything?{urlencode(words)} HTTP/1.1"
    with connect(server.http_port) as client, client.makefile("rb") as responses:
        client.sendall(head(line, *(headers or ["Host: x"])) + CLOSED)
        first = read_response(responses, method)
        second = read_response(responses)
        assert responses.read() == b""
    assert (second.status, second.body) == (200, b"live")
    return [first, second]


@engines
def test_the_host_of_the_target_takes_precedence(serve_hooked: Serve, engine: str) -> None:
    first, _ = ask_hooked(serve_hooked(engine), "Host: good", "A: b", target="http://evil.example:1", body="headers")
    assert json.loads(first.body) == [["Host", "evil.example:1"], ["A", "b"], ["Content-Length", "0"]]


# Values of fields

FIELDS: dict[str, tuple[list[str], int]] = {
    "a length with a space behind it": (["Content-Length: 15 "], 200),
    "a length with a tab behind it": (["Content-Length:\t15\t"], 200),
    "two lengths": (["Content-Length: 15", "Content-Length: 15"], 400),
    "two types": (["Content-Length: 15", "Content-Type: application/json"], 400),
    "two tokens": (["Content-Length: 15", "Authorization: Bearer a", "authorization: Bearer b"], 400),
    "two encodings": (["Content-Length: 15", "Content-Encoding: identity", "Content-Encoding: gzip"], 400),
    "two ids": (["Content-Length: 15", "Seldon-Puid: a", "Seldon-Puid: b"], 200),
    "two of another field": (["Content-Length: 15", "Accept: a", "Accept: b"], 200),
}


@engines
@pytest.mark.parametrize(("headers", "status"), FIELDS.values(), ids=FIELDS)
def test_fields(serve: Serve, engine: str, headers: list[str], status: int) -> None:
    raw = head("POST /predict HTTP/1.1", "Host: x", "Content-Type: application/json", *headers) + b'{"strData":"x"}'
    received = ask(serve(engine).http_port, raw + CLOSED)
    assert received.startswith(b"HTTP/1.1 %d " % status)
    assert received.count(b"HTTP/1.1 ") == (2 if status == 200 else 1)
    if "Seldon-Puid: a" in headers:
        assert b"seldon-puid: a\r\n" in received


@engines
@pytest.mark.parametrize("value", ["100-continue ", "100-continue\t", "100-Continue"], ids=ascii)
def test_white_space_does_not_belong_to_an_expectation(serve: Serve, engine: str, value: str) -> None:
    raw = build("x", f"Expect: {value}")
    with connect(serve(engine).http_port) as client, client.makefile("rb") as responses:
        client.sendall(raw.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
        assert read_response(responses).status == 100
        client.sendall(raw.partition(b"\r\n\r\n")[2])
        assert read_response(responses).status == 200


@engines
def test_what_flask_gets_of_repeated_fields(serve_hooked: Serve, engine: str) -> None:
    """Lists are joined; of the fields that the server reads itself, the first value counts."""
    lines = (
        "Host: x",
        "Accept: a",
        "accept: b",
        "Origin: http://a",
        "Origin: http://b",
        "X-Request-Id: 1",
        "X-Request-Id: 2",
    )
    first, _ = ask_hooked(serve_hooked(engine), *lines, body="headers")
    headers = dict(json.loads(first.body))
    assert (headers["Accept"], headers["Origin"], headers["X-Request-Id"]) == ("a,b", "http://a", "1")
    assert first.values("seldon-puid") == ["1"]


# Which connections are kept

KEPT: dict[str, tuple[str, list[str], bool]] = {
    "1.1": ("1.1", [], True),
    "close": ("1.1", ["Connection: close"], False),
    "close in a list": ("1.1", ["Connection: keep-alive, Close"], False),
    "close in a second line": ("1.1", ["Connection: keep-alive", "Connection: close"], False),
    "close in a first line": ("1.1", ["Connection: close", "Connection: keep-alive"], False),
    "1.0": ("1.0", [], False),
    "1.0 with close as well": ("1.0", ["Connection: keep-alive, close"], False),
    "1.0 with close in a second line": ("1.0", ["Connection: keep-alive", "Connection: close"], False),
}


@engines
@pytest.mark.parametrize(("version", "headers", "is_kept"), KEPT.values(), ids=KEPT)
def test_which_connections_are_kept(
    serve: Serve, engine: str, version: str, headers: list[str], *, is_kept: bool
) -> None:
    first = head(f"GET /live HTTP/{version}", "Host: x", *headers)
    received = ask(serve(engine).http_port, first + CLOSED)
    assert received.count(b"HTTP/1.1 200 ") == (2 if is_kept else 1)


def test_http_1_0_can_be_kept(serve: Serve) -> None:
    first = head("GET /live HTTP/1.0", "Connection: TE", "Connection: Keep-Alive")
    assert ask(serve("native").http_port, first + CLOSED).count(b"HTTP/1.1 200 ") == 2


# Responses


@engines
@pytest.mark.parametrize("status", [200, 201, 204, 205, 304, 404, 599])
def test_responses_of_any_status_end_where_their_client_expects_it(serve: Serve, engine: str, status: int) -> None:
    with connect(serve(engine).http_port) as client, client.makefile("rb") as responses:
        client.sendall(build(str(status)) * 2 + CLOSED)
        for _ in range(2):
            response = read_response(responses)
            assert response.status == status
            assert (response.body == b"") is (status in (204, 205, 304))
            assert response.values("content-length") == [] or status not in (204, 304)
        assert read_response(responses).body == b"live"
        assert responses.read() == b""


SET: dict[str, tuple[dict[str, Any], dict[str, list[str]]]] = {
    "204 with a body": ({"status": 204, "more": [["Content-Length", "1"]]}, {"content-length": []}),
    "304 with a body": ({"status": 304, "more": [["Content-Length", "1"]]}, {"content-length": []}),
    "205 with a body": ({"status": 205}, {"content-length": ["0"]}),
    "a length that is too large": ({"more": [["Content-Length", "5"]]}, {"content-length": ["1"]}),
    "a length that is too small": ({"more": [["Content-Length", "0"]]}, {"content-length": ["1"]}),
    "two lengths": ({"more": [["Content-Length", "1"], ["content-length", "2"]]}, {"content-length": ["1"]}),
    "no length": ({"more": [["Content-Length", "x"]]}, {"content-length": ["1"]}),
    "a length for HEAD": ({"method": "HEAD", "more": [["Content-Length", "7"]]}, {"content-length": ["7"]}),
    "chunks": ({"more": [["Transfer-Encoding", "chunked"]]}, {"transfer-encoding": [], "content-length": ["1"]}),
    "a connection's headers": (
        {"more": [["Connection", "close, X-Mine"], ["X-Mine", "a"], ["Keep-Alive", "a"], ["Proxy-Status", "a"], ["TE", "a"],
                  ["Trailer", "a"], ["Upgrade", "a"], ["Proxy-Connection", "a"], ["X-Other", "b"]]},
        {"connection": [], "x-mine": [], "keep-alive": [], "proxy-status": [], "te": [], "trailer": [], "upgrade": [],
         "proxy-connection": [], "x-other": ["b"]},
    ),
    "several cookies": ({"more": [["Set-Cookie", "a=b"], ["Set-Cookie", "c=d"]]}, {"set-cookie": ["a=b", "c=d"]}),
}  # fmt: skip


@engines
@pytest.mark.parametrize(("query", "expected"), SET.values(), ids=SET)
def test_a_blueprint_does_not_break_its_connection(
    serve_hooked: Serve, engine: str, query: dict[str, Any], expected: dict[str, list[str]]
) -> None:
    response, _ = ask_hooked(serve_hooked(engine), **query)
    assert response.status == query.get("status", 200)
    assert {name: response.values(name) for name in expected} == expected
    assert len(response.values("date")) == 1


MALFORMED: dict[str, dict[str, Any]] = {
    "a line break in a value": {"more": [["X-A", "b\r\nX-C: d"]]},
    "a line feed in a value": {"more": [["X-A", "b\n"]]},
    "a carriage return in a value": {"more": [["X-A", "b\rc"]]},
    "NUL in a value": {"more": [["X-A", "b\0"]]},
    "a character that is not Latin-1": {"more": [["X-A", "€"]]},
    "a line break in a name": {"more": [["X-A: b\r\nX-C", "d"]]},
    "a space in a name": {"more": [["X A", "b"]]},
    "no name": {"more": [["", "b"]]},
    "an interim status": {"status": 101},
    "no status": {"status": 999},
}


@engines
@pytest.mark.parametrize("query", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_response_of_a_blueprint_is_an_error(
    serve_hooked: Serve, engine: str, query: dict[str, Any]
) -> None:
    response, _ = ask_hooked(serve_hooked(engine), **query)
    assert response.status == 500
    assert response.values("x-c") == []
    assert json.loads(response.body)["status"]["code"] == -1


# Clients that close their side

CHUNKS = head("POST /predict HTTP/1.1", "Host: x", "Content-Type: application/json", "Transfer-Encoding: chunked")
HANDLERS = {"native": "", "Flask": '    import flask; model_error_handler = flask.Blueprint("nothing", __name__)\n'}
GATED: dict[str, tuple[bytes, list[str]]] = {
    "one request": (build("gate"), ["gate"]),
    "with a query": (build("gate", line="POST /predict?json= HTTP/1.1"), ["gate"]),
    "in chunks": (CHUNKS + b'12\r\n{"strData":"gate"}\r\n0\r\n\r\n', ["gate"]),
    "pipelined": (build("gate") + build("second") + build("third"), ["gate", "second", "third"]),
    "pipelined with a query": (build("gate") + build("second", line="POST /predict?a HTTP/1.1"), ["gate", "second"]),
    "before half a head": (build("gate") + b"GET /live HT", ["gate"]),
    "before half a body": (build("gate") + build("second") + build("third")[:-1], ["gate", "second"]),
    "HTTP/1.0": (build("gate", line="POST /predict HTTP/1.0"), ["gate"]),
    "in its own words": (build("gate", "Connection: close"), ["gate"]),
}


@engines
@pytest.mark.parametrize("handlers", HANDLERS.values(), ids=HANDLERS)
@pytest.mark.parametrize(("raw", "texts"), GATED.values(), ids=GATED)
def test_a_client_that_closes_its_side_gets_its_responses(
    start: Start, gate: Any, engine: str, handlers: str, raw: bytes, texts: list[str]
) -> None:
    server = start(SERVED + handlers, server={"engine": engine}).wait_until_ready()
    with connect(server.http_port) as client, client.makefile("rb") as responses, ThreadPoolExecutor(1) as pool:
        client.sendall(raw)
        client.shutdown(socket.SHUT_WR)
        gate.wait_until_entered()
        assert server.rest("GET", "/live")[0] == 200  # by now the end has been seen
        gate.release()
        reading = pool.submit(lambda: [json.loads(read_response(responses).body)["strData"] for _ in texts])
        assert reading.result() == texts
        assert responses.read() == b""
    assert server.predict("seen")[1]["jsonData"] == texts
    assert server.stop() == 0
    assert "Traceback" not in server.log


@engines
def test_a_client_that_closes_its_side_after_many_requests_gets_all_responses(serve: Serve, engine: str) -> None:
    """More of them than the server handles in one turn."""
    with connect(serve(engine).http_port) as client, ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read_rest, client)
        client.sendall(LIVE * 5000)
        client.shutdown(socket.SHUT_WR)
        assert reading.result().count(b"HTTP/1.1 200 ") == 5000


ENDED: dict[str, bytes] = {
    "nothing": b"",
    "half a head": LIVE[:-3],
    "half a body": build("half")[:-1],
    "half a chunk": CHUNKS + b"5\r\nab",
    "no last chunk": CHUNKS + b'f\r\n{"strData":"x"}\r\n',
}


@engines
@pytest.mark.parametrize("raw", ENDED.values(), ids=ENDED)
def test_half_a_request_ends_with_its_connection(serve: Serve, engine: str, raw: bytes) -> None:
    with connect(serve(engine).http_port) as client:
        client.sendall(raw)
        client.shutdown(socket.SHUT_WR)
        assert read_rest(client) == b""


@engines
def test_a_client_of_tls_that_closes_its_side_is_gone(start: Start, gate: Any, engine: str) -> None:
    certificates = Path(__file__).parent.parent / "tls"
    tls = {"certificate": str(certificates / "server.pem"), "key": str(certificates / "server-key.pem")}
    server = start(SERVED, tls=tls, server={"engine": engine}).wait_until_ready()
    context = ssl.create_default_context(cafile=certificates / "ca.pem")
    with context.wrap_socket(connect(server.http_port), server_hostname="127.0.0.1") as client:
        client.sendall(build("gate"))
        gate.wait_until_entered()
        with suppress(OSError):  # what the server still sends
            client.unwrap()
    gate.release()
    assert server.stop() == 0
    assert "Traceback" not in server.log
    assert "eof_received" not in server.log


def test_what_comes_behind_a_last_request_does_not_destroy_its_response(start: Start, gate: Any) -> None:
    """Unread bytes make the system reset a connection that is closed."""
    server = start(SERVED).wait_until_ready()
    with connect(server.http_port) as client, ThreadPoolExecutor(1) as pool:
        sending = pool.submit(client.sendall, build("gate", "Connection: close") + LIVE * 10_000)
        gate.wait_until_entered()
        gate.release()
        sending.result()
        received = b""
        while part := client.recv(65536):  # and no reset
            received += part
    assert received.count(b"HTTP/1.1 ") == 1
    assert json.loads(received.partition(b"\r\n\r\n")[2]) == {"strData": "gate"}


def test_a_steady_reader_is_not_cut(start: Start) -> None:
    """It reads more slowly than the buffers of the system let the server see, for several times the bound."""
    server = start(SERVED, server={"body_timeout_seconds": 0.5}).wait_until_ready()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.settimeout(WAIT_SECONDS)
        client.connect(("127.0.0.1", server.http_port))
        client.sendall(build("large", "Connection: close"))
        received, pause = 0, threading.Event()
        while part := client.recv(65536):
            received += len(part)
            if received < 2_000_000:
                pause.wait(0.1)
    assert received > 40_000_000
