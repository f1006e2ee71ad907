"""A gRPC port in a thread of its own, a model that its tests can hold up, and a client that says anything it is told."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import hpack
import pytest

from seldon_spec.config.model import LogSpec, PortsSpec, ServerSpec, ServiceType, Spec, UnitSpec
from seldon_spec.inference.component.build import build_component
from seldon_spec.inference.dispatcher import Dispatcher
from seldon_spec.inference.executor import ModelThreads
from seldon_spec.observability.metrics import Metrics
from seldon_spec.observability.request_context import RequestLog
from seldon_spec.protocols.grpc_protocol import GrpcProtocol
from seldon_spec.protocols.seldon_v1.grpc_methods import SELDON_V1
from seldon_spec.protocols.seldon_v1.proto import SeldonMessage
from seldon_spec.server.bridge import ExecutorBridge
from seldon_spec.server.engine import new_event_loop
from seldon_spec.server.grpc.port import GrpcPort
from seldon_spec.server.transport_settings import buffered_limit, find_tls_files
from seldon_spec.server.uvicorn_engine.grpc import GrpcioServer
from seldon_spec.transport.capacity import Capacity
from seldon_spec.transport.http2 import frames as h2
from seldon_spec.transport.http2.fields import write_fields

WAIT_SECONDS = 20
CERTIFICATES = Path(__file__).parents[2] / "tls"
PREDICT = "/seldon.protos.Model/Predict"


class Model:
    """Answers what it is asked, but ``raise`` by raising, ``wait`` when it may, and ``grow`` by so many letters."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.release = threading.Event()
        self.seen: list[Any] = []

    def predict(self, data: Any, _names: Any) -> Any:
        if not isinstance(data, str):
            return data
        self.seen.append(data)
        word, _, rest = data.partition(" ")
        if word == "raise":
            raise ValueError(rest)
        if word == "wait":
            self.entered.set()
            assert self.release.wait(WAIT_SECONDS)
        return "x" * int(rest) if word == "grow" else data

    transform_input = transform_output = predict

    def route(self, _data: Any, _names: Any) -> int:
        return 1

    def aggregate(self, data: Any, _names: Any) -> Any:
        return data[0]

    def send_feedback(self, _data: Any, _names: Any, _reward: float, _truth: Any) -> None:
        pass


@dataclass
class Served:
    """A port that is being served."""

    number: int
    port: Any
    loop: asyncio.AbstractEventLoop
    model: Model

    def channel(self, *options: tuple[str, Any]) -> grpc.Channel:
        unbounded = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        return grpc.insecure_channel(f"127.0.0.1:{self.number}", [*unbounded, *options])

    def on_loop(self, do: Callable[[], Any]) -> Any:
        async def run() -> Any:
            outcome = do()
            return await outcome if asyncio.iscoroutine(outcome) else outcome

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(WAIT_SECONDS)

    def raw(self, **more: Any) -> RawClient:
        return RawClient(self.number, **more)

    def assert_answers(self) -> None:
        """Another client gets its answer."""
        with self.raw() as client:
            assert client.predict("well?") == "well?"


class RawClient:
    """A client that sends whatever bytes it is told, and understands what it gets."""

    def __init__(self, number: int, *, is_polite: bool = True) -> None:
        self.socket = socket.create_connection(("127.0.0.1", number), WAIT_SECONDS)
        self._unread = b""
        self._decoder = hpack.Decoder()
        if is_polite:
            self.send(h2.PREFACE + h2.settings_frame({}))

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def try_to_send(self, data: bytes) -> None:
        """Send to a server that may have closed already."""
        with suppress(OSError):
            self.socket.sendall(data)

    def frame(self) -> tuple[int, int, int, bytes] | None:
        """Kind, flags, stream and payload of the next frame; None: the server has closed."""
        head = self._read(h2.HEAD_BYTES)
        if head is None:
            return None
        high, low, kind, flags, stream_id = h2.read_head(head)
        payload = self._read(high << 16 | low)
        return None if payload is None else (kind, flags, stream_id, payload)

    def _read(self, size: int) -> bytes | None:
        while len(self._unread) < size:
            try:
                more = self.socket.recv(1 << 16)
            except ConnectionResetError:
                return None
            if not more:
                return None
            self._unread += more
        data, self._unread = self._unread[:size], self._unread[size:]
        return data

    def frames(self) -> Iterator[tuple[int, int, int, bytes]]:
        """All frames until the server closes."""
        while (frame := self.frame()) is not None:
            yield frame

    def wait_for(self, wanted: int, stream_id: int | None = None) -> tuple[int, bytes]:
        """Flags and payload of the next frame of a kind."""
        for kind, flags, number, payload in self.frames():
            if kind == wanted and stream_id in (None, number):
                return flags, payload
        raise AssertionError("the server closed before")

    def fields(self, block: bytes) -> dict[bytes, bytes]:
        return dict(self._decoder.decode(block, raw=True))

    def answer(self, stream_id: int = 1) -> tuple[dict[bytes, bytes], bytes]:
        """All header fields and the body of an answer; a reset shows as the field ``reset``."""
        fields: dict[bytes, bytes] = {}
        body = b""
        for kind, flags, number, payload in self.frames():
            if number != stream_id:
                continue
            if kind == h2.HEADERS:
                fields |= self.fields(payload)
            elif kind == h2.DATA:
                body += payload
            elif kind == h2.RST_STREAM:
                return fields | {b"reset": b"%d" % h2.read_number(payload)}, body
            if kind in (h2.HEADERS, h2.DATA) and flags & h2.END_STREAM:
                return fields, body
        return fields, body

    def predict(self, text: str, stream_id: int = 1) -> str:
        self.send(request(text, stream_id))
        fields, body = self.answer(stream_id)
        assert fields[b"grpc-status"] == b"0", fields
        answer: str = SeldonMessage.FromString(body[5:]).strData
        return answer

    def goaway(self) -> h2.ErrorCode:
        """The code of the server's farewell."""
        _, payload = self.wait_for(h2.GOAWAY)
        return h2.ErrorCode(struct.unpack(">I", payload[4:8])[0])

    def is_closed(self) -> bool:
        """Whether the server closes, whatever it says before."""
        for _ in self.frames():
            pass
        return True


