"""The listening sockets of a server, bound before the model is loaded. Imports nothing heavy."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from dataclasses import dataclass

from seldon_spec.config.model import Spec
from seldon_spec.errors import BindFailed

_BACKLOG = 2048
_METRICS_SEND_BYTES = 1 << 17
"""The send buffer of a scrape. The system would buffer 4 MB of a page at once, which blocks the event loop."""
_PORT_ERRORS = (errno.EADDRINUSE, errno.EACCES)
"""Errors that concern one port and not the host."""


@dataclass(frozen=True, slots=True)
class Sockets:
    """The three sockets; ``grpc`` is None if gRPC is disabled.

    With ``engine: uvicorn``, ``grpc`` only reserves the port, because grpcio binds its own socket.
    """

    http: socket.socket
    metrics: socket.socket
    grpc: socket.socket | None

    def close(self) -> None:
        """Close them all."""
        for bound in (self.http, self.metrics, self.grpc):
            if bound is not None:
                bound.close()

    def ports(self) -> frozenset[int]:
        """Return the ports that they are bound to."""
        return frozenset(port_of(bound) for bound in (self.http, self.metrics, self.grpc) if bound is not None)


def close_ports(ports: frozenset[int]) -> None:
    """Close every socket of this process that is bound to one of these ports, connections of clients included."""
    for name in os.listdir("/dev/fd"):  # noqa: PTH208
        with contextlib.suppress(OSError):  # e.g. the descriptor that lists the directory
            if not stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                continue
            inherited = socket.socket(fileno=int(name))
            if inherited.family in (socket.AF_INET, socket.AF_INET6) and inherited.getsockname()[1] in ports:
                inherited.close()
            else:
                inherited.detach()


def bind_sockets(spec: Spec) -> Sockets:
    """Bind the ports of a spec and listen, so early connections wait instead of being refused.

    Raises:
        BindFailed: a port cannot be bound; the error has the failures of the other ports. No port is bound then.
    """
    open_grpc = _reserve if spec.server.engine == "uvicorn" else _listen
    sockets: dict[str, socket.socket] = {}
    failures: list[BindFailed] = []
    for key, port, open_socket in (
        ("http", spec.ports.http, _listen),
        ("metrics", spec.ports.metrics, _listen),
        ("grpc", spec.ports.grpc, open_grpc),
    ):
        if port is None:
            continue
        try:
            sockets[key] = open_socket(spec, key, port)
        except BindFailed as failure:
            failures.append(failure)
            if getattr(failure.__cause__, "errno", None) not in _PORT_ERRORS:
                break
    if failures:
        for bound in sockets.values():
            bound.close()
        failures[0].others = tuple(failures[1:])
        raise failures[0]
    sockets["metrics"].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _METRICS_SEND_BYTES)  # connections inherit it
    return Sockets(sockets["http"], sockets["metrics"], sockets.get("grpc"))


def _listen(spec: Spec, key: str, port: int) -> socket.socket:
    bound = _bind(spec, key, port)
    bound.listen(_BACKLOG)
    return bound


def _reserve(spec: Spec, key: str, port: int) -> socket.socket:
    """Bind a port without listening.

    grpcio binds with SO_REUSEPORT, so it would silently share a port whose owner has this option as well. Binding it
    once without the option detects that.
    """
    probe = _bind(spec, key, port)
    port = probe.getsockname()[1]
    probe.close()
    return _bind(spec, key, port, is_shared=True)


def _bind(spec: Spec, key: str, port: int, *, is_shared: bool = False) -> socket.socket:
    host = spec.server.host
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if is_shared:
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            bound.bind(address)
        except OSError:
            bound.close()
            raise
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise BindFailed(f"ports.{key}", host, port, reason, spec.origin("ports", key)) from error
    bound.setblocking(False)  # noqa: FBT003 - the standard library's own signature
    return bound


def port_of(bound: socket.socket) -> int:
    """Return the port of a socket, also if the system chose it."""
    port: int = bound.getsockname()[1]
    return port


def show_address(host: str, port: int) -> str:
    """Return host and port as in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
