"""gRPC as its clients see it: every method, many calls at once, deadlines, compression, health, reflection, the end."""

from __future__ import annotations

import gzip
import random
import shutil
import struct
import subprocess
import sys
import threading
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from seldon_spec.config.model import AuthSpec, TlsSpec
from seldon_spec.errors import TooLarge
from seldon_spec.protocols.seldon_v1.grpc_methods import METHODS
from seldon_spec.protocols.seldon_v1.proto import Feedback, SeldonMessage, SeldonMessageList, SeldonModelMetadata
from seldon_spec.transport.grpc.headers import STATUS
from seldon_spec.transport.grpc.messages import decompress
from seldon_spec.transport.http2.fields import write_fields

PREDICT = "/seldon.protos.Model/Predict"
MIB = 1 << 20

TEXT = SeldonMessage(strData="x")
TENSOR = SeldonMessage()
TENSOR.data.tensor.shape.extend([1, 2])
TENSOR.data.tensor.values.extend([1.0, 2.0])

CALLS = [(service, name, operation) for service, methods in METHODS.items() for name, operation in methods.items()]


def text(value: str) -> bytes:
    wire: bytes = SeldonMessage(strData=value).SerializeToString()
    return wire


@pytest.mark.parametrize(
    ("service", "name", "operation"), CALLS, ids=[f"{service}.{name}" for service, name, _ in CALLS]
)
def test_every_method_is_answered(shared: Any, service: str, name: str, operation: Any) -> None:
    requests = {
        "Aggregate": SeldonMessageList(seldonMessages=[TENSOR, TENSOR]),
        "SendFeedback": Feedback(request=TENSOR, reward=0.5),
    }
    wire = requests.get(name, TENSOR).SerializeToString()
    with shared.channel() as channel:
        call = channel.unary_unary(f"/seldon.protos.{service}/{name}", None, None)
        if operation is None:
            with pytest.raises(grpc.RpcError) as caught:
                call(wire, timeout=20)
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
            assert "GraphMetadata" in str(caught.value.details())
            return
        answer = (SeldonModelMetadata if "Metadata" in name else SeldonMessage).FromString(call(wire, timeout=20))
    if name in ("Predict", "TransformInput", "TransformOutput", "Aggregate"):
        assert list(answer.data.tensor.values) == [1.0, 2.0]
    elif name == "Route":
        assert list(answer.data.tensor.values) == [1.0]


def test_many_calls_at_once_each_get_their_own_answer(shared: Any) -> None:
    rng = np.random.default_rng(7)
    channels = [shared.channel(("grpc.use_local_subchannel_pool", 1)) for _ in range(4)]
    calls = []
    for index in range(200):
        rows, columns = (int(size) for size in rng.integers(1, 60, 2))
        wire = SeldonMessage()
        wire.data.tensor.shape.extend([rows, columns])
        wire.data.tensor.values.extend(rng.standard_normal(rows * columns))
        wire.meta.puid = f"puid-{index}"
        metadata = [("x-own", "v" * int(rng.integers(0, 300))), ("x-index", str(index))]
        timeout = float(rng.uniform(15, 20))
        call = channels[index % 4].unary_unary(PREDICT, None, None)
        calls.append((wire, call.future(wire.SerializeToString(), timeout=timeout, metadata=metadata)))
    for wire, future in calls:
        answer = SeldonMessage.FromString(future.result())
        assert (answer.meta.puid, answer.data.tensor) == (wire.meta.puid, wire.data.tensor)
    for channel in channels:
        channel.close()


def test_a_call_that_is_too_late_is_answered_so_and_not_begun(served: Any, say: Any) -> None:
    with served.raw() as client, ThreadPoolExecutor(1) as pool:
        busy = pool.submit(_predict, served, "wait")
        assert served.model.entered.wait(20)
        client.send(say.request("late", grpc_timeout="50m"))
        fields, _ = client.answer()
        assert fields[b"grpc-status"] == b"4"
        served.model.release.set()
        assert busy.result() == "wait"
        assert client.predict("next", 3) == "next"
    assert served.model.seen == ["wait", "next"]


def _predict(served: Any, value: str) -> Any:
    with served.channel() as channel:
        return SeldonMessage.FromString(channel.unary_unary(PREDICT, None, None)(text(value), timeout=20)).strData


