"""What a running server writes: every line whole, with the request's id, and nothing of what the requests hold."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import logging
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import grpc
import pytest

from seldon_spec.config.model import LogFormat, LogLevel, LogSpec
from seldon_spec.inference.call import WORKED_ON
from seldon_spec.observability.access_log import AccessLog
from seldon_spec.observability.logs import LogHandler, PrintedLines, TextFormatter, configure_logs
from seldon_spec.observability.request_context import ContextFactory, RequestContext, RequestLog, find_id
from seldon_spec.protocols.seldon_v1.proto import SeldonMessage

WAIT_SECONDS = 20
WAYS = ["body", "query", "grpc"]
MADE = re.compile(r"[0-9a-f]{16}-[0-9a-f]+")
SECRET = "xyzzy-4711"
TOKEN = "token-that-nobody-may-read"

TALKATIVE = """
import logging, sys, threading, warnings

logging.getLogger("mine").info("imported")

class Served:
    def predict(self, X, names):
        return (getattr(self, X)() if isinstance(X, str) and hasattr(self, X) else None) or X

    def say(self):
        print("printed", "in", "parts")

    def complain(self):
        sys.stderr.write("complained\\n")

    def log(self):
        logging.getLogger("mine.own").info("logged %d", 7)

    def warn(self):
        warnings.warn("warned")

    def buffer(self):
        sys.stdout.buffer.write("gepuffert: \\u00e4\\n".encode())

    def fail(self):
        raise ValueError("failed\\n2026-01-01 00:00:00,000 INFO forged: line")

    def die(self):
        thread = threading.Thread(target=self.fail, name="dying")
        thread.start()
        thread.join()

    def leave_open(self):
        sys.stdout.write("never finished")
