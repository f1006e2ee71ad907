"""What no server can avoid for a body: to copy it once, and what the kernel takes to receive and to send it."""

from __future__ import annotations

import multiprocessing
import resource
import socket
import time
from collections.abc import Collection
from multiprocessing.connection import Connection

from benchmarks.affinity import pinned


def measure_copy(size: int, seconds: float) -> float:
    """Return the milliseconds of one copy of so many bytes, between two buffers that are in use."""
    source, target = memoryview(bytearray(size)), memoryview(bytearray(size))
    copies, begun = 0, time.process_time()
    while (took := time.process_time() - begun) < seconds:
        for _ in range(10):
            target[:] = source
        copies += 10
    return took / copies * 1e3


def measure_kernel(size: int, count: int, cores: Collection[int]) -> float:
    """Return the milliseconds of processor time of a process that receives so many bytes, and sends as many.

    It runs on ``cores``, and does nothing else; its client is this process.
    """
    here, there = multiprocessing.Pipe()
    context = multiprocessing.get_context("fork")
    with pinned(cores):
        server = context.Process(target=_serve, args=(there, size, count))
        server.start()
    body, buffer = bytes(size), memoryview(bytearray(size))
    with socket.create_connection(("127.0.0.1", here.recv())) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(count):
            client.sendall(body)
            _receive(client, buffer)
    seconds: float = here.recv()
    server.join()
    return seconds / count * 1e3


def _serve(pipe: Connection, size: int, count: int) -> None:
    buffer = memoryview(bytearray(size))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        pipe.send(listener.getsockname()[1])
        client, _ = listener.accept()
    with client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        begun = _used()
        for _ in range(count):
            _receive(client, buffer)
            client.sendall(buffer)
        pipe.send(_used() - begun)


def _receive(client: socket.socket, buffer: memoryview) -> None:
    at = 0
    while at < len(buffer):
        received = client.recv_into(buffer[at:])
        if not received:
            raise ConnectionError("the connection was closed")
        at += received


def _used() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