def test_a_deadline_that_passes_in_the_midst_of_a_request(served: Any, say: Any) -> None:
    with served.raw() as client:
        client.send(say.headers(grpc_timeout="50m") + say.body(say.message("half")[:4], ends=False))
        fields, _ = client.answer()
        assert fields[b"grpc-status"] == b"4"
        assert client.predict("next", 3) == "next"


@pytest.mark.parametrize("way", ["reset", "connection lost"])
def test_a_call_that_nobody_waits_for_is_not_begun(served: Any, say: Any, way: str) -> None:
    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(_predict, served, "wait")
        assert served.model.entered.wait(20)
        with served.raw() as client:
            client.send(say.request("unwanted"))
            if way == "reset":
                client.send(say.frame(3, 0, 1, struct.pack(">I", 8)))
            client.send(say.frame(6, 0, 0, b"all seen"))
            client.wait_for(6)
        with served.raw() as other:  # its request is read after the end of the first connection
            other.send(say.request("next"))
            other.send(say.frame(6, 0, 0, b"all seen"))
            other.wait_for(6)
            served.model.release.set()
            assert other.answer()[0][b"grpc-status"] == b"0"
        assert busy.result() == "wait"
    assert served.model.seen == ["wait", "next"]


def test_a_cancelled_call_s_message_is_let_go_of_while_the_model_is_busy(served: Any, say: Any) -> None:
    lane, calls = served.port._bridge, []
    submit = lane.submit

    def note(*args: Any) -> Any:
        calls.append(submit(*args))
        return calls[-1]

    lane.submit = note
    with served.raw() as client:
        client.send(say.request("wait"))
        assert served.model.entered.wait(20)
        client.send(say.request("unwanted", 3) + say.frame(3, 0, 3, struct.pack(">I", 8)))
        client.send(say.frame(6, 0, 0, b"all seen"))
        client.wait_for(6)
        assert calls[1].wire is None
        served.model.release.set()
        assert client.answer()[0][b"grpc-status"] == b"0"
    assert served.model.seen == ["wait"]


def test_a_client_s_cancel(served: Any) -> None:
    with served.channel() as channel:
        call = channel.unary_unary(PREDICT, None, None)
        busy = call.future(text("wait"), timeout=20)
        assert served.model.entered.wait(20)
        busy.cancel()
        served.model.release.set()
        assert SeldonMessage.FromString(call(text("next"), timeout=20)).strData == "next"


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compressed_requests(shared: Any, compression: Any) -> None:
    with shared.channel() as channel:
        call = channel.unary_unary(PREDICT, None, None)
        value = "compress me " * 1000
        assert SeldonMessage.FromString(call(text(value), timeout=20, compression=compression)).strData == value
        check = health_pb2_grpc.HealthStub(channel).Check
        request = health_pb2.HealthCheckRequest(service="seldon.protos.OutputTransformer")
        assert check(request, timeout=20, compression=compression).status == health_pb2.HealthCheckResponse.SERVING


BOMB = gzip.compress(bytes(5 * MIB))
HALF = gzip.compress(text("x" * 1000))[:-10]


@pytest.mark.parametrize(
    ("encoding", "packed", "status"),
    [
        ("gzip", BOMB, "RESOURCE_EXHAUSTED"),
        ("deflate", zlib.compress(bytes(5 * MIB)), "RESOURCE_EXHAUSTED"),
        ("gzip", HALF, "INVALID_ARGUMENT"),
        ("gzip", b"no gzip", "INVALID_ARGUMENT"),
        ("identity", b"", "INTERNAL"),
        ("snappy", b"", "UNIMPLEMENTED"),
    ],
    ids=["bomb", "deflated bomb", "half", "nonsense", "without encoding", "unknown encoding"],
)
def test_what_cannot_be_decompressed(shared: Any, say: Any, encoding: str, packed: bytes, status: str) -> None:
    with shared.raw() as client:
        data = struct.pack(">BI", 1, len(packed)) + packed
        client.send(say.headers(grpc_encoding=encoding) + say.body(data))
        fields, _ = client.answer()
        assert fields[b"grpc-status"] == b"%d" % STATUS[status]
        if status == "UNIMPLEMENTED":
            assert fields[b"grpc-accept-encoding"] == b"identity,gzip,deflate"


