"""The sockets of a server, bound before anything else is loaded. Imports nothing heavy."""

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
_OF_ONE_PORT = (errno.EADDRINUSE, errno.EACCES)
"""What is wrong with one port and not with the host."""


@dataclass(frozen=True, slots=True)
class Sockets:
    """The three sockets; None for ``grpc`` means that no gRPC is served.

    That of the engine ``uvicorn`` only holds gRPC's port, for grpcio binds a socket of its own.
    """

    http: socket.socket
    metrics: socket.socket
    grpc: socket.socket | None

    def close(self) -> None:
        """Close them all."""
        for held in (self.http, self.metrics, self.grpc):
            if held is not None:
                held.close()

    def ports(self) -> frozenset[int]:
        """Return the ports that they are bound to."""
        return frozenset(port_of(held) for held in (self.http, self.metrics, self.grpc) if held is not None)


def close_ports(ports: frozenset[int]) -> None:
    """Close every socket of this process that is bound to one of these ports, connections of clients included."""
    for name in os.listdir("/dev/fd"):  # noqa: PTH208
        with contextlib.suppress(OSError):  # such as the one that lists the directory
            if not stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                continue
            held = socket.socket(fileno=int(name))
            if held.family in (socket.AF_INET, socket.AF_INET6) and held.getsockname()[1] in ports:
                held.close()
            else:
                held.detach()


def bind_sockets(spec: Spec) -> Sockets:
    """Bind the ports of a spec, and listen: early connections wait and are not refused.

    Raises:
        BindFailed: a port cannot be had; it holds the failures of the others. None is kept then.
    """
    begin_grpc = _reserve if spec.server.engine == "uvicorn" else _listen
    held: dict[str, socket.socket] = {}
    failures: list[BindFailed] = []
    for key, port, begin in (
        ("http", spec.ports.http, _listen),
        ("metrics", spec.ports.metrics, _listen),
        ("grpc", spec.ports.grpc, begin_grpc),
    ):
        if port is None:
            continue
        try:
            held[key] = begin(spec, key, port)
        except BindFailed as failure:
            failures.append(failure)
            if getattr(failure.__cause__, "errno", None) not in _OF_ONE_PORT:
                break
    if failures:
        for bound in held.values():
            bound.close()
        failures[0].others = tuple(failures[1:])
        raise failures[0]
    return Sockets(held["http"], held["metrics"], held.get("grpc"))


def _listen(spec: Spec, key: str, port: int) -> socket.socket:
    bound = _bind(spec, key, port)
    bound.listen(_BACKLOG)
    return bound


def _reserve(spec: Spec, key: str, port: int) -> socket.socket:
    """Hold a port without listening.

    grpcio binds with SO_REUSEPORT, and so would share a taken port in silence if its owner did the same. A first try
    without that option finds a port that anybody has.
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
    """The port that a socket has; its own choice where 0 was asked for."""
    port: int = bound.getsockname()[1]
    return port


def show_address(host: str, port: int) -> str:
    """Host and port as a URL has them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