"""

Start = Callable[..., Any]


class Heard(NamedTuple):
    """What a client gets."""

    status: int | str
    puid: str | None


def ask(server: Any, way: str, text: str = "say", headers: Mapping[str, str] | None = None) -> Heard:
    """Send a message on one of the three ways that there are."""
    message, given = {"strData": text}, headers or {}
    if way == "grpc":
        return ask_grpc(server, SeldonMessage(**message).SerializeToString(), given)
    path = "/predict" if way == "body" else f"/predict?{SECRET}"
    return ask_rest(server, path, json.dumps(message).encode(), given)


def ask_rest(server: Any, path: str, body: bytes, headers: Mapping[str, str]) -> Heard:
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=WAIT_SECONDS)
    with contextlib.closing(connection):
        connection.request("POST", path, body, {"Content-Type": "application/json", **headers})
        answer = connection.getresponse()
        answer.read()
        return Heard(answer.status, answer.getheader("seldon-puid"))


def ask_grpc(
    server: Any, wire: bytes, headers: Mapping[str, str], method: str = "/seldon.protos.Model/Predict"
) -> Heard:
    metadata = tuple((name.lower(), value) for name, value in headers.items())
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        call: Any = channel.unary_unary(method, None, None).future(wire, metadata=metadata, timeout=WAIT_SECONDS)
        return Heard(call.code().name, dict(call.initial_metadata()).get("seldon-puid"))


def lines_of(server: Any) -> list[dict[str, Any]]:
    """Every line of a server that has ended; each has to be JSON."""
    return [json.loads(line) for line in server.lines]


BLUEPRINT = '    import flask; model_error_handler = flask.Blueprint("nothing", __name__)\n'
"""Added to a class, it has every REST request handled through Flask."""


@pytest.fixture(scope="module", params=["", BLUEPRINT], ids=["native", "Flask"])
def talking(request: Any, start_for_module: Start) -> Any:
    """A server that logs JSON, and each request."""
    more = {"server": {"max_body_bytes": 2048, "max_message_bytes": 2048}}
    return start_for_module(TALKATIVE + request.param, log="json", access=True, **more).wait_until_ready()


# Ids

BROUGHT: dict[str, tuple[dict[str, str], str | None]] = {
    "seldon-puid": ({"Seldon-Puid": "a-1"}, "a-1"),
    "x-request-id": ({"X-Request-Id": "b/2:c=~!"}, "b/2:c=~!"),
    "both": ({"X-Request-Id": "b", "Seldon-Puid": "a"}, "a"),
    "longest": ({"Seldon-Puid": "x" * 128}, "x" * 128),
    "too long": ({"Seldon-Puid": "x" * 129}, None),
    "a space": ({"Seldon-Puid": "a b"}, None),
    "empty": ({"Seldon-Puid": ""}, None),
    "the second is sound": ({"Seldon-Puid": "a b", "X-Request-Id": "c"}, "c"),
    "none": ({}, None),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("headers", "puid"), BROUGHT.values(), ids=BROUGHT)
def test_a_sound_id_comes_back_and_for_any_other_one_is_made(
    talking: Any, way: str, headers: dict[str, str], puid: str | None
) -> None:
    first, second = (ask(talking, way, headers=headers).puid for _ in range(2))
    if puid is not None:
        assert first == second == puid
    else:
        assert first is not None
        assert second is not None
        assert MADE.fullmatch(first)
        assert MADE.fullmatch(second)
        assert first != second


def test_a_plain_server_returns_only_what_is_brought(start: Start) -> None:
    server = start(TALKATIVE).wait_until_ready()
    for way in WAYS:
        assert ask(server, way).puid is None
        assert ask(server, way, headers={"X-Request-Id": "mine"}).puid == "mine"
        assert ask(server, way, "fail", {"Seldon-Puid": f"id-{way}"}).puid == f"id-{way}"
        line = server.wait_for(rf"ERROR .*predict: .* \[id-{way}\]$").string
        assert "\n" not in line.rstrip("\n")
        assert r"failed\n2026-01-01" in line
        server.wait_for(r"^    ValueError: failed")
        server.wait_for(r"^    2026-01-01 00:00:00,000 INFO forged")
    assert server.stop() == 0
    assert "seldon_spec.access" not in server.log


REFUSED: dict[str, tuple[Callable[[Any, Mapping[str, str]], Heard], int | str]] = {
    "class": (lambda server, given: ask(server, "body", "fail", given), 500),
    "class, query": (lambda server, given: ask(server, "query", "fail", given), 500),
    "class, gRPC": (lambda server, given: ask(server, "grpc", "fail", given), "UNKNOWN"),
    "malformed": (lambda server, given: ask_rest(server, "/predict", b"{", given), 400),
    "malformed, query": (lambda server, given: ask_rest(server, "/predict?x", b"{", given), 400),
    "malformed, gRPC": (lambda server, given: ask_grpc(server, b"\xff", given), "INVALID_ARGUMENT"),
    "too large": (lambda server, given: ask_rest(server, "/predict", b" " * 4096, given), 413),
    "no such path": (lambda server, given: ask_rest(server, "/nowhere", b"{}", given), 404),
    "no graph": (
        lambda server, given: ask_grpc(server, b"", given, "/seldon.protos.Seldon/GraphMetadata"),
        "UNIMPLEMENTED",
    ),
}


@pytest.mark.parametrize(("refuse", "status"), REFUSED.values(), ids=REFUSED)
def test_an_error_bears_the_id_and_is_in_the_access_log(
    talking: Any, request: Any, refuse: Callable[..., Heard], status: int | str
) -> None:
    puid = "e-" + re.sub(r"\W+", "-", request.node.name)
    heard = refuse(talking, {"Seldon-Puid": puid, "Authorization": f"Bearer {TOKEN}"})
    assert heard == (status, puid)
    line = json.loads(talking.wait_for(rf'"seldon_spec.access".*"{puid}"').string)
    assert line["status"] == status


def test_a_message_that_is_too_long_for_our_own_engine_has_an_id(start: Start) -> None:
    """grpcio refuses it before anybody is asked."""
    server = start(TALKATIVE, access=True, server={"max_message_bytes": 2048}).wait_until_ready()
    assert ask_grpc(server, b" " * 4096, {"Seldon-Puid": "long"}) == ("RESOURCE_EXHAUSTED", "long")
    server.wait_for(r"POST /seldon.protos.Model/Predict RESOURCE_EXHAUSTED \d+\.\d\d ms \[long\]$")


def test_a_request_without_a_token_has_an_id_too(start: Start) -> None:
    server = start(TALKATIVE, log="json", access=True, tokens=[TOKEN]).wait_until_ready()
    for way, status in [("body", 401), ("query", 401), ("grpc", "UNAUTHENTICATED")]:
        wrong = {"Authorization": "Bearer another-token-of-theirs", "Seldon-Puid": f"no-{way}"}
        assert ask(server, way, headers=wrong) == (status, f"no-{way}")
        server.wait_for(rf'"seldon_spec.access".*"no-{way}"')
    assert server.stop() == 0
    assert [line["status"] for line in lines_of(server) if line["logger"] == "seldon_spec.access"] == [
        401, 401, "UNAUTHENTICATED",
    ]  # fmt: skip
    assert "token-" not in server.log


# Lines

SAID: dict[str, tuple[str, dict[str, str]]] = {
    "print": ("say", {"logger": "stdout", "level": "INFO", "message": "printed in parts"}),
    "stderr": ("complain", {"logger": "stderr", "level": "INFO", "message": "complained"}),
    "bytes": ("buffer", {"logger": "stdout", "level": "INFO", "message": "gepuffert: ä"}),
    "logging": ("log", {"logger": "mine.own", "level": "INFO", "message": "logged 7"}),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("word", "members"), SAID.values(), ids=SAID)
def test_what_the_class_says_bears_the_request_s_id(
    talking: Any, request: Any, way: str, word: str, members: dict[str, str]
) -> None:
    puid = "s-" + re.sub(r"\W+", "-", request.node.name)
    assert ask(talking, way, word, {"Seldon-Puid": puid}).puid == puid
    line = json.loads(talking.wait_for(f'"puid": "{puid}"').string)
    assert line.items() >= {**members, "puid": puid}.items()
    assert line["process"] in talking.workers()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line["time"])


def test_every_line_is_json_and_none_tells_what_was_sent(start: Start) -> None:
    server = start(TALKATIVE, log="json", access=True).wait_until_ready()
    puids = {}
    for way in WAYS:
        for word in ("say", "complain", "log", "warn", "buffer", "fail", "die", "leave_open"):
            puids[way, word] = ask(server, way, word, {"Authorization": f"Bearer {TOKEN}", "Cookie": SECRET}).puid
        ask_rest(server, f"/predict?x={SECRET}", json.dumps({"jsonData": {SECRET: SECRET}}).encode(), {})
        ask_grpc(server, SeldonMessage(jsonData={"string_value": SECRET}).SerializeToString(), {"x-key": SECRET})
    assert server.rest("GET", "/live")[0] == server.rest("GET", "/health/ping")[0] == 200
    assert server.stop() == 0
    lines = lines_of(server)
    assert all({"time", "level", "logger", "message", "process"} <= line.keys() for line in lines)
    assert SECRET not in server.log
    assert TOKEN not in server.log
    assert [line["message"] for line in lines if line["logger"] == "mine"] == ["imported"]

    logged = {(line["logger"], line.get("puid")): line for line in lines if line["logger"] != "seldon_spec.access"}
    for way in WAYS:
        failed = logged["seldon_spec.inference.processor", puids[way, "fail"]]
        assert "ValueError: failed" in failed["exception"]
        assert logged["stdout", puids[way, "leave_open"]]["message"] == "never finished"
    assert any("UserWarning: warned" in line["message"] for line in lines if line["logger"] == "py.warnings")
    dying = [line for line in lines if "uncaught exception in thread dying" in line["message"]]
    assert len(dying) == 3
    assert all("ValueError: failed" in line["exception"] for line in dying)
    routes = {line["route"] for line in lines if line["logger"] == "seldon_spec.access"}
    assert routes == {"/predict", "/seldon.protos.Model/Predict"}


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_requests_print_side_by_side_is_not_mixed(start: Start, form: str) -> None:
    source = """
