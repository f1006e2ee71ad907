"""Calls over REST of servers that refuse, hang, crash, or respond with what they must not."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seldon_spec.config.graph import CallStep, ChainStep, SplitStep
from seldon_spec.config.model import ComponentSpec, ServiceType, Spec
from seldon_spec.errors import InferUnsupported, RemoteFailed, ResultError
from seldon_spec.inference.message import Operation
from seldon_spec.protocols.open_inference_v2.codec import ModelInfo
from seldon_spec.protocols.open_inference_v2.json_codec import V2JsonCodec
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec
from seldon_spec.remote.component import RemoteComponent
from seldon_spec.remote.failures import TimeLimit
from tests.remote.peers import OK, WAIT_SECONDS, Connect, HttpPeer, close_during_call, respond

Peer = Callable[..., HttpPeer]


def responding(data: bytes) -> Callable[[HttpPeer, socket.socket], object]:
    return lambda _peer, connection: connection.sendall(data)


def failure_of(connect_to: Connect, peer: HttpPeer, body: bytes = OK, **more: Any) -> RemoteFailed:
    with pytest.raises(RemoteFailed) as caught:
        connect_to(peer.url, **more).call(body)
    return caught.value


PATHS = {
    Operation.PREDICT: "/predict",
    Operation.TRANSFORM_INPUT: "/transform-input",
    Operation.TRANSFORM_OUTPUT: "/transform-output",
    Operation.ROUTE: "/route",
    Operation.AGGREGATE: "/aggregate",
    Operation.FEEDBACK: "/send-feedback",
}


@pytest.mark.parametrize(("operation", "path"), PATHS.items(), ids=lambda value: str(value))
def test_every_operation_has_its_path(http_peer: Peer, connect_to: Connect, operation: Operation, path: str) -> None:
    peer = http_peer(responding(respond()))
    remote = connect_to(f"{peer.url}/prefix/")
    body = {Operation.AGGREGATE: b"[%s]" % OK, Operation.FEEDBACK: b'{"reward": 1.0}'}.get(operation, OK)
    assert remote.call(body, operation).message.payload == "fine"
    head, sent = peer.posts[0]
    assert head.startswith(f"POST /prefix{path} HTTP/1.1\r\n")
    assert "Content-Type: application/json\r\n" in head
    assert json.loads(sent) == json.loads(body)


def test_connections_are_kept(http_peer: Peer, connect_to: Connect) -> None:
    connections = set()

    def script(_peer: HttpPeer, connection: socket.socket) -> None:
        connections.add(connection)
        connection.sendall(respond())

    peer = http_peer(script)
    remote = connect_to(peer.url)
    for _ in range(20):
        remote.call()
    assert len(connections) <= 2  # one may have been used to poll the server when a call needed another
    assert len(peer.posts) == 20


def test_calls_of_several_threads(http_peer: Peer, connect_to: Connect) -> None:
    def script(peer: HttpPeer, connection: socket.socket) -> None:
        connection.sendall(respond())

    remote = connect_to(http_peer(script).url)
    results: list[Any] = []

    def call() -> None:
        results.extend(remote.call().message.payload for _ in range(50))

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_SECONDS)
    assert results == ["fine"] * 400


def test_a_server_that_refuses(reserve_ports: Any, connect_to: Connect) -> None:
    with reserve_ports(1) as (port,):
        with pytest.raises(RemoteFailed, match=f"no response from 127.0.0.1:{port}: Connection refused") as caught:
            connect_to(f"http://127.0.0.1:{port}").call()
        assert (caught.value.http, caught.value.grpc) == (503, "UNAVAILABLE")
        assert caught.value.__cause__ is None


def test_a_name_that_does_not_exist(connect_to: Connect) -> None:
    with pytest.raises(RemoteFailed, match=r"no response from no-such-host\.invalid:80: ") as caught:
        connect_to("http://no-such-host.invalid").call()
    assert caught.value.http == 503


def test_the_limit_of_the_component(http_peer: Peer, connect_to: Connect) -> None:
    peer = http_peer(lambda peer, _: peer.release.wait(WAIT_SECONDS))
    failure = failure_of(connect_to, peer, timeout_seconds=0.5)
    assert (failure.http, failure.grpc, failure.reason) == (504, "DEADLINE_EXCEEDED", "MICROSERVICE_TIMEOUT")
    assert "within 0.5 seconds (components.iris.timeout_seconds)" in str(failure)
    assert peer.received.wait(WAIT_SECONDS)
    assert len(peer.posts) == 1


def test_the_limit_of_the_request(http_peer: Peer, connect_to: Connect, in_context: Any) -> None:
    peer = http_peer(lambda peer, _: peer.release.wait(WAIT_SECONDS))
    with in_context(deadline=time.perf_counter() + 0.05):
        failure = failure_of(connect_to, peer, timeout_seconds=60)
    assert (failure.http, failure.grpc) == (504, "DEADLINE_EXCEEDED")
    assert "server.request_timeout_seconds" in str(failure)


class Limits:
    """Replaces a server; keeps the limits of its calls."""

    address = "127.0.0.1:1"
    codec = JsonCodec()

    def __init__(self) -> None:
        self.limits: list[TimeLimit] = []

    def send(self, _operation: Operation, _body: Any, _metadata: Any, limit: TimeLimit) -> bytes:
        self.limits.append(limit)
        return OK

    def read_metadata(self, _metadata: Any, _limit: TimeLimit) -> Any:
        return {}

    def check_ready(self, limit: TimeLimit) -> None:
        """Be ready."""

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize(("seconds", "timeout_seconds"), [(10.0, None), (10.0, 1.0), (1.0, 10.0), (0.0, None)])
def test_a_call_ends_before_the_deadline_of_the_request(
    seconds: float, timeout_seconds: float | None, in_context: Any
) -> None:
    server = Limits()
    component = RemoteComponent("iris", ComponentSpec(ServiceType.MODEL, timeout_seconds=timeout_seconds), server)
    deadline = time.perf_counter() + seconds
    with in_context(deadline=deadline):
        component.call(JsonCodec().decode(Operation.PREDICT, OK), lambda _metrics: [])
    component.close()
    (limit,) = server.limits
    assert deadline - 0.25 <= limit.ends_at <= deadline or timeout_seconds == 1.0
    if seconds:
        assert limit.ends_at < deadline
    assert ("deadline" in limit.text) is (timeout_seconds != 1.0)


def test_nothing_is_sent_after_the_deadline(http_peer: Peer, connect_to: Connect, in_context: Any) -> None:
    peer = http_peer(responding(respond()))
    with in_context(deadline=time.perf_counter() - 1):
        assert failure_of(connect_to, peer).http == 504
    assert peer.posts == []


def test_a_response_that_trickles_in_does_not_extend_the_limit(http_peer: Peer, connect_to: Connect) -> None:
    def script(peer: HttpPeer, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while not peer.release.wait(0.005):
            connection.sendall(b" ")

    assert failure_of(connect_to, http_peer(script), timeout_seconds=0.1).http == 504


def close_after(data: bytes) -> Callable[[HttpPeer, socket.socket], object]:
    def script(peer: HttpPeer, connection: socket.socket) -> None:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_RDWR)
        connection.close()
        peer.closed.set()

    return script


CUT: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "it closed the connection before it sent a response"),
    "half a head": (b"HTTP/1.1 200 OK\r\nConte", "it closed the connection before it sent a response"),
    "half a body": (respond()[:-3], "it closed the connection before the response was complete"),
    "half a chunk": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
        "it closed the connection before the response was complete",
    ),
    "garbage": (b"\x00\x01\x02 what is this\r\n\r\n", "what it sent is no HTTP response"),
    "a long head": (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000, "the head of its response has more than"),
}


@pytest.mark.parametrize("name", CUT)
def test_a_response_that_is_none_is_not_requested_again(http_peer: Peer, connect_to: Connect, name: str) -> None:
    data, reason = CUT[name]
    peer = http_peer(close_after(data))
    failure = failure_of(connect_to, peer)
    assert (failure.http, failure.grpc) == (503, "UNAVAILABLE")
    assert f"no response from 127.0.0.1:{peer.port}: {reason}" in str(failure)
    assert len(peer.posts) == 1


@pytest.mark.parametrize("status", ["100 Continue", "102 Processing", "103 Early Hints"])
def test_the_response_follows_an_interim_one(http_peer: Peer, connect_to: Connect, status: str) -> None:
    def script(_peer: HttpPeer, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(f"HTTP/1.1 {status}\r\nLink: </a>\r\n\r\n".encode())
        connection.sendall(respond())

    remote = connect_to(http_peer(script).url)
    for _ in range(3):
        assert remote.call().message.payload == "fine"


def test_a_pooled_connection_that_the_server_closed(http_peer: Peer, connect_to: Connect) -> None:
    peer = http_peer(close_after(respond()))
    remote = connect_to(peer.url)
    for count in range(1, 5):
        assert remote.call().message.payload == "fine"
        assert peer.closed.wait(WAIT_SECONDS)
        peer.closed.clear()
        assert len(peer.posts) == count


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\n\r\n" + OK,
        b"HTTP/1.0 200 OK\r\n\r\n" + OK,
        respond(headers="Connection: close\r\n"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(OK), OK),
        respond() + b"more than the response",
    ],
)
def test_forms_of_a_response(http_peer: Peer, connect_to: Connect, data: bytes) -> None:
    peer = http_peer(close_after(data))
    remote = connect_to(peer.url)
    for _ in range(2):
        assert remote.call().message.payload == "fine"
        assert peer.closed.wait(WAIT_SECONDS)
        peer.closed.clear()


LARGE = b'{"strData": "%s"}' % (b"x" * 3_000_000)


def test_large_messages(http_peer: Peer, connect_to: Connect) -> None:
    peer = http_peer(responding(respond(LARGE)))
    response = connect_to(peer.url).call(LARGE)
    assert len(response.message.payload) == 3_000_000
    assert peer.posts[0][1] == LARGE


@pytest.mark.parametrize(
    "data",
    [
        respond(LARGE),
        b"HTTP/1.1 200 OK\r\n\r\n" + LARGE,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(LARGE), LARGE),
    ],
)
def test_a_response_that_is_too_large(http_peer: Peer, connect_to: Connect, data: bytes) -> None:
    peer = http_peer(close_after(data))
    failure = failure_of(connect_to, peer, max_bytes=1_000_000)
    assert (failure.http, failure.grpc) == (502, "RESOURCE_EXHAUSTED")
    assert "is larger than server.max_body_bytes, 1000000" in str(failure)


ERRORS: dict[str, tuple[str, bytes, tuple[int, str, str | None, int, str]]] = {
    "Seldon's": (
        "400 Bad Request",
        b'{"status": {"status": 1, "info": "own text", "code": 77, "reason": "OWN"}}',
        (400, "INVALID_ARGUMENT", "OWN", 77, "own text"),
    ),
    "of a class": (
        "500 Internal Server Error",
        b'{"status": {"status": 1, "info": "it failed", "code": -1, "reason": "MICROSERVICE_INTERNAL_ERROR"}}',
        (500, "UNKNOWN", "MICROSERVICE_INTERNAL_ERROR", -1, "it failed"),
    ),
    "an own status": ("418 I'm a Teapot", b'{"error": "tea"}', (418, "FAILED_PRECONDITION", None, -1, "tea")),
    "another format": ("503 Busy", b"<html>busy</html>", (503, "UNAVAILABLE", None, -1, "<html>busy</html>")),
    "no body": (
        "404 Not Found",
        b"",
        (404, "NOT_FOUND", None, -1, "the server responded with HTTP status 404 Not Found"),
    ),
    "a redirection": (
        "302 Found",
        b"elsewhere",
        (502, "UNKNOWN", None, -1, "the server responded with HTTP status 302 Found"),
    ),
    "a long text": (
        "500 Internal Server Error",
        b'{"status": {"info": "' + b"x" * 100_000 + b'"}}',
        (500, "UNKNOWN", None, -1, "x" * 4096),
    ),
    "nested too deeply": (
        "500 Internal Server Error",
        b"[" * 100_000,
        (500, "UNKNOWN", None, -1, "[" * 500),
    ),
    "wrong types": ("400 Bad", b'{"status": {"info": null, "code": "x", "reason": 1}}', (400, "INVALID_ARGUMENT", None, -1, '{"status": {"info": null, "code": "x", "reason": 1}}')),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_errors_of_the_server(http_peer: Peer, connect_to: Connect, name: str) -> None:
    status, body, expected = ERRORS[name]
    failure = failure_of(connect_to, http_peer(responding(respond(body, status))))
    assert (failure.http, failure.grpc, failure.reason, failure.code, str(failure)) == expected


@pytest.mark.parametrize("body", [b"", b"<html>a page</html>", b"[1]", b'"text"'])
def test_a_response_that_is_no_object(http_peer: Peer, connect_to: Connect, body: bytes) -> None:
    peer = http_peer(responding(respond(body)))
    with pytest.raises(ResultError, match=f"the response of 127.0.0.1:{peer.port} is no message: "):
        connect_to(peer.url).call()


@pytest.mark.parametrize("body", [b'{"x": 1}', b'{"data"', b'{"data": {"ndarray": [[1], [1, 2]]}, "meta": 1}'])
def test_a_response_that_is_no_message(http_peer: Peer, connect_to: Connect, body: bytes) -> None:
    peer = http_peer(responding(respond(body)))
    response = connect_to(peer.url).call()
    with pytest.raises(ResultError, match=f"the response of 127.0.0.1:{peer.port} is no message: "):
        response.message  # noqa: B018


def test_a_large_request_that_is_rejected_early(serve_in_thread: Any, make_folder: Any, connect_to: Connect) -> None:
    from seldon_spec.config.model import ServerSpec

    folder = make_folder("class Model: pass")
    with serve_in_thread(folder, "Model", server=ServerSpec(host="127.0.0.1", max_body_bytes=1000)) as running:
        with pytest.raises(RemoteFailed) as caught:
            connect_to(f"http://127.0.0.1:{running.http_port}").call(b'{"strData": "%s"}' % (b"x" * 200_000))
        assert caught.value.http in (413, 503)  # a reset may overtake the response


def test_headers(http_peer: Peer, connect_to: Connect, in_context: Any) -> None:
    peer = http_peer(responding(respond()))
    remote = connect_to(peer.url, token="of-the-component")
    headers = {
        b"traceparent": b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        b"tracestate": b"a=\xff\r\nX: y",  # cannot be sent on
        b"b3": b"0",
        b"authorization": b"Bearer of-the-client",
        b"cookie": b"c=1",
    }
    with in_context("id-7", headers):
        remote.call()
    lines = peer.posts[0][0].splitlines()
    assert f"Host: 127.0.0.1:{peer.port}" in lines
    assert "seldon-puid: id-7" in lines
    assert "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" in lines
    assert "b3: 0" in lines
    assert "authorization: Bearer of-the-component" in lines
    assert not any(word in line for line in lines for word in ("tracestate", "of-the-client", "cookie", "X: y"))


def test_headers_that_a_graph_in_the_server_splits_by(http_peer: Peer, connect_to: Connect, in_context: Any) -> None:
    peer = http_peer(responding(respond()))
    names = ["X-User", "Content-Length", "Host", "Transfer-Encoding", "Authorization", "Seldon-Puid"]
    steps = tuple(SplitStep(f"split-{name}", (1.0,), (CallStep("a"),), name) for name in names)
    graph = Spec(None, Path(), "inner", graph=ChainStep(steps))
    remote = connect_to(peer.url, token="of-the-component", spec=graph)
    with in_context("id-7", {name.lower().encode(): b"1" for name in names}):
        remote.call()
        remote.call()
    lines = peer.posts[1][0].lower().splitlines()
    assert "x-user: 1" in lines
    assert [line for line in lines if line.endswith(": 1")] == ["x-user: 1"]


def test_no_headers_without_a_request(http_peer: Peer, connect_to: Connect) -> None:
    peer = http_peer(responding(respond()))
    connect_to(peer.url).call()
    assert [line.split(":")[0] for line in peer.posts[0][0].splitlines()[1:]] == [
        "Host",
        "Content-Type",
        "Content-Length",
    ]


def test_closing_ends_a_request_in_flight(http_peer: Peer, connect_to: Connect) -> None:
    peer = http_peer(lambda peer, _: peer.release.wait(WAIT_SECONDS))
    remote = connect_to(peer.url)
    failures = close_during_call(remote, peer)
    assert [str(error) for error in failures] == [f"no response from 127.0.0.1:{peer.port}: the component was closed"]
    assert not [each for each in threading.enumerate() if each.name == "seldon-spec-remote-iris"]
    assert not remote.component.is_ready
    with pytest.raises(RemoteFailed, match="the component was closed"):
        remote.call()


def test_requests_of_tensors_name_no_operation(http_peer: Peer, connect_to: Connect) -> None:
    peer = http_peer(responding(respond()))
    body = b'{"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [1.5]}]}'
    codec = V2JsonCodec(ModelInfo("m"))
    connect_to(peer.url, service_type=ServiceType.TRANSFORMER).call(body, codec=codec)
    assert peer.posts[0][0].startswith("POST /transform-input ")
    for service_type in (ServiceType.ROUTER, ServiceType.COMBINER):
        with pytest.raises(InferUnsupported):
            connect_to(peer.url, service_type=service_type).call(body, codec=codec)


def test_health_and_metadata(http_peer: Peer, connect_to: Connect) -> None:
    pages = {"/metadata": respond(b'{"name": "m", "versions": ["1"]}'), "/health/status": respond()}
    remote = connect_to(http_peer(responding(respond()), pages).url)
    assert remote.call(b"", Operation.METADATA).message.payload == {"name": "m", "versions": ["1"]}
    assert remote.call(b"", Operation.HEALTH).message.payload == "fine"
