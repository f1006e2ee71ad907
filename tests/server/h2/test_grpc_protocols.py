"""Several protocols on one gRPC port: their methods of each kind, health and reflection, on both engines."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from seldon_spec.errors import PayloadError
from seldon_spec.inference.message import Operation
from seldon_spec.protocols.grpc_protocol import DirectMethod, GrpcProtocol, ModelMethod, StreamMethod
from seldon_spec.protocols.seldon_v1.grpc_methods import SELDON_V1
from seldon_spec.protocols.seldon_v1.proto import SeldonMessage
from seldon_spec.transport.http2.receive_windows import FIRST_WINDOW

SERVICE = "other.OtherService"
WAIT_SECONDS = 20


def respond_ready(request: bytes) -> bytes:
    if request == b"bad":
        raise PayloadError("a bad request")
    return b"ready"


def describe(error: BaseException) -> tuple[str, str]:
    return "DATA_LOSS", f"other: {type(error).__name__}"


def make_pool() -> descriptor_pool.DescriptorPool:
    file = descriptor_pb2.FileDescriptorProto(name="other.proto", package="other", syntax="proto3")
    file.message_type.add(name="Nothing")
    service = file.service.add(name="OtherService")
    service.method.add(name="Ready", input_type=".other.Nothing", output_type=".other.Nothing")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool


OTHER = GrpcProtocol(
    services={
        SERVICE: {
            "Ready": DirectMethod(respond_ready),
            "Infer": ModelMethod(Operation.PREDICT),
            "Stream": StreamMethod(Operation.PREDICT),
            "StreamWithErrors": StreamMethod(
                Operation.PREDICT,
                lambda body: b"ok" + body,
                lambda _error, identity: b"failed: " + identity,
                lambda request: bytes(request)[:2],
            ),
        }
    },
    pool=make_pool(),
    make_codec=SELDON_V1.make_codec,
    describe=describe,
)


@pytest.fixture(scope="module", params=["native", "uvicorn"])
def served(request: pytest.FixtureRequest, serve_grpc: Any) -> Iterator[Any]:
    with serve_grpc((SELDON_V1, OTHER), request.param) as running:
        yield running


@pytest.fixture
def channel(served: Any) -> Iterator[grpc.Channel]:
    with served.channel() as channel:
        yield channel


def encode(text: str) -> bytes:
    encoded: bytes = SeldonMessage(strData=text).SerializeToString()
    return encoded


def decode(body: bytes) -> str:
    text: str = SeldonMessage.FromString(body).strData
    return text


def unary(channel: grpc.Channel, path: str, request: bytes) -> bytes:
    response: bytes = channel.unary_unary(path, None, None)(request, timeout=WAIT_SECONDS, wait_for_ready=True)
    return response


def stream(channel: grpc.Channel, method: str, requests: list[bytes]) -> Any:
    call = channel.stream_stream(f"/{SERVICE}/{method}", None, None)
    return call(iter(requests), timeout=WAIT_SECONDS, wait_for_ready=True)


def test_methods_of_both_protocols_call_the_model(channel: grpc.Channel) -> None:
    for path in ("/seldon.protos.Model/Predict", f"/{SERVICE}/Infer"):
        assert decode(unary(channel, path, encode("x"))) == "x"


def test_a_protocol_describes_the_errors_of_its_methods(channel: grpc.Channel) -> None:
    for path, code in (("/seldon.protos.Model/Predict", "UNKNOWN"), (f"/{SERVICE}/Infer", "DATA_LOSS")):
        with pytest.raises(grpc.RpcError) as caught:
            unary(channel, path, encode("raise now"))
        assert caught.value.code() is grpc.StatusCode[code]
    assert caught.value.details() == "other: ComponentFailed"


def test_a_method_that_does_not_need_the_model(channel: grpc.Channel) -> None:
    assert unary(channel, f"/{SERVICE}/Ready", b"") == b"ready"
    with pytest.raises(grpc.RpcError) as caught:
        unary(channel, f"/{SERVICE}/Ready", b"bad")
    assert caught.value.details() == "other: PayloadError"


TEXTS: dict[str, list[str]] = {
    "none": [],
    "one": ["a"],
    "many": [str(number) for number in range(100)],
    "long": [str(number) * 300_000 for number in range(10)],
}


@pytest.mark.parametrize("texts", TEXTS.values(), ids=TEXTS)
def test_messages_of_a_stream_get_their_responses_in_order(channel: grpc.Channel, texts: list[str]) -> None:
    assert [decode(body) for body in stream(channel, "Stream", [encode(text) for text in texts])] == texts


def test_an_error_ends_a_stream(channel: grpc.Channel) -> None:
    responses = stream(channel, "Stream", [encode("a"), encode("raise now"), encode("b")])
    assert decode(next(responses)) == "a"
    with pytest.raises(grpc.RpcError) as caught:
        next(responses)
    assert caught.value.code() is grpc.StatusCode.DATA_LOSS


def test_a_stream_continues_after_an_error_that_is_a_message(channel: grpc.Channel) -> None:
    requests = [encode("a"), encode("raise now"), encode("b")]
    first, second, third = stream(channel, "StreamWithErrors", requests)
    assert [decode(body.removeprefix(b"ok")) for body in (first, third)] == ["a", "b"]
    assert second == b"failed: " + requests[1][:2]


def test_health_knows_the_services_of_all_protocols(channel: grpc.Channel) -> None:
    stub = health_pb2_grpc.HealthStub(channel)
    for service in ("", *SELDON_V1.services, SERVICE):
        assert stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=WAIT_SECONDS).status == 1


def test_reflection_describes_the_services_of_all_protocols(channel: grpc.Channel) -> None:
    database = ProtoReflectionDescriptorDatabase(channel)
    assert {SERVICE, "seldon.protos.Model", "grpc.health.v1.Health"} <= set(database.get_services())
    assert database.FindFileContainingSymbol(SERVICE).name == "other.proto"
    assert database.FindFileContainingSymbol("seldon.protos.Model").package == "seldon.protos"


@pytest.mark.parametrize("size", [1_000_000, 1_950_000], ids=["collected", "mapped"])
def test_what_a_stream_has_received_is_released_message_by_message(serve_grpc: Any, say: Any, size: int) -> None:
    """Together the messages are longer than the limit of what may be buffered, and than the windows."""
    text = "x" * size
    with serve_grpc((OTHER,), max_buffered_bytes=8 << 20) as served, served.raw() as client:
        client.send(say.frame(8, 0, 0, struct.pack(">I", 1 << 30)))
        client.send(say.headers(1, _path=f"/{SERVICE}/Stream"))
        for _ in range(40):
            body = say.message(text)
            sent = received = 0
            window = FIRST_WINDOW  # as large again as soon as the last message is processed
            while sent < len(body):
                piece = body[sent : sent + min(window, 16384)]
                if piece:
                    client.send(say.body(piece, 1, ends=False))
                    sent, window = sent + len(piece), window - len(piece)
                else:
                    _, payload = client.wait_for(8, 1)
                    window += struct.unpack(">I", payload)[0]
            client.send(say.frame(8, 0, 1, struct.pack(">I", 2_000_000)))
            while received < len(body):
                _, payload = client.wait_for(0, 1)
                received += len(payload)
        assert served.on_loop(lambda: served.port.capacity.buffered_bytes) < 4 << 20
