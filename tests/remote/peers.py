"""Servers that do what a real one must not, and the simplest client of a remote component."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc

from seldon_spec.config.model import ComponentSpec, ServiceType
from seldon_spec.errors import RemoteFailed
from seldon_spec.inference.call import WORKED_ON, BaseContext, Call
from seldon_spec.inference.message import Operation
from seldon_spec.inference.request import Request, Response
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec
from seldon_spec.remote.component import RemoteComponent, connect

WAIT_SECONDS = 20

OK = b'{"meta": {}, "strData": "fine"}'


def respond(body: bytes = OK, status: str = "200 OK", headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


class HttpPeer:
    """Reads requests as they are; a script decides what happens to each POST, and GET has a table of responses.

    Attributes:
        posts: the heads and bodies of all POST requests.
    """

    def __init__(self, script: Callable[[HttpPeer, socket.socket], object], pages: Mapping[str, bytes]) -> None:
        self.posts: list[tuple[str, bytes]] = []
        self.gets: list[str] = []
        self.closed = threading.Event()
        self.received = threading.Event()
        self.release = threading.Event()
        self._script = script
        self.pages = dict(pages)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._open: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.add(connection)
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while found := self._read(connection):
                head, body = found
                method, path, _ = head.split(" ", 2)
                if method == "GET":
                    self.gets.append(head)
                    connection.sendall(self.pages.get(path, respond(b"", "404 Not Found")))
                    continue
                self.posts.append((head, body))
                self.received.set()
                self._script(self, connection)
                if connection.fileno() < 0:
                    break
        self.closed.set()

    def _read(self, connection: socket.socket) -> tuple[str, bytes] | None:
        data = b""
        while b"\r\n\r\n" not in data:
            more = connection.recv(65536)
            if not more:
                return None
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        text = head.decode()
        length = next((int(line.split(":")[1]) for line in text.splitlines() if line.startswith("Content-Length")), 0)
        while len(body) < length:
            body += connection.recv(65536)
        return text, body

    def stop(self) -> None:
        self.release.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(WAIT_SECONDS)


class GrpcPeer(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """Handles every method by one function.

    Attributes:
        calls: the method, the metadata and the message of all calls but those of health and metadata.
    """

    def __init__(self, handle: Callable[[bytes, grpc.ServicerContext], bytes], port: int = 0) -> None:
        self.calls: list[tuple[str, dict[str, str], bytes]] = []
        self.received = threading.Event()
        self._handle = handle
        self._pool = ThreadPoolExecutor(4)
        self._server = grpc.server(self._pool, handlers=[self])
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self.url = f"grpc://127.0.0.1:{self.port}"
        self._server.start()

    def service(self, details: Any) -> Any:
        method = details.method
        if method.startswith("/grpc.health") or method.endswith("/Metadata"):
            return None

        def handle(message: bytes, context: grpc.ServicerContext) -> bytes:
            metadata = {key: str(value) for key, value in context.invocation_metadata()}
            self.calls.append((method, metadata, message))
            self.received.set()
            return self._handle(message, context)

        return grpc.unary_unary_rpc_method_handler(handle)

    def stop(self) -> None:
        self._server.stop(0).wait(WAIT_SECONDS)
        self._pool.shutdown()


class Remote:
    """A component with the simplest ways to call it."""

    def __init__(self, component: RemoteComponent, spec: ComponentSpec) -> None:
        self.component = component
        self.spec = spec

    def call(self, body: bytes = OK, operation: Operation = Operation.PREDICT, codec: Any = None) -> Response:
        return self.send((codec or JsonCodec()).decode(operation, body))

    def send(self, request: Request) -> Response:
        def record(metrics: object) -> list[dict[str, Any]]:
            raise AssertionError

        return self.component.call(request, record)


Connect = Callable[..., Remote]


@contextlib.contextmanager
def connecting(
    url: str, service_type: ServiceType = ServiceType.MODEL, *, max_bytes: int = 1 << 26, **more: Any
) -> Iterator[Remote]:
    spec = ComponentSpec(service_type, url=url, **more)
    component = connect("iris", spec, Path(__file__).parent, max_bytes)
    try:
        yield Remote(component, spec)
    finally:
        component.close()


class LogWait(logging.Handler):
    """Waits until a text is logged."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._condition = threading.Condition()
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        with self._condition:
            self._lines.append(record.getMessage())
            self._condition.notify_all()

    def wait_for(self, text: str) -> None:
        """Wait for a line with the text, and forget the lines up to it."""
        with self._condition:
            found = self._condition.wait_for(lambda: any(text in line for line in self._lines), WAIT_SECONDS)
            assert found, f"{text} was never logged: {self._lines}"
            at = next(index for index, line in enumerate(self._lines) if text in line)
            del self._lines[: at + 1]


class Context(BaseContext):
    """The context of a request with these headers."""

    def __init__(self, id: str = "id-1", headers: Mapping[bytes, bytes] | None = None) -> None:  # noqa: A002
        super().__init__(id)
        self._headers = headers or {}

    def find_header(self, name: bytes) -> bytes | None:
        return self._headers.get(name)

    def with_deadline(self, deadline: float) -> Context:
        self.call = Call(Operation.PREDICT, b"", JsonCodec(), lambda _call: None, self)
        self.call.deadline = deadline
        return self


@contextlib.contextmanager
def working_on(context: BaseContext) -> Iterator[None]:
    before = WORKED_ON.set(context)
    try:
        yield
    finally:
        WORKED_ON.reset(before)


def close_during_call(remote: Remote, peer: HttpPeer | GrpcPeer) -> list[RemoteFailed]:
    """Close a component once its server has received a request; return the errors of the call."""
    failures: list[RemoteFailed] = []

    def call() -> None:
        try:
            remote.call()
        except RemoteFailed as error:
            failures.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    assert peer.received.wait(WAIT_SECONDS)
    remote.component.close()
    thread.join(WAIT_SECONDS)
    return failures