def test_of_a_bomb_no_more_than_a_message_is_unpacked() -> None:
    bomb = gzip.compress(bytes(64 * MIB), 1)
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            decompress("gzip", bomb, MIB)
        assert tracemalloc.get_traced_memory()[1] < 4 * MIB
    finally:
        tracemalloc.stop()


WRONG: dict[str, tuple[dict[str, Any], list[bytes], dict[bytes, bytes]]] = {
    "another path": ({"_path": "/a/b"}, [], {b"grpc-status": b"12"}),
    "another content type": ({"content_type": "application/json"}, [], {b":status": b"415"}),
    "no content type": ({"content_type": None}, [], {b":status": b"415"}),
    "gRPC-Web": ({"content_type": "application/grpc-web"}, [], {b":status": b"415"}),
    "another method": ({"_method": "GET"}, [], {b":status": b"405"}),
    "no method": ({"_method": None}, [], {b"reset": b"1"}),
    "no path": ({"_path": None}, [], {b"reset": b"1"}),
    "a timeout that is none": ({"grpc_timeout": "soon"}, [], {b"grpc-status": b"3"}),
    "metadata that are too long": ({"x_long": "x" * 17000}, [], {b"grpc-status": b"8"}),
    "no message": ({}, [b""], {b"grpc-status": b"12"}),
    "two messages": ({}, [b"\0\0\0\0\0", b"\0\0\0\0\0"], {b"grpc-status": b"12"}),
    "two messages in a frame": ({}, [b"\0\0\0\0\0\0\0\0\0\0"], {b"grpc-status": b"12"}),
    "half a prefix": ({}, [b"\0\0\0"], {b"grpc-status": b"13"}),
    "half a message": ({}, [b"\0\0\0\0\5ab"], {b"grpc-status": b"13"}),
    "a flag that is unknown": ({}, [b"\2\0\0\0\0"], {b"grpc-status": b"13"}),
    "a message that is too long": ({}, [b"\0\xff\xff\xff\xff"], {b"grpc-status": b"8"}),
    "no protobuf": ({}, [b"\0\0\0\0\4\xff\xff\xff\xff"], {b"grpc-status": b"3"}),
}


@pytest.mark.parametrize(("changes", "pieces", "expected"), WRONG.values(), ids=WRONG)
def test_what_is_no_call(
    shared: Any, say: Any, changes: dict[str, Any], pieces: list[bytes], expected: dict[bytes, bytes]
) -> None:
    with shared.raw() as client:
        client.send(say.headers(**changes))
        for index, piece in enumerate(pieces):
            client.send(say.body(piece, ends=index == len(pieces) - 1))
        fields, _ = client.answer()
        assert fields.items() >= expected.items()
        client.send(say.frame(3, 0, 1, struct.pack(">I", 8)))
        assert client.predict("next", 3) == "next"


def test_other_spellings_of_a_call_that_are_right(shared: Any, say: Any) -> None:
    changes: list[dict[str, Any]] = [
        {"te": None},
        {"_authority": None},
        {"content_type": "application/grpc+proto"},
        {"content_type": "Application/gRPC; x=y"},
        {"grpc_timeout": "99999999H"},
        {"user_agent": "one's own"},
    ]
    with shared.raw() as client:
        for index, change in enumerate(changes):
            client.send(say.request(f"as {index}", 2 * index + 1, **change))
            fields, body = client.answer(2 * index + 1)
            assert (fields[b":status"], fields[b"grpc-status"]) == (b"200", b"0")
            assert SeldonMessage.FromString(body[5:]).strData == f"as {index}"


def test_pieces_of_a_message_in_any_frames(shared: Any, say: Any) -> None:
    data = say.message("in pieces " * 100)
    with shared.raw() as client:
        client.send(say.headers())
        for at in range(0, len(data), 3):
            client.send(say.body(data[at : at + 3], ends=False))
        client.send(say.frame(1, 5, 1, write_fields([(b"x", b"trailers")])))
        fields, body = client.answer()
        assert (fields[b"grpc-status"], body) == (b"0", body)
        assert SeldonMessage.FromString(body[5:]).strData == "in pieces " * 100


