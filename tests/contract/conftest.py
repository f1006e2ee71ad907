"""A real server in a thread of its own, on ports that the system chooses."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest

from seldon_spec.server.signals import StopSignals
from seldon_spec.server.sockets import bind_sockets, port_of
from seldon_spec.server.worker import run_worker
from seldon_spec.spec.model import PortsSpec, ServerSpec, Spec


@dataclass
class Running:
    """A server and the simplest clients for it."""

    http_port: int
    metrics_port: int
    grpc_port: int
    channel: grpc.Channel = field(init=False)

    def __post_init__(self) -> None:
        # without the limit of a client, so that the server's own is what is tested
        self.channel = grpc.insecure_channel(
            f"127.0.0.1:{self.grpc_port}", options=[("grpc.max_receive_message_length", -1)]
        )

    def rest(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        port: int | None = None,
    ) -> tuple[int, Mapping[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", port or self.http_port, timeout=20)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return response.status, response.headers, response.read()  # type: ignore[return-value]
        finally:
            connection.close()

    def post(self, body: bytes, path: str = "/predict") -> tuple[int, Mapping[str, str], bytes]:
        return self.rest("POST", path, body, {"Content-Type": "application/json"})

    def call(self, wire: bytes, method: str = "/seldon.protos.Model/Predict") -> bytes:
        answer: bytes = self.channel.unary_unary(method, None, None)(wire, timeout=20)
        return answer


def make_spec(folder: Path, class_name: str, **more: Any) -> Spec:
    server = more.pop("server", ServerSpec(host="127.0.0.1"))
    return Spec(class_name=class_name, folder=folder, name="model", ports=PortsSpec(0, 0, 0), server=server, **more)


@contextmanager
def serving(spec: Spec) -> Iterator[Running]:
    sockets = bind_sockets(spec)
    signals, ready = StopSignals(), threading.Event()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            run_worker(spec, sockets, signals, ready.set)
        except BaseException as error:
            failures.append(error)
            ready.set()

    thread = threading.Thread(target=run)
    assert sockets.grpc is not None
    running = Running(port_of(sockets.http), port_of(sockets.metrics), port_of(sockets.grpc))
    thread.start()
    try:
        assert ready.wait(20)
        if failures:
            raise failures[0]
        yield running
    finally:
        running.channel.close()
        if signals.callback is not None:
            signals.callback()
        thread.join(20)
        sockets.close()
    assert not thread.is_alive()


Serving = Callable[[Spec], Any]


@pytest.fixture(scope="session")
def serve_spec() -> Serving:
    return serving


@pytest.fixture(scope="session")
def spec_for() -> Callable[..., Spec]:
    return make_spec
