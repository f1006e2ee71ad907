"""Requests handled natively and through Flask: the same bytes, and which requests go through Flask."""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from seldon_spec.config.model import FlaskSpec, ServerSpec

MODEL = """
class {name}:
    {handlers}

    def predict(self, X, names, meta=None):
        if isinstance(X, str):
            if X == "raise":
                raise ValueError("of the class")
            if X == "type":
                return Ellipsis
            if X == "write":
                return {{"a": object()}}
        return X

    def transform_input(self, X, names):
        return X

    def aggregate(self, X, names):
        return X[0]

    def send_feedback(self, X, names, reward, truth, routing=None):
        return [reward]

    def tags(self):
        return {{"t": "ü"}}

    def metrics(self):
        return [{{"type": "COUNTER", "key": "c", "value": 1}}]
"""

HANDLERS = "import flask; model_error_handler = flask.Blueprint('nothing', __name__)"
"""A blueprint without handlers: it changes nothing, but every request has to go through Flask."""


class Pair:
    """Two servers of one class: one handles requests natively, the other through Flask."""

    def __init__(self, native: Any, through_flask: Any) -> None:
        self.ports = {"native": native.http_port, "flask": through_flask.http_port}

    def ask(self, which: str, request: bytes) -> bytes:
        """Return the bytes of a response, its date replaced."""
        with socket.create_connection(("127.0.0.1", self.ports[which]), 20) as client:
            client.sendall(request)
            response = b""
            while part := client.recv(65536):
                response += part
        return re.sub(rb"date: [^\r]+", b"date: D", response)


@pytest.fixture(scope="module")
def serve_two(tmp_path_factory: pytest.TempPathFactory, serve_in_thread: Any) -> Iterator[Any]:
    with ExitStack() as stack:

        def begin(engine: str, flask: FlaskSpec) -> Pair:
            def start(name: str, handlers: str) -> Any:
                folder = tmp_path_factory.mktemp("front")
                (folder / f"{name}.py").write_text(MODEL.format(name=name, handlers=handlers))
                server = ServerSpec(host="127.0.0.1", engine=engine)  # type: ignore[arg-type]
                return stack.enter_context(serve_in_thread(folder, name, server=server, flask=flask))

            return Pair(start("Native", "pass"), start("ThroughFlask", HANDLERS))

        yield begin
    for name in ("Native", "ThroughFlask"):
        sys.modules.pop(name, None)


STYLES = {
    "plain": FlaskSpec(),
    "styled": replace(FlaskSpec(), JSON_SORT_KEYS=False, JSON_AS_ASCII=False, JSONIFY_PRETTYPRINT_REGULAR=True),
    "media type": replace(FlaskSpec(), JSONIFY_MIMETYPE="application/vnd.x+json"),
}


@pytest.fixture(scope="module", params=[(e, s) for e in ("native", "uvicorn") for s in STYLES], ids=" ".join)
def pair(request: pytest.FixtureRequest, serve_two: Any) -> Pair:
    engine, style = request.param
    made: Pair = serve_two(engine, STYLES[style])
    return made