def test_errors_of_the_class_and_their_text(shared: Any) -> None:
    with shared.channel() as channel:
        call = channel.unary_unary(PREDICT, None, None)
        for said in ("plain", "100 % Zürich — 東京\n", "long 東" * 2000):
            with pytest.raises(grpc.RpcError) as caught:
                call(text(f"raise {said}"), timeout=20)
            assert caught.value.code() is grpc.StatusCode.UNKNOWN
            assert said[:200] in str(caught.value.details())


def test_the_longest_message_and_one_byte_more(serve_grpc: Any) -> None:
    with serve_grpc(max_message_bytes=MIB) as served, served.channel() as channel:
        call = channel.unary_unary(PREDICT, None, None)
        longest = "x" * (MIB - len(text("x" * MIB)) + MIB)
        assert len(text(longest)) == MIB
        assert SeldonMessage.FromString(call(text(longest), timeout=20)).strData == longest
        with pytest.raises(grpc.RpcError) as caught:
            call(text(longest + "x"), timeout=20)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert SeldonMessage.FromString(call(text("next"), timeout=20)).strData == "next"


def test_long_messages_at_once_over_one_connection_all_come_to_their_end(served: Any) -> None:
    """Together they are longer than what a connection may have under way."""
    values = [str(index) * (4 * MIB - 100) for index in range(8)] * 4
    with served.channel() as channel:
        call = channel.unary_unary(PREDICT, None, None)
        futures = [call.future(text(value), timeout=60) for value in values]
        for value, future in zip(values, futures, strict=True):
            assert SeldonMessage.FromString(future.result()).strData == value


def test_a_message_that_is_longer_than_by_default(serve_grpc: Any) -> None:
    with serve_grpc(max_message_bytes=16 * MIB) as served, served.channel() as channel:
        value = random.Random(1).randbytes(10 * MIB)
        wire = SeldonMessage(binData=value).SerializeToString()
        answer = channel.unary_unary(PREDICT, None, None)(wire, timeout=60)
        assert SeldonMessage.FromString(answer).binData == value


def test_health_is_checked_and_watched(served: Any) -> None:
    response = health_pb2.HealthCheckResponse
    with served.channel() as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for name in ("", "seldon.protos.Model", "seldon.protos.Seldon"):
            assert stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=20).status == response.SERVING
        with pytest.raises(grpc.RpcError) as caught:
            stub.Check(health_pb2.HealthCheckRequest(service="other"), timeout=20)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        unknown = stub.Watch(health_pb2.HealthCheckRequest(service="other"), timeout=60)
        assert next(unknown).status == response.SERVICE_UNKNOWN
        watch = stub.Watch(health_pb2.HealthCheckRequest(service="seldon.protos.Model"), timeout=60)
        assert next(watch).status == response.SERVING
        served.on_loop(served.port.set_not_serving)
        assert next(watch).status == response.NOT_SERVING
        assert stub.Check(health_pb2.HealthCheckRequest(), timeout=20).status == response.NOT_SERVING
        served.on_loop(served.port.set_serving)
        assert next(watch).status == response.SERVING
        unknown.cancel()
        watch.cancel()


def test_reflection_describes_every_service(shared: Any) -> None:
    with shared.channel() as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        services = set(database.get_services())
        assert {"grpc.health.v1.Health", *(f"seldon.protos.{name}" for name in METHODS)} <= services
        for service in services:
            assert database.FindFileContainingSymbol(service).service
        with pytest.raises(KeyError):
            database.FindFileContainingSymbol("not.There")


def test_many_questions_on_one_reflection_stream(shared: Any) -> None:
    from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

    question = reflection_pb2.ServerReflectionRequest(file_containing_symbol="seldon.protos.SeldonMessage")
    with shared.channel() as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        answers = list(stub.ServerReflectionInfo(iter([question] * 300), timeout=60))
    assert len(answers) == 300
    assert all(answer.HasField("file_descriptor_response") for answer in answers)


def test_only_who_has_a_token_is_answered(serve_grpc: Any) -> None:
    with serve_grpc(auth=AuthSpec(("secret",))) as served, served.channel() as channel:
        call = channel.unary_unary(PREDICT, None, None)
        for metadata in ([], [("authorization", "Bearer other")]):
            with pytest.raises(grpc.RpcError) as caught:
                call(text("x"), timeout=20, metadata=metadata)
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        call(text("x"), timeout=20, metadata=[("authorization", "Bearer secret")])
        health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=20)