FIELDS = {
    ":method": "POST",
    ":scheme": "http",
    ":path": PREDICT,
    ":authority": "model",
    "te": "trailers",
    "content-type": "application/grpc",
}


def block(**changes: str | None) -> bytes:
    """A header block; ``None`` leaves a field out, and an underscore stands for a dash or, in front, a colon."""
    named: dict[str, str | None] = {**FIELDS}
    for name, value in changes.items():
        named[(":" + name[1:] if name[0] == "_" else name).replace("_", "-")] = value
    return write_fields((name.encode(), value.encode()) for name, value in named.items() if value is not None)


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    return h2.frame_head(len(payload), kind, flags, stream_id) + payload


def headers(stream_id: int = 1, *, ends: bool = False, **changes: str | None) -> bytes:
    return frame(h2.HEADERS, h2.END_HEADERS | (h2.END_STREAM if ends else 0), stream_id, block(**changes))


def message(text: str) -> bytes:
    wire: bytes = SeldonMessage(strData=text).SerializeToString()
    return struct.pack(">BI", 0, len(wire)) + wire


def body(data: bytes, stream_id: int = 1, *, ends: bool = True) -> bytes:
    return frame(h2.DATA, h2.END_STREAM if ends else 0, stream_id, data)


def request(text: str, stream_id: int = 1, **changes: Any) -> bytes:
    return headers(stream_id, **changes) + body(message(text), stream_id)


class Words:
    """How tests say bytes; handed out by a fixture, for test modules do not import each other."""

    block = staticmethod(block)
    frame = staticmethod(frame)
    headers = staticmethod(headers)
    message = staticmethod(message)
    body = staticmethod(body)
    request = staticmethod(request)


@contextmanager
def serve(protocols: Sequence[GrpcProtocol] = (SELDON_V1,), engine: str = "native", **limits: Any) -> Iterator[Served]:
    """Serve a port with these limits of ``ServerSpec``."""
    server = ServerSpec(host="127.0.0.1", **limits)
    spec = Spec(class_name="Model", folder=CERTIFICATES, name="model", ports=PortsSpec(0, 0, 0), server=server)
    model = Model()
    dispatcher = Dispatcher(
        lambda: build_component(lambda: model, {}, UnitSpec(), ServiceType.MODEL),
        ModelThreads(),
        Metrics(UnitSpec()),
    )
    ready: list[Served] = []
    is_ready, loop = threading.Event(), new_event_loop()
    stop = asyncio.Event()

    async def run() -> None:
        with socket.socket() as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listening.bind(("127.0.0.1", 0))
            bridge, request_log = ExecutorBridge(dispatcher), RequestLog(LogSpec())
            files = find_tls_files(spec)
            capacity = Capacity(loop, buffered_limit(server))
            port: Any
            if engine == "uvicorn":
                port = GrpcioServer(bridge, request_log, spec, protocols, listening.getsockname()[1], files)
            else:
                listening.listen(1024)
                listening.setblocking(False)
                context = None if files is None else files.make_context("h2")
                port = GrpcPort(bridge, request_log, spec, protocols, listening, context, capacity=capacity)
            port.start()
            await asyncio.wrap_future(dispatcher.start())
            port.set_serving()
            ready.append(Served(listening.getsockname()[1], port, loop, model))
            is_ready.set()
            await stop.wait()
            model.release.set()
            dispatcher.stop()
            bridge.stop()
            await port.close()
            await port.abort()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    try:
        assert is_ready.wait(WAIT_SECONDS)
        yield ready[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(WAIT_SECONDS)
        loop.close()
    assert not thread.is_alive()


Serve = Callable[..., AbstractContextManager[Served]]


@pytest.fixture(scope="session")
def serve_grpc() -> Serve:
    return serve


@pytest.fixture(scope="session")
def say() -> Words:
    return Words()


@pytest.fixture(scope="module")
def shared() -> Iterator[Served]:
    """A server for all tests of a module that leave no trace in it."""
    with serve() as running:
        yield running


@pytest.fixture
def served() -> Iterator[Served]:
    with serve() as running:
        yield running