def build(path: str, body: str | bytes = "", *headers: str, method: str = "POST", version: str = "1.1") -> bytes:
    raw = body.encode() if isinstance(body, str) else body
    lines = [f"{method} {path} HTTP/{version}", "Host: x:1", "Connection: close", f"Content-Length: {len(raw)}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + raw


JSON = "Content-Type: application/json"
NDARRAY = '{"data":{"names":["a","b"],"ndarray":[[1.5,2],[3,4]]},"meta":{"puid":"p","tags":{"x":[1]}}}'
CASES: dict[str, bytes] = {
    "ndarray": build("/predict", NDARRAY, JSON),
    "tensor": build("/api/v1.0/predictions", '{"data":{"tensor":{"shape":[1,2],"values":[1e300,-0.0]}}}', JSON),
    "old path": build("/api/v0.1/predictions", '{"strData":"ü€"}', JSON),
    "json": build("/predict", '{"jsonData":{"b":[1,null,true],"a":"ü"}}', JSON),
    "binary": build("/predict", '{"binData":"AAEC"}', JSON),
    "text": build("/predict", '{"strData":"x"}', JSON),
    "http 1.0": build("/predict", '{"strData":"x"}', JSON, version="1.0"),
    "charset": build("/predict", '{"strData":"x"}', "Content-Type: Application/JSON ; charset=utf-8"),
    "origin": build("/predict", '{"strData":"x"}', JSON, "Origin: https://page.example"),
    "two origins": build("/predict", '{"strData":"x"}', JSON, "Origin: a", "Origin: b"),
    "two media types": build("/predict", '{"strData":"x"}', JSON, "Content-Type: text/plain"),
    "no media type": build("/predict", '{"strData":"x"}'),
    "other media type": build("/predict", '{"strData":"x"}', "Content-Type: text/plain"),
    "json by suffix": build("/predict", '{"strData":"x"}', "Content-Type: application/cloudevents+json"),
    "encoded": build("/predict", b"\x1f\x8b", JSON, "Content-Encoding: gzip"),
    "query": build("/predict?json=%7B%22strData%22%3A%22q%22%7D", '{"strData":"x"}', JSON),
    "empty query": build("/predict?", '{"strData":"x"}', JSON),
    "get with json": build("/predict?json=%7B%22strData%22%3A%22q%22%7D", method="GET"),
    "form": build("/predict", "json=%7B%22strData%22%3A%22f%22%7D", "Content-Type: application/x-www-form-urlencoded"),
    "odd host": build("/predict", '{"strData":"x"}', JSON).replace(b"x:1", b"a/b"),
    "escaped path": build("/pre%64ict", '{"strData":"x"}', JSON),
    "absolute target": build("http://x:1/predict", '{"strData":"x"}', JSON),
    "no json": build("/predict", "{", JSON),
    "no message": build("/predict", "{}", JSON),
    "empty": build("/predict", "", JSON),
    "utf-16": build("/predict", '{"strData":"é"}'.encode("utf-16"), "Content-Type: application/json; charset=utf-16"),
    "utf-16 without a parameter": build("/predict", '{"strData":"é"}'.encode("utf-16-le"), JSON),
    "utf-32": build("/predict", '{"strData":"é"}'.encode("utf-32"), 'Content-Type: application/json; charset="UTF-32"'),
    "latin-1": build(
        "/predict", '{"strData":"é"}'.encode("latin-1"), "Content-Type: application/json; charset=latin-1"
    ),
    "unknown charset": build("/predict", '{"strData":"x"}', "Content-Type: application/json; charset=nothing"),
    "wrong charset": build("/predict", '{"strData":"é"}', "Content-Type: application/json; charset=us-ascii"),
    "utf-7": build("/predict", '{"strData":"+AOk-"}', "Content-Type: application/json; charset=utf-7"),
    "names that are a text": build("/predict", '{"data":{"names":"ab","ndarray":[[1]]}}', JSON),
    "misspelt": build("/predict", '{"data":{"ndarry":[[1]]}}', JSON),
    "bare list": build("/predict", '{"data":[[1,2]]}', JSON),
    "base64 of a url": build("/predict", '{"binData":"-_8"}', JSON),
    "no base64": build("/predict", '{"binData":"!!!"}', JSON),
    "mixed": build("/predict", '{"data":{"ndarray":[[1]]},"binData":"AAEC"}', JSON),
    "not utf-8": build("/predict", b'{"strData":"\xff"}', JSON),
    "the class raises": build("/predict", '{"strData":"raise"}', JSON),
    "no payload": build("/predict", '{"strData":"type"}', JSON),
    "unwritable": build("/predict", '{"strData":"write"}', JSON),
    "transform input": build("/transform-input", NDARRAY, JSON),
    "transform output": build("/transform-output", NDARRAY, JSON),
    "route without a hook": build("/route", NDARRAY, JSON),
    "aggregate": build("/aggregate", f'{{"seldonMessages":[{NDARRAY}]}}', JSON),
    "feedback": build("/send-feedback", f'{{"request":{NDARRAY},"reward":0.5}}', JSON),
    "unknown path": build("/nothing", '{"strData":"x"}', JSON),
    "wrong method": build("/predict", '{"strData":"x"}', JSON, method="PUT"),
    "options": build("/predict", "", "Origin: o", "Access-Control-Request-Method: POST", method="OPTIONS"),
    "ping": build("/health/ping", method="GET"),
    "ping of a page": build("/health/ping", "", "Origin: o", method="GET"),
    "head of a probe": build("/live", method="HEAD"),
    "ready": build("/ready", method="GET"),
    "live with a query": build("/live?x=1", method="GET"),
    "health status": build("/health/status", method="GET"),
    "metadata": build("/metadata", method="GET"),
}


FORM = "Content-Type: application/x-www-form-urlencoded"
QUERY = "%7B%22strData%22%3A%22q%22%7D"


def build_parts(
    *parts: tuple[str, bytes], path: str = "/predict", boundary: str = "b", end: bytes = b"--b--\r\n"
) -> bytes:
    """Build a multipart request from the parameters of ``Content-Disposition`` and the contents of its parts."""
    body = b"".join(
        f"--b\r\nContent-Disposition: form-data; {name}\r\n\r\n".encode() + content + b"\r\n" for name, content in parts
    )
    return build(path, body + end, f"Content-Type: multipart/form-data; boundary={boundary}")


PATHS = (
    "/predict",
    "/api/v1.0/predictions",
    "/metadata",
    "/health/ping",
    "/seldon.json",
    "/nothing",
    "//predict",
    "/predict/",
)
MORE: dict[str, bytes] = {
    **{
        f"{method} {path}": build(path, "", "Origin: http://a.b", method=method)
        for path in PATHS
        for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE")
    },
    "preflight of an unknown path": build("/nothing", "", "Access-Control-Request-Method: GET", method="OPTIONS"),
    "preflight with headers": build(
        "/live", "", "Access-Control-Request-Method: GET", "Access-Control-Request-Headers: x-a, b", method="OPTIONS"
    ),
    "not modified": build("/seldon.json", "", "If-None-Match: *", method="GET"),
    "modified": build("/seldon.json", "", 'If-None-Match: "x", W/"y"', method="GET"),
    "compressed": build("/seldon.json", "", "Accept-Encoding: br, gzip;q=0.5", method="GET"),
    "compressed and not modified": build("/seldon.json", "", "Accept-Encoding: gzip", "If-None-Match: *", method="GET"),
    "head of a compressed document": build("/seldon.json", "", "Accept-Encoding: gzip", method="HEAD"),
    "head with json=": build(f"/predict?json={QUERY}", method="HEAD"),
    "get with a body": build("/predict", '{"strData":"x"}', JSON, method="GET"),
    "get with a form": build("/predict", f"json={QUERY}", FORM, method="GET"),
    "get of a post path": build(f"/api/v1.0/predictions?json={QUERY}", method="GET"),
    "empty json=": build("/predict?json=", '{"strData":"x"}', JSON),
    "two json=": build(f"/predict?json={QUERY}&json=2", '{"strData":"x"}', JSON),
    "broken json=": build("/predict?json=%7B", '{"strData":"x"}', JSON),
    "json= not utf-8": build("/predict?json=%22%FF%22", "", JSON),
    "escaped name of json=": build(f"/predict?j%73on={QUERY}", "", JSON),
    "json= and an encoding": build(f"/predict?json={QUERY}", "x", "Content-Encoding: gzip"),
    "identity": build("/predict", '{"strData":"x"}', "Content-Encoding: Identity", JSON),
    "form without json": build("/predict", "a=1", FORM),
    "form and query": build(f"/predict?json={QUERY}", "json=%7B%22strData%22%3A%22f%22%7D", FORM),
    "form with an empty json and query": build(f"/predict?json={QUERY}", "json=", FORM),
    "broken form": build("/predict", "json=%7B", FORM),
    "form of feedback": build("/send-feedback", "json=%7B%22reward%22%3A1%7D", FORM),
    "encoded form": build("/predict", f"json={QUERY}", FORM, "Content-Encoding: gzip"),
    "form to a route without a body": build("/metadata", "json=%7B", FORM, method="GET"),
    "text part": build_parts(('name="strData"', "é".encode())),
    "parts of a message": build_parts(('name="data"', b'{"ndarray":[[1,2]]}'), ('name="meta"', b'{"puid":"p"}')),
    "binary file": build_parts(('name="binData"; filename="f"', b"\0\1")),
    "text file": build_parts(('name="strData"; filename="f"', b"\xef\xbb\xbfa")),
    "text file not utf-8": build_parts(('name="strData"; filename="f"', b"\xff")),
    "json file": build_parts(('name="jsonData"; filename="f"', b'{"a":1}')),
    "broken json part": build_parts(('name="jsonData"', b"{")),
    "two parts of a name": build_parts(('name="strData"', b"a"), ('name="strData"; filename="f"', b"b")),
    "part without a name": build_parts(("x=y", b"a")),
    "no last boundary": build_parts(('name="strData"', b"a"), end=b""),
    "wrong boundary": build_parts(('name="strData"', b"a"), boundary="z"),
    "no parts": build_parts(end=b""),
    "too many parts": build_parts(*((f'name="p{number}"', b"1") for number in range(1100))),
    "large part": build_parts(('name="strData"', b"a" * 600_000)),
    "parts of feedback": build_parts(('name="reward"', b"1"), path="/send-feedback"),
    "charset in the extended form": build(
        "/predict", '{"strData":"é"}'.encode("latin-1"), "Content-Type: application/json; charset*=utf-8''latin-1"
    ),
    "suffix in capitals": build("/predict", '{"strData":"x"}', "Content-Type: application/X+JSON"),
    "a list of media types": build("/predict", '{"strData":"x"}', "Content-Type: application/json, text/plain"),
    "host with a comma": build("/predict", '{"strData":"x"}', JSON).replace(b"x:1", b"a,b"),
    "asterisk": build("*", method="OPTIONS"),
    "id of an unknown path": build("/nothing", "", "Seldon-Puid: a", method="GET"),
    "id of a page": build("/seldon.json", "", "Seldon-Puid: a", method="GET"),
    "id of a probe": build("/live", "", "Seldon-Puid: a", method="GET"),
}


@pytest.mark.parametrize("request_bytes", [*CASES.values(), *MORE.values()], ids=[*CASES, *MORE])
def test_both_send_the_same_bytes(pair: Pair, request_bytes: bytes) -> None:
    response = pair.ask("native", request_bytes)
    assert response.startswith(b"HTTP/1.1 ")
    assert response == pair.ask("flask", request_bytes)


def test_a_body_is_read_in_the_charset_that_its_header_names(pair: Pair) -> None:
    for name in ("utf-16", "utf-16 without a parameter", "utf-32", "latin-1"):
        assert b'"strData":"\\u00e9"' in pair.ask("native", CASES[name]) or "é".encode() in pair.ask(
            "native", CASES[name]
        )
    for name in ("unknown charset", "wrong charset", "utf-7"):
        assert b" 400 " in pair.ask("native", CASES[name])


HOOKED = """
import flask

class Hooked:
    model_error_handler = flask.Blueprint("hooked", __name__)

    def predict(self, X, names):
        return X

@Hooked.model_error_handler.before_app_request
def refuse():
    if flask.request.headers.get("X-Refuse"):
        return "refused", 403

@Hooked.model_error_handler.after_app_request
def sign(response):
    response.headers["X-Signed"] = "yes"
    return response
"""

LISTENING = """
import flask

class Listening:
    def __init__(self):
        def sign(app, response, **more):
            response.headers["X-Signed"] = "yes"
        self.sign = sign
        flask.request_finished.connect(sign)

    def predict(self, X, names):
        return X
"""


@pytest.mark.parametrize("source", [HOOKED, LISTENING], ids=["hooks", "signals"])
def test_what_the_class_adds_to_flask_is_never_skipped(tmp_path: Path, serve_in_thread: Any, source: str) -> None:
    name = "Hooked" if source is HOOKED else "Listening"
    (tmp_path / f"{name}.py").write_text(source)
    try:
        with serve_in_thread(tmp_path, name) as server:
            status, headers, _ = server.post(b'{"strData":"x"}')
            assert (status, headers["X-Signed"]) == (200, "yes")
            assert server.rest("GET", "/live")[1]["X-Signed"] == "yes"
            refused, _, _ = server.rest("POST", "/predict", b"{}", {"X-Refuse": "1"})
            assert refused == (403 if source is HOOKED else 400)
    finally:
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("flask", "status"),
    [
        (replace(FlaskSpec(), MAX_CONTENT_LENGTH=10), 413),
        pytest.param(
            replace(FlaskSpec(), TRUSTED_HOSTS=("other.example",)),
            400,
            marks=pytest.mark.skipif(version("flask") < "3.1", reason="a setting of Flask 3.1"),
        ),
    ],
    ids=["MAX_CONTENT_LENGTH", "TRUSTED_HOSTS"],
)
def test_settings_that_decide_on_requests_are_never_skipped(
    tmp_path: Path, serve_in_thread: Any, flask: FlaskSpec, status: int
) -> None:
    (tmp_path / "Decided.py").write_text("class Decided:\n    def predict(self, X, names):\n        return X\n")
    with serve_in_thread(tmp_path, "Decided", flask=flask) as server:
        assert server.post(b'{"strData":"longer than ten"}')[0] == status