import sys, threading

meet = threading.Barrier(2)

class Served:
    def predict(self, X, names):
        meet.wait(20)
        for number in range(200):
            sys.stderr.write(X)
            sys.stderr.write(" ")
            sys.stderr.write(str(number) + "\\n")
        return X
"""
    server = start(source, log=form, access=True, server={"threads": 2}).wait_until_ready()
    with ThreadPoolExecutor(2) as pool:
        asked = [
            pool.submit(ask, server, way, word, {"Seldon-Puid": word})
            for way, word in zip(WAYS[::2], "ab", strict=True)
        ]
        assert [each.result().puid for each in asked] == ["a", "b"]
    assert server.stop() == 0
    if form == "text":  # what is printed stays as it is
        assert sum(line.strip().isdigit() or line.startswith(("a", "b")) for line in server.lines) >= 200
        assert server.count(r" INFO seldon_spec.access: POST \S+ (200|OK) \d+\.\d\d ms \[[ab]\]$") == 2
        return
    printed = [line for line in lines_of(server) if line["logger"] == "stderr"]
    for word in "ab":
        own = [line["message"] for line in printed if line["puid"] == word]
        assert own == [f"{word} {number}" for number in range(200)]


# The access log

ROWS = {"data": {"ndarray": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]}}


def wire_of_rows() -> bytes:
    message = SeldonMessage()
    message.data.tensor.shape.extend([3, 2])
    message.data.tensor.values.extend(range(6))
    encoded: bytes = message.SerializeToString()
    return encoded


ENTRIES: dict[str, tuple[Callable[[Any, Mapping[str, str]], Heard], dict[str, Any]]] = {
    "short": (
        lambda server, given: ask_rest(server, "/predict", json.dumps(ROWS).encode(), given),
        {"transport": "rest", "method": "POST", "route": "/predict", "status": 200, "rows": 3},
    ),
    "flask": (
        lambda server, given: ask_rest(server, "/api/v1.0/predictions?a=b", json.dumps(ROWS).encode(), given),
        {"transport": "rest", "method": "POST", "route": "/api/v1.0/predictions", "status": 200, "rows": 3},
    ),
    "grpc": (
        lambda server, given: ask_grpc(server, wire_of_rows(), given),
        {"transport": "grpc", "method": "POST", "route": "/seldon.protos.Model/Predict", "status": "OK", "rows": 3},
    ),
    "no rows": (
        lambda server, given: ask_rest(server, "/predict", b'{"strData": "say"}', given),
        {"transport": "rest", "method": "POST", "route": "/predict", "status": 200, "rows": None, "bytes": 18},
    ),
    "a strange path": (
        lambda server, given: ask_rest(server, "/a%0ab%C3%A4%ff", b"", given),
        {"route": "/a\nbä\ufffd", "status": 404, "rows": None, "bytes": None, "call_ms": None},
    ),
    "a long path": (
        lambda server, given: ask_rest(server, "/" + "a" * 1000, b"", given),
        {"route": "/" + "a" * 255, "status": 404},
    ),
}


@pytest.mark.parametrize(("send", "members"), ENTRIES.values(), ids=ENTRIES)
def test_an_access_line_tells_of_one_request(
    talking: Any, request: Any, send: Callable[..., Heard], members: dict[str, Any]
) -> None:
    puid = "a-" + re.sub(r"\W+", "-", request.node.name)
    send(talking, {"Seldon-Puid": puid})
    line = json.loads(talking.wait_for(rf'"seldon_spec.access".*"{puid}"').string)
    assert line.items() >= members.items()
    assert line["ms"] >= sum(line[f"{stage}_ms"] or 0 for stage in ("queue", "decode", "call", "encode")) - 0.01
    assert set(line) == {
        "time", "level", "logger", "message", "process", "puid", "transport", "method", "route", "status", "ms",
        "rows", "bytes", "queue_ms", "decode_ms", "call_ms", "encode_ms",
    }  # fmt: skip


def test_all_lines_are_written_before_the_process_ends_and_in_order(start: Start) -> None:
    server = start(TALKATIVE, log="json", access=True).wait_until_ready()
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=WAIT_SECONDS)) as client:
        for number in range(300):
            client.request(
                "POST", "/predict", json.dumps(ROWS), {"Content-Type": "application/json", "X-Request-Id": f"{number}"}
            )
            client.getresponse().read()
    assert server.stop() == 0
    asked = [line["puid"] for line in lines_of(server) if line["logger"] == "seldon_spec.access"]
    assert asked == [str(number) for number in range(300)]


@pytest.mark.parametrize("way", ["native", "Flask", "grpc"])
def test_a_client_that_goes_away_is_in_the_access_log(start: Start, gate: Any, way: str) -> None:
    source = """
