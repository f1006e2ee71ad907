"""Shared by the endurance tests: our server in its own folder, and clients that reconnect once."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.processes import find_tree, kill, read_stats
from benchmarks.running import reserve_ports

WAIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class OwnServer:
    """A running ``seldon-spec serve``; ``tls`` is the context of its REST clients."""

    folder: Path
    log_file: Path
    process: subprocess.Popen[bytes]
    http: int
    grpc: int
    metrics: int
    tls: ssl.SSLContext | None = None

    @property
    def log(self) -> str:
        """What it has logged until now."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def processes(self) -> set[int]:
        """The supervisor and its workers, as there are now."""
        return find_tree(self.process.pid, read_stats())

    def hang_up(self) -> None:
        """Have its workers replaced."""
        self.process.send_signal(signal.SIGHUP)


@contextlib.contextmanager
def serving(
    source: str,
    server: Mapping[str, Any],
    *,
    flags: Sequence[str] = (),
    variables: Mapping[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
) -> Iterator[OwnServer]:
    """Serve the class ``Served`` of a source; at the end the server has to end with 0.

    Args:
        source: of the module.
        server: keys of seldon.yaml's ``server``.
        flags: of the command.
        variables: more than this process has.
        tls: None: REST is spoken without.

    Raises:
        RuntimeError: it did not start, or did not end with 0.
    """
    ports = contextlib.ExitStack()
    http, grpc, metrics = reserve_ports(ports, 3)
    keys = {
        "class_name": "Served",
        "ports": {"http": http, "grpc": grpc, "metrics": metrics},
        "server": {"host": "127.0.0.1", **server},
    }
    with ports, tempfile.TemporaryDirectory(prefix="endurance-") as name:
        folder = Path(name) / "served"
        folder.mkdir()
        (folder / "Served.py").write_text(source, encoding="utf-8")
        (folder / "seldon.yaml").write_text(
            "".join(f"{key}: {json.dumps(value)}\n" for key, value in keys.items()), encoding="utf-8"
        )
        log_file = Path(name) / "server.log"
        with log_file.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "seldon_spec", "serve", *flags],
                cwd=folder,
                env={**os.environ, **(variables or {})},
                stderr=log,
                start_new_session=True,
            )
        running = OwnServer(folder, log_file, process, http, grpc, metrics, tls)
        try:
            _wait_until_ready(running)
            yield running
            process.terminate()
            if process.wait(WAIT_SECONDS) != 0:
                raise RuntimeError(f"the server ended with {process.returncode}:\n{running.log[-3000:]}")
        finally:
            kill(running.processes())
            process.wait()


def _wait_until_ready(server: OwnServer) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            client = RestClient(server.http, tls=server.tls)
            status = client.ask(b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n")[0]
            client.close()
            if status == 200:
                return
        if server.process.poll() is not None:
            break
        time.sleep(0.05)
    raise RuntimeError(f"the server was not ready:\n{server.log[-3000:]}")


def rest_request(
    path: str, body: bytes = b"", content_type: str = "application/json", method: str = "POST", token: str = ""
) -> bytes:
    """A whole request of HTTP/1.1."""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n"
    if token:
        head += f"Authorization: Bearer {token}\r\n"
    if method == "POST":
        head += f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}\r\n".encode() + body


@dataclass(slots=True)
class RestClient:
    """REST over one connection.

    Args:
        port: on loopback.
        is_kept: the connection is used again.
        tls: None: without.
        seconds: until it gives up.

    Attributes:
        reconnects: how often a request was sent a second time.
    """

    port: int
    is_kept: bool = True
    tls: ssl.SSLContext | None = None
    seconds: float = WAIT_SECONDS
    reconnects: int = 0
    _socket: socket.socket | None = None
    _left: bytearray = field(default_factory=bytearray)

    def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send a request, and once more over a new connection if the first one fails; status and body.

        Raises:
            OSError: the second one failed as well.
        """
        try:
            return self._ask(request)
        except ConnectionError:
            self.close()
            self.reconnects += 1
            return self._ask(request)
        finally:
            if not self.is_kept:
                self.close()

    def close(self) -> None:
        """Close the connection; the next request makes another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            self._left.clear()

    def _ask(self, request: bytes) -> tuple[int, bytes]:
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self.port), self.seconds)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls is not None:
                self._socket = self.tls.wrap_socket(self._socket)
        self._socket.sendall(request)
        while (end := self._left.find(b"\r\n\r\n")) < 0:
            self._receive()
        head = bytes(self._left[:end]).lower()
        length = end + 4 + int(head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0])
        while len(self._left) < length:
            self._receive()
        body = bytes(self._left[end + 4 : length])
        del self._left[:length]
        if b"\r\nconnection: close" in head:
            self.close()
        return int(head[9:12]), body

    def _receive(self) -> None:
        assert self._socket is not None
        piece = self._socket.recv(1 << 16)
        if not piece:
            raise ConnectionResetError("the server closed the connection")
        self._left += piece


class GrpcClient:
    """GRPC over one channel.

    Args:
        port: on loopback.
        seconds: until a call ends with DEADLINE_EXCEEDED.

    Attributes:
        reconnects: how often a call was made a second time.
    """

    def __init__(self, port: int, seconds: float = WAIT_SECONDS) -> None:
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # it logs every connection that a restart closes
        import grpc  # heavy, and only its clients need it

        self._failure = grpc.RpcError
        # a subchannel of its own: those of one process share a connection otherwise
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.use_local_subchannel_pool", 1)])
        self._methods: dict[str, Any] = {}
        self._seconds = seconds
        self.reconnects = 0

    def ask(self, method: str, wire: bytes) -> tuple[str, bytes]:
        """Make a call, and repeat it once if the server is unavailable; return the code's name and the response."""
        response = self._ask(method, wire)
        if response[0] == "UNAVAILABLE":
            self.reconnects += 1
            response = self._ask(method, wire)
        return response

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    def _ask(self, method: str, wire: bytes) -> tuple[str, bytes]:
        call = self._methods.get(method)
        if call is None:
            call = self._methods[method] = self._channel.unary_unary(method, None, None)
        try:
            return "OK", call(wire, timeout=self._seconds, wait_for_ready=True)
        except self._failure as error:
            code: str = error.code().name
            return code, b""