@pytest.mark.skipif(version("flask") < "3.1", reason="a setting of Flask 3.1")
@pytest.mark.parametrize("engine", ["native", "uvicorn"])
@pytest.mark.parametrize(
    ("target", "host", "status"),
    [
        ("/predict", "good.example", 200),
        ("/predict", "evil.example", 400),
        ("http://good.example/predict", "evil.example", 200),
        ("http://evil.example/predict", "good.example", 400),
    ],
)
def test_trusted_hosts_are_those_of_the_target(
    tmp_path: Path, serve_in_thread: Any, engine: Any, target: str, host: str, status: int
) -> None:
    (tmp_path / "Trusting.py").write_text("class Trusting:\n    def predict(self, X, names):\n        return X\n")
    flask = replace(FlaskSpec(), TRUSTED_HOSTS=("good.example",))
    server_spec = ServerSpec(host="127.0.0.1", engine=engine)
    with (
        serve_in_thread(tmp_path, "Trusting", flask=flask, server=server_spec) as server,
        socket.create_connection(("127.0.0.1", server.http_port), 20) as client,
    ):
        body = b'{"strData":"x"}'
        head = f"POST {target} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n"
        client.sendall(head.encode() + body)
        assert client.recv(65536).startswith(b"HTTP/1.1 %d " % status)


def test_flask_is_not_loaded_unless_the_class_needs_it(start: Any) -> None:
    source = """
import sys

class Served:
    def predict(self, X, names):
        return {"loaded": sorted(m for m in ("flask", "werkzeug", "uvicorn", "jsonschema", "typer") if m in sys.modules)}
"""
    server = start(source).wait_until_ready()
    assert server.predict()[1]["jsonData"] == {"loaded": []}
    for path, status in (("/live", 200), ("/metadata", 200), ("/seldon.json", 200), ("/nothing", 404)):
        assert server.rest("GET", path)[0] == status
    assert server.predict()[1]["jsonData"] == {"loaded": []}
    assert server.rest("GET", "/predict?json=%7B%22strData%22%3A%22x%22%7D")[0] == 200
    assert server.predict()[1]["jsonData"] == {"loaded": ["werkzeug"]}