from gated import pass_gate

class Served:
    def predict(self, X, names):
        pass_gate()
        return X
"""
    source += BLUEPRINT if way == "Flask" else ""
    server = start(source, log="json", access=True).wait_until_ready()
    if way == "grpc":
        with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
            wire = SeldonMessage(strData="x").SerializeToString()
            call: Any = channel.unary_unary("/seldon.protos.Model/Predict", None, None).future(
                wire, metadata=(("seldon-puid", "gone"),)
            )
            gate.wait_until_entered()
            call.cancel()
    else:
        body = b'{"strData": "x"}'
        head = "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nSeldon-Puid: gone\r\n"
        with socket.create_connection(("127.0.0.1", server.http_port)) as client:
            client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            gate.wait_until_entered()
    line = json.loads(server.wait_for('"seldon_spec.access".*"gone"').string)
    assert line["status"] == ("CANCELLED" if way == "grpc" else 499)
    gate.release()
    assert server.stop() == 0
    assert sum(line["logger"] == "seldon_spec.access" for line in lines_of(server)) == 1


@pytest.fixture
def kept_logs() -> Iterator[None]:
    """The test may configure the process's logs."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def take(log: AccessLog, puid: str = "p", route: str = "/r") -> RequestContext:
    plan = RequestLog(LogSpec(), access=log).plan({b"seldon-puid": puid.encode()}.get, "rest", "POST", route)
    assert isinstance(plan, ContextFactory)
    return plan.take()


