"""Calls over gRPC of servers that refuse, hang, fail, or respond with what they must not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from seldon_spec.config.model import ServiceType
from seldon_spec.errors import RemoteFailed, ResultError
from seldon_spec.inference.message import Operation
from seldon_spec.protocols.seldon_v1.proto import Feedback, SeldonMessage, SeldonMessageList
from seldon_spec.protocols.seldon_v1.proto_codec import ProtoCodec
from tests.remote.peers import WAIT_SECONDS, Connect, GrpcPeer, HttpPeer, close_during_call

Peer = Callable[..., GrpcPeer]

OK: bytes = SeldonMessage(strData="fine").SerializeToString()


def fine(_message: bytes, _context: grpc.ServicerContext) -> bytes:
    return OK


def aborting(code: str, details: str) -> Callable[[bytes, grpc.ServicerContext], bytes]:
    def handle(_message: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(getattr(grpc.StatusCode, code), details)
        raise AssertionError

    return handle


def failure_of(connect_to: Connect, url: str, **more: Any) -> RemoteFailed:
    with pytest.raises(RemoteFailed) as caught:
        connect_to(url, **more).call()
    return caught.value


METHODS = {
    (ServiceType.MODEL, Operation.PREDICT): "Model/Predict",
    (ServiceType.TRANSFORMER, Operation.TRANSFORM_INPUT): "Transformer/TransformInput",
    (ServiceType.TRANSFORMER, Operation.TRANSFORM_OUTPUT): "OutputTransformer/TransformOutput",
    (ServiceType.ROUTER, Operation.ROUTE): "Router/Route",
    (ServiceType.COMBINER, Operation.AGGREGATE): "Combiner/Aggregate",
    (ServiceType.MODEL, Operation.FEEDBACK): "Model/SendFeedback",
    (ServiceType.ROUTER, Operation.FEEDBACK): "Router/SendFeedback",
}


@pytest.mark.parametrize(("key", "method"), METHODS.items(), ids=lambda value: str(value))
def test_every_operation_has_its_method(
    grpc_peer: Peer, connect_to: Connect, key: tuple[ServiceType, Operation], method: str
) -> None:
    peer = grpc_peer(fine)
    service_type, operation = key
    message = SeldonMessage(strData="x")
    sent = {
        Operation.AGGREGATE: SeldonMessageList(seldonMessages=[message, message]),
        Operation.FEEDBACK: Feedback(request=message, reward=1.5),
    }.get(operation, message)
    remote = connect_to(peer.url, service_type=service_type)
    assert remote.call(sent.SerializeToString(), operation, ProtoCodec()).message.payload == "fine"
    assert peer.calls[0][0] == f"/seldon.protos.{method}"
    assert type(sent).FromString(peer.calls[0][2]) == sent


def test_a_server_that_refuses(reserve_ports: Any, connect_to: Connect) -> None:
    with reserve_ports(1) as (port,):
        failure = failure_of(connect_to, f"grpc://127.0.0.1:{port}")
    assert (failure.http, failure.grpc, failure.reason) == (503, "UNAVAILABLE", "MICROSERVICE_UNAVAILABLE")
    assert str(failure).startswith(f"no response from 127.0.0.1:{port}: ")
    assert "Connection refused" in str(failure)


def test_a_server_that_is_no_grpc(http_peer: Callable[..., HttpPeer], connect_to: Connect) -> None:
    peer = http_peer(lambda _peer, connection: connection.close())
    failure = failure_of(connect_to, f"grpc://127.0.0.1:{peer.port}", timeout_seconds=WAIT_SECONDS)
    assert failure.grpc in ("UNAVAILABLE", "INTERNAL")


def test_a_server_that_was_restarted(reserve_ports: Any, grpc_peer: Peer, connect_to: Connect) -> None:
    with reserve_ports(1) as (port,):
        remote = connect_to(f"grpc://127.0.0.1:{port}")
        with pytest.raises(RemoteFailed):
            remote.call()
        first = grpc_peer(fine, port)
        assert remote.call().message.payload == "fine"
        first.stop()
        with pytest.raises(RemoteFailed):
            remote.call()
        second = grpc_peer(fine, port)
        assert remote.call().message.payload == "fine"
        assert len(first.calls) == len(second.calls) == 1


def test_the_limit_of_the_component(grpc_peer: Peer, connect_to: Connect) -> None:
    release = threading.Event()
    peer = grpc_peer(lambda _message, _context: OK if release.wait(WAIT_SECONDS) else b"")
    try:
        failure = failure_of(connect_to, peer.url, timeout_seconds=1)
        assert (failure.http, failure.grpc, failure.reason) == (504, "DEADLINE_EXCEEDED", "MICROSERVICE_TIMEOUT")
        assert "within 1 seconds (components.iris.timeout_seconds)" in str(failure)
        assert peer.received.wait(WAIT_SECONDS)
        assert len(peer.calls) == 1
    finally:
        release.set()


def test_the_server_gets_the_deadline_of_the_request(grpc_peer: Peer, connect_to: Connect, in_context: Any) -> None:
    seconds: list[float] = []

    def handle(_message: bytes, context: grpc.ServicerContext) -> bytes:
        remaining = context.time_remaining()
        seconds.append(remaining if remaining is not None else -1)
        return OK

    remote = connect_to(grpc_peer(handle).url, timeout_seconds=1000)
    remote.call()
    with in_context(deadline=time.perf_counter() + 100):
        remote.call()
    assert 100 < seconds[0] <= 1011  # gRPC rounds up what it sends, by less than one percent
    assert 0 < seconds[1] <= 102


def test_nothing_is_sent_after_the_deadline(grpc_peer: Peer, connect_to: Connect, in_context: Any) -> None:
    peer = grpc_peer(fine)
    with in_context(deadline=time.perf_counter() - 1):
        assert failure_of(connect_to, peer.url).http == 504
    assert peer.calls == []


ERRORS = {
    ("INVALID_ARGUMENT", "wrong"): (400, "wrong"),
    ("UNKNOWN", "Exception calling application: it failed"): (500, "it failed"),
    ("INTERNAL", "broken"): (500, "broken"),
    ("UNIMPLEMENTED", "not here"): (501, "not here"),
    ("UNAUTHENTICATED", "no token"): (401, "no token"),
    ("RESOURCE_EXHAUSTED", "queue full"): (503, "queue full"),
    ("UNAVAILABLE", "the server is stopping"): (503, "the server is stopping"),
    ("DEADLINE_EXCEEDED", "too slow"): (504, "too slow"),
    ("NOT_FOUND", ""): (404, "the server responded with gRPC status NOT_FOUND"),
    ("DATA_LOSS", "x"): (500, "x"),
}


@pytest.mark.parametrize("sent", ERRORS)
def test_errors_of_the_server(grpc_peer: Peer, connect_to: Connect, sent: tuple[str, str]) -> None:
    peer = grpc_peer(aborting(*sent))
    failure = failure_of(connect_to, peer.url, timeout_seconds=60)
    assert (failure.http, str(failure)) == ERRORS[sent]
    assert (failure.grpc, failure.reason, failure.code) == (sent[0], None, -1)
    assert len(peer.calls) == 1


def test_a_response_that_is_too_large(grpc_peer: Peer, connect_to: Connect) -> None:
    wire: bytes = SeldonMessage(strData="x" * 100_000).SerializeToString()
    peer = grpc_peer(lambda _message, _context: wire)
    assert connect_to(peer.url).call().message.payload == "x" * 100_000
    failure = failure_of(connect_to, peer.url, max_bytes=50_000)
    assert (failure.http, failure.grpc) == (502, "RESOURCE_EXHAUSTED")
    assert "is larger than server.max_body_bytes, 50000" in str(failure)


def test_a_response_above_the_default_limit_of_grpc(grpc_peer: Peer, connect_to: Connect) -> None:
    wire: bytes = SeldonMessage(strData="x" * 6_000_000).SerializeToString()
    peer = grpc_peer(lambda _message, _context: wire)
    assert len(connect_to(peer.url).call().message.payload) == 6_000_000


@pytest.mark.parametrize("wire", [b"", b"\xff\xff\xff", SeldonMessage().SerializeToString()])
def test_a_response_that_is_no_message(grpc_peer: Peer, connect_to: Connect, wire: bytes) -> None:
    peer = grpc_peer(lambda _message, _context: wire)
    response = connect_to(peer.url).call()
    with pytest.raises(ResultError, match=f"the response of 127.0.0.1:{peer.port} is no message: "):
        response.message  # noqa: B018


def test_metadata_of_a_call(grpc_peer: Peer, connect_to: Connect, in_context: Any) -> None:
    peer = grpc_peer(fine)
    remote = connect_to(peer.url, token="of-the-component")
    headers = {b"b3": b"0", b"tracestate": "ä".encode(), b"authorization": b"Bearer of-the-client"}
    with in_context("id-7", headers):
        remote.call()
    metadata = peer.calls[0][1]
    assert (metadata["seldon-puid"], metadata["b3"]) == ("id-7", "0")
    assert metadata["authorization"] == "Bearer of-the-component"
    assert "tracestate" not in metadata


def test_closing_ends_a_request_in_flight(grpc_peer: Peer, connect_to: Connect) -> None:
    release = threading.Event()
    peer = grpc_peer(lambda _message, _context: OK if release.wait(WAIT_SECONDS) else b"")
    remote = connect_to(peer.url)
    failures = close_during_call(remote, peer)
    release.set()
    assert [str(error) for error in failures] == [f"no response from 127.0.0.1:{peer.port}: the component was closed"]
    with pytest.raises(RemoteFailed, match="the component was closed"):
        remote.call()


def test_health_is_that_of_the_server(grpc_peer: Peer, connect_to: Connect) -> None:
    assert connect_to(grpc_peer(fine).url).call(b"", Operation.HEALTH).message.payload == "healthy"