def test_over_tls(serve_grpc: Any) -> None:
    with serve_grpc(tls=TlsSpec("server.pem", "server-key.pem")) as served:
        folder = Path(__file__).parents[2] / "tls"
        credentials = grpc.ssl_channel_credentials((folder / "ca.pem").read_bytes())
        with grpc.secure_channel(f"localhost:{served.number}", credentials) as channel:
            call = channel.unary_unary(PREDICT, None, None)
            for value in ("x", "y" * MIB):
                assert SeldonMessage.FromString(call(text(value), timeout=20)).strData == value
        with served.raw() as plain:
            assert plain.is_closed()


def test_draining_answers_what_is_under_way_and_takes_nothing_more(served: Any) -> None:
    with served.channel() as channel, served.channel(("grpc.use_local_subchannel_pool", 1)) as watching:
        call = channel.unary_unary(PREDICT, None, None)
        watch = health_pb2_grpc.HealthStub(watching).Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        busy = call.future(text("wait"), timeout=20)
        assert served.model.entered.wait(20)
        has_drained = threading.Event()

        async def drain() -> None:
            await served.port.drain()
            has_drained.set()

        with ThreadPoolExecutor(1) as pool:
            draining = pool.submit(served.on_loop, drain)
            assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
            with pytest.raises(grpc.RpcError) as caught:
                next(watch)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            with served.channel(("grpc.use_local_subchannel_pool", 1)) as late, pytest.raises(grpc.RpcError) as refused:
                late.unary_unary(PREDICT, None, None)(text("late"), timeout=20)
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
            assert not has_drained.is_set()
            served.model.release.set()
            assert SeldonMessage.FromString(busy.result()).strData == "wait"
            draining.result()
    assert served.model.seen == ["wait"]


def test_calls_on_their_way_when_draining_begins_are_answered(served: Any, say: Any) -> None:
    """The first GOAWAY refuses no stream. The last one comes after two acknowledged PINGs.

    A client may acknowledge the first PING before it sends the HEADERS of streams that it had opened already.
    """
    with served.raw() as client, ThreadPoolExecutor(1) as pool:
        assert client.predict("first") == "first"
        draining = pool.submit(served.on_loop, served.port.drain)
        _, goaway = client.wait_for(7)
        assert goaway == struct.pack(">II", 2**31 - 1, 0) + b"the server is shutting down"
        _, ping = client.wait_for(6)
        client.send(say.frame(6, 1, 0, ping) + say.request("wait", 3))
        _, ping = client.wait_for(6)
        client.send(say.frame(6, 1, 0, ping) + say.request("third", 5))
        assert struct.unpack(">II", client.wait_for(7)[1][:8]) == (3, 0)
        assert client.wait_for(3, 5)[1] == struct.pack(">I", 7)
        served.model.release.set()
        assert client.answer(3)[0][b"grpc-status"] == b"0"
        assert client.is_closed()
        client.socket.close()
        draining.result()
    assert served.model.seen == ["first", "wait"]


def test_what_is_left_at_the_end_is_told_so(served: Any, say: Any) -> None:
    with served.channel() as channel:
        busy = channel.unary_unary(PREDICT, None, None).future(text("wait"), timeout=20)
        assert served.model.entered.wait(20)
        served.on_loop(served.port.close)
        with pytest.raises(grpc.RpcError) as caught:
            busy.result()
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_grpcio_is_not_imported_before_somebody_asks_for_reflection() -> None:
    script = "import sys, seldon_spec.server.grpc.port, grpc_health.v1.health_pb2; print('grpc' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert told.stdout.strip() == "False"


@pytest.mark.skipif(shutil.which("h2load") is None, reason="h2load is not installed")
def test_a_load_of_requests_is_answered_without_a_failure(shared: Any, say: Any, tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(say.message("x" * 100))
    command = ["h2load", "-n", "5000", "-c", "8", "-m", "16", "-d", str(tmp_path / "body")]
    command += ["-H", "content-type: application/grpc", f"http://127.0.0.1:{shared.number}{PREDICT}"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert "5000 succeeded, 0 failed, 0 errored" in told