def test_lines_that_nobody_reads_are_dropped_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    written = io.StringIO()
    is_stuck, is_free = threading.Event(), threading.Event()

    def write(lines: str) -> None:
        is_stuck.set()
        assert is_free.wait(WAIT_SECONDS)
        written.write(lines)

    log = AccessLog(write, LogFormat.JSON, max_queued=10)
    log.add(take(log, "first"), None, 200)
    assert is_stuck.wait(WAIT_SECONDS)
    for number in range(25):  # the first is being written, and waits no more
        log.add(take(log, f"{number}"), None, 200)
    is_free.set()
    log.close()
    puids = [json.loads(line)["puid"] for line in written.getvalue().splitlines()]
    assert puids == ["first", *map(str, range(10))]
    assert [record.getMessage() for record in caplog.records] == [
        "dropped 15 lines: the queue of the access log was full"
    ]


def test_many_lines_are_written_in_pieces_that_a_pipe_takes_whole() -> None:
    pieces: list[str] = []
    log = AccessLog(pieces.append, LogFormat.JSON)
    for number in range(500):
        log.add(take(log, f"{number}", "/ä" * 100), None, 200)
    log.close()
    assert [json.loads(line)["puid"] for line in "".join(pieces).splitlines()] == [f"{n}" for n in range(500)]
    assert all(len(piece.encode()) <= 4096 for piece in pieces)
    assert len(pieces) < 200


def test_a_path_cannot_forge_a_line_of_text() -> None:
    written: list[str] = []
    log = AccessLog(written.append, LogFormat.TEXT)
    log.add(take(log, route="/a\n2026 INFO x\x1b[31m\r\u2028"), None, 404)
    log.close()
    (line,) = "".join(written).splitlines()
    assert re.search(r"POST /a\\n2026 INFO x\\x1b\[31m\\r\\u2028 404 \d+\.\d\d ms \[p\]$", line)


# The parts

UNSOUND: dict[str, bytes] = {
    "space": b"a b",
    "control": b"a\x1b[m",
    "umlaut": "ä".encode(),
    "long": b"x" * 129,
    "none": b"",
}


