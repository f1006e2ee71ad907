"""One server that runs: begun in a folder of its own, asked, measured under load, and ended with all its processes."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import processes
from benchmarks.dialects import Dialect, frame
from benchmarks.figures import Load, Sample, Start
from benchmarks.load import (
    GRPC,
    LoadFailed,
    Pressure,
    load_at_rate,
    load_by_calls,
    load_by_h2load,
    load_by_wrk,
    use_http1,
)
from benchmarks.processes import Memory
from benchmarks.responses import NotServed, WrongResponse, ask, check_response
from benchmarks.server_files import Place
from benchmarks.servers import Server
from benchmarks.workloads import WORKLOADS, Model, Transport, Workload

START_SECONDS = 120.0
COMMAND_SECONDS = 180
STOP_SECONDS = 5.0
FIRST = [WORKLOADS[name] for name in ("rest-small", "v2-rest-small", "grpc-small", "v2-grpc-small")]
"""What a server is asked to see that it has started: on each transport the first that it supports."""
_LEAST_SHARE = 0.9
"""The share of bytes that another correct response may have: a number whose last bits differ can have fewer digits."""


class ServerFailed(Exception):
    """A server did not start or respond, or its response was wrong; the message has the end of its log."""


def reserve_ports(stack: contextlib.ExitStack, count: int) -> list[int]:
    """Reserve loopback ports: until the stack is closed, the kernel picks none of them for another socket.

    A server that sets SO_REUSEADDR or SO_REUSEPORT can listen on them, since the sockets that hold them do not listen.
    """
    held = [stack.enter_context(socket.socket()) for _ in range(count)]
    for each in held:
        each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        each.bind(("127.0.0.1", 0))
    return [int(each.getsockname()[1]) for each in held]


@contextlib.contextmanager
def running_command(
    words: Sequence[str], variables: Mapping[str, str] | None = None
) -> Iterator[tuple[int, dict[str, int], float]]:
    """Run a command of this package that serves; yield its process, its ports, and the seconds until it was ready.

    Raises:
        RuntimeError: it was not ready in time.
    """
    with contextlib.ExitStack() as stack:
        ports = dict(zip(("http", "grpc", "metrics"), reserve_ports(stack, 3), strict=True))
        flags = [word for name, port in ports.items() for word in ("--set", f"ports.{name}={port}")]
        command = [sys.executable, "-m", "seldon_spec", *words, "--host", "127.0.0.1", *flags]
        environ = {**os.environ, **(variables or {})}
        began = time.perf_counter()
        process = subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            while True:
                with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{ports['http']}/ready"):
                    break
                if process.poll() is not None or time.perf_counter() - began > COMMAND_SECONDS:
                    raise RuntimeError(f"{' '.join(words)} was not ready within {COMMAND_SECONDS} seconds")
                time.sleep(0.005)
            yield process.pid, ports, time.perf_counter() - began
            process.terminate()
            process.wait(COMMAND_SECONDS)
        finally:
            processes.kill(processes.find_tree(process.pid, processes.read_stats()))
            process.wait()


@dataclass(slots=True)
class RunningServer:
    """A server's process; ``stop`` has to be called, whatever happens.

    Args:
        folder: where its files, its log and the bodies of its requests are.
    """

    server: Server
    place: Place
    folder: Path
    process: subprocess.Popen[bytes]
    began: float
    ports: contextlib.ExitStack
    _requests: dict[str, bytes] = field(default_factory=dict)

    def wait_until_right(self) -> Start:
        """Request a small prediction on each transport until the responses are correct.

        Raises:
            ServerFailed: it ended, or sent a wrong response or none within START_SECONDS.
        """
        asked = {each.transport: each for each in reversed(FIRST) if self.server.dialect(each)}
        seconds = [self._wait_for(asked[transport]) for transport in Transport if transport in asked]
        stats = processes.read_stats()
        return Start(
            seconds[0],
            processes.read_memory(self.process.pid, Memory.RESIDENT),
            processes.read_memory(self.process.pid, Memory.PROPORTIONAL),
            len(processes.find_tree(self.process.pid, stats)),
        )

    def _wait_for(self, workload: Workload) -> float:
        while True:
            try:
                self._ask(workload, seconds=10.0)
            except WrongResponse as error:
                raise self._failed(f"{workload.name}: {error}") from error
            except NotServed as error:
                if time.perf_counter() - self.began > START_SECONDS:
                    raise self._failed(f"no response within {START_SECONDS:.0f} seconds: {error}") from error
            else:
                return time.perf_counter() - self.began
            with contextlib.suppress(subprocess.TimeoutExpired):
                raise self._failed(f"it ended with exit code {self.process.wait(timeout=0.01)}")

    def check(self, workload: Workload) -> int:
        """Send one request; return the length of the correct response.

        Raises:
            ServerFailed: the response is an error, or wrong.
        """
        try:
            return len(self._ask(workload))
        except (NotServed, WrongResponse) as error:
            raise self._failed(f"{workload.name}: {error}") from error

    def measure(self, workload: Workload, pressure: Pressure) -> Sample:
        """Run one round: a checked response, then the load.

        Raises:
            ServerFailed: a response was an error, or wrong, or shorter than a correct one.
        """
        length = self.check(workload)
        processes.forget_peak(self.process.pid)
        before = processes.read_processor_seconds(self.process.pid)
        try:
            load = self._load(workload, pressure)
        except LoadFailed as error:
            raise self._failed(f"{workload.name}: {error}") from error
        used = processes.read_processor_seconds(self.process.pid) - before
        if load.response_bytes < load.requests * length * (_LEAST_SHARE if self.place.model.relative_tolerance else 1):
            raise self._failed(
                f"{workload.name}: {load.requests} responses have {load.response_bytes} bytes, not {length} each"
            )
        peak = processes.read_memory(self.process.pid, Memory.PEAK)
        return Sample(load.requests / load.seconds, used / load.requests * 1e3, load.p50_ms, load.p99_ms, peak)

    def request(self, workload: Workload) -> bytes:
        """The body or message of the workload, in the dialect of this server."""
        if workload.name not in self._requests:
            self._requests[workload.name] = self._dialect(workload).request(workload)
        return self._requests[workload.name]

    def stop(self) -> None:
        """Ask the server to end, and end what is left of it after STOP_SECONDS."""
        tree = processes.find_tree(self.process.pid, processes.read_stats())
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=STOP_SECONDS)
        left = processes.read_stats()
        processes.kill((tree & set(left)) | processes.find_tree(self.process.pid, left))
        self.process.wait()
        self.ports.close()

    def _dialect(self, workload: Workload) -> Dialect:
        dialect = self.server.dialect(workload)
        assert dialect is not None
        return dialect

    def _port(self, workload: Workload) -> int:
        return self.place.http if workload.transport is Transport.REST else self.place.grpc

    def _ask(self, workload: Workload, seconds: float = START_SECONDS) -> bytes:
        """Return the body of a correct response, in a gRPC frame."""
        dialect = self._dialect(workload)
        response = ask(self._port(workload), dialect, workload, self.request(workload), seconds)
        check_response(response, dialect, self.place.model, self.place.model.predict(workload.make_array()))
        return response if workload.transport is Transport.REST else frame(response)

    def _load(self, workload: Workload, pressure: Pressure) -> Load:
        body = self.folder / f"{workload.name}.body"
        is_rest = workload.transport is Transport.REST
        if not body.exists():
            body.write_bytes(self.request(workload) if is_rest else frame(self.request(workload)))
        url = f"http://127.0.0.1:{self._port(workload)}{self._dialect(workload).path_of(workload)}"
        headers = self._dialect(workload).headers_of(workload)
        if pressure.rate is not None:
            return load_at_rate(url, body, pressure, pressure.rate, headers)
        if is_rest and not workload.is_serial:
            return load_by_wrk(url, body, pressure, headers)
        if pressure.heads is not None and not workload.is_serial:
            return load_by_calls(url, body, pressure, pressure.heads)
        log = self.folder / "h2load.log"
        kind = use_http1(headers) if is_rest else GRPC
        return load_by_h2load(url, body, log, pressure, kind, is_serial=workload.is_serial)

    def _failed(self, text: str) -> ServerFailed:
        log = (self.folder / "server.log").read_text(encoding="utf-8", errors="replace")
        return ServerFailed(f"{self.server.name}: {text}\nThe end of its log:\n{log[-3000:]}")


def start_server(
    server: Server, model: Model, workers: int, folder: Path, environments: Path, environ: Mapping[str, str]
) -> RunningServer:
    """Write a server's files into the empty folder, and start it in a session of its own."""
    ports = contextlib.ExitStack()
    http, grpc, metrics = reserve_ports(ports, 3)
    place = Place(http, grpc, metrics, workers, model)
    for name, content in server.files(place).items():
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            server.words(place, environments.absolute()),
            cwd=folder,
            env={**environ, **server.variables, "PYTHONPATH": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return RunningServer(server, place, folder, process, time.perf_counter(), ports)