@pytest.mark.parametrize("raw", UNSOUND.values(), ids=UNSOUND)
def test_an_unsound_id_is_none(raw: bytes) -> None:
    assert find_id({b"seldon-puid": raw}.get) is None
    assert find_id({b"seldon-puid": raw, b"x-request-id": b"b"}.get) == "b"


def test_a_request_of_which_nobody_wants_a_note_has_no_plan() -> None:
    assert RequestLog(LogSpec()).plan(lambda _name: None, "rest", "POST", "/predict") is None


def test_the_server_s_own_lines_cannot_be_forged_and_others_stay_as_they_are() -> None:
    record = logging.LogRecord("seldon_spec.x", logging.INFO, "", 0, "a\n2026 INFO b\r\x1b[31m", None, None)
    assert TextFormatter().format(record).endswith(r" INFO seldon_spec.x: a\n2026 INFO b\r\x1b[31m")
    record.name = "mine"
    assert TextFormatter().format(record).endswith(" INFO mine: a\n2026 INFO b\r\x1b[31m")


@pytest.mark.usefixtures("kept_logs")
def test_an_endless_line_is_cut_and_one_of_another_request_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    lines = PrintedLines(configure_logs(LogSpec(LogLevel.INFO, LogFormat.JSON)), "stdout", io.StringIO())
    lines.stream.write("ä" * 10_000)
    before = WORKED_ON.set("a")
    lines.stream.write("of a")
    WORKED_ON.set("b")
    lines.stream.write("of b\n\nof b again\nrest")
    WORKED_ON.reset(before)
    lines.end()
    records = [json.loads(line) for line in written.getvalue().splitlines()]
    assert [(record.get("puid"), record["message"]) for record in records[-4:]] == [
        ("a", "of a"), ("b", "of b"), ("b", "of b again"), ("b", "rest"),
    ]  # fmt: skip
    assert "".join(record["message"] for record in records[:-4]) == "ä" * 10_000
    assert max(len(record["message"]) for record in records) <= 3072


@pytest.mark.usefixtures("kept_logs")
def test_a_long_line_is_cut_into_records_that_a_pipe_takes_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    lines = PrintedLines(configure_logs(LogSpec(LogLevel.INFO, LogFormat.JSON)), "stdout", io.StringIO())
    before = WORKED_ON.set("p" * 128)
    lines.stream.write("x€" + "x" * 10_000 + "\n")
    lines.stream.write("€" + "a€" * 3000 + "\n")  # nowhere within a character
    WORKED_ON.reset(before)
    *plain, _, _ = text = written.getvalue().splitlines()
    assert max(map(len, plain)) <= 4096
    assert "".join(json.loads(line)["message"] for line in text) == "x€" + "x" * 10_000 + "€" + "a€" * 3000


class Gone(io.StringIO):
    """A stream whose reader has gone."""

    tries = 0

    def write(self, _text: str) -> int:
        self.tries += 1
        if self.tries > 10:  # no Exception, which logging would tell here again
            pytest.fail("what cannot be written is written here again and again")
        raise BrokenPipeError


@pytest.mark.usefixtures("kept_logs")
def test_where_nobody_can_read_the_log_what_is_logged_or_printed_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = Gone()
    monkeypatch.setattr("sys.stderr", gone)
    handler = configure_logs(LogSpec(LogLevel.INFO, LogFormat.JSON))
    lines = PrintedLines(handler, "stderr", gone)
    monkeypatch.setattr("sys.stderr", lines.stream)
    lines.stream.write("printed\n")
    logging.getLogger("mine").info("logged")
    assert gone.tries == 2


@pytest.mark.usefixtures("kept_logs")
def test_a_logger_that_leads_back_to_stderr_does_not_go_in_circles(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    handler: LogHandler = configure_logs(LogSpec(LogLevel.INFO, LogFormat.JSON))
    monkeypatch.setattr("sys.stderr", PrintedLines(handler, "stderr", io.StringIO()).stream)
    logging.basicConfig(level=logging.INFO, format="own: %(message)s", force=True)
    logging.getLogger("mine").info("hello")
    (line,) = written.getvalue().splitlines()
    assert json.loads(line).items() >= {"logger": "stderr", "message": "own: hello"}.items()
