"""``serve --apart``: each local component of a graph as a server of its own on the loopback interface."""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from seldon_spec.cli.exit_codes import WrongArgument
from seldon_spec.config.layers.environment import PREFIX, split_for_component
from seldon_spec.config.layers.variables import known_variables
from seldon_spec.config.model import LogFormat, Spec
from seldon_spec.config.schema.lookup import join
from seldon_spec.errors import FieldPath, Stopped
from seldon_spec.observability.logs import configure_logs
from seldon_spec.process.component_processes import ComponentProcesses
from seldon_spec.process.signals import ServerSignals

logger = logging.getLogger(__name__)

_HOST = "127.0.0.1"
_PROBE_SECONDS = 1.0
_WAIT_SECONDS = 0.1
_REPORT_SECONDS = 10.0
"""The interval at which the components that are not ready yet are logged."""
_EXIT_SECONDS = 10.0
"""What a component needs beside its grace period to stop."""
Ports = tuple[int, int, int]


def serve_apart(
    path: Path,
    spec: Spec,
    flags: Mapping[FieldPath, str],
    transport: str,
    environ: Mapping[str, str],
    serve: Callable[[Mapping[FieldPath, str], Callable[[], None]], None],
) -> None:
    """Start the local components of a graph, and serve its front end until SIGTERM.

    Args:
        path: of the spec.
        spec: as loaded with the flags.
        flags: of the command line.
        transport: ``rest`` or ``grpc``: how the front end calls the components.
        environ: the variables of this process.
        serve: serves the front end, given the flags with the URLs of the components, and what to call after each
            reload of its spec.

    Raises:
        WrongArgument: the spec is not a graph, or has no local component.
        ComponentExited: a component has exited before it was ready.
    """
    local = {name: component.spec for name, component in spec.components.items() if component.url is None}
    if not local:
        problem = "all components of the graph have a URL" if spec.components else "the spec is not a graph"
        raise WrongArgument(f"--apart has no effect: {problem}", "leave out --apart")
    configure_logs(spec.server.log)
    grace_seconds = max(each.server.shutdown.grace_seconds for each in local.values() if each is not None)
    with contextlib.suppress(Stopped), ServerSignals(), _reserve_ports(list(local)) as ports:
        commands = {name: _make_command(path, name, flags, ports[name]) for name in local}
        format_line = partial(_format_line, is_json=spec.server.log.format is LogFormat.JSON)
        processes = ComponentProcesses(commands, _filter_environ(environ), format_line, grace_seconds + _EXIT_SECONDS)
        try:
            processes.start()
            logger.info("starting %s, each in a process of its own", ", ".join(local))
            _wait_until_ready(processes, {name: http_port for name, (http_port, _, _) in ports.items()})
            processes.set_serving()
            serve({**flags, **_make_urls(ports, transport)}, processes.reload)
        finally:
            processes.stop()


@contextlib.contextmanager
def _reserve_ports(names: list[str]) -> Iterator[dict[str, Ports]]:
    """Reserve the ports of each component: the system gives them to no other socket."""
    with contextlib.ExitStack() as stack:

        def reserve() -> int:
            reserved = stack.enter_context(socket.socket())
            reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # so that the component can listen on it
            reserved.bind((_HOST, 0))
            port: int = reserved.getsockname()[1]
            return port

        yield {name: (reserve(), reserve(), reserve()) for name in names}


def _make_command(path: Path, name: str, flags: Mapping[FieldPath, str], ports: Ports) -> list[str]:
    """Return the command that serves a component; a token or a certificate is not needed on the loopback interface."""
    http_port, grpc_port, metrics_port = map(str, ports)
    own = {
        ("ports", "http"): http_port,
        ("ports", "grpc"): grpc_port,
        ("ports", "metrics"): metrics_port,
        ("server", "host"): _HOST,
        ("server", "auth"): "null",
        ("server", "tls"): "null",
    }
    kept = {field: text for field, text in flags.items() if field[0] in ("graph", "components")}
    settings: dict[FieldPath, str] = {**kept, **{("components", name, *field): own[field] for field in own}}
    words = [word for field, text in settings.items() for word in ("--set", f"{join(field)}={text}")]
    return [sys.executable, "-m", "seldon_spec", "serve", str(path), "--component", name, *words]


def _filter_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables without those that concern the front end only."""
    of_graph, known = split_for_component(environ, ())[0][0], known_variables()
    return {
        name: text
        for name, text in environ.items()
        if name in of_graph or not (name in known or name.startswith(PREFIX))
    }


def _make_urls(ports: Mapping[str, Ports], transport: str) -> dict[FieldPath, str]:
    urls: dict[FieldPath, str] = {}
    for name, (http_port, grpc_port, _) in ports.items():
        url = f"grpc://{_HOST}:{grpc_port}" if transport == "grpc" else f"http://{_HOST}:{http_port}"
        urls["components", name, "url"] = url
    return urls


def _wait_until_ready(processes: ComponentProcesses, http_ports: Mapping[str, int]) -> None:
    """Wait until all components are ready, and log each one that is.

    Raises:
        ComponentExited: one has exited.
    """
    waiting = dict(http_ports)
    report_at = time.monotonic() + _REPORT_SECONDS
    while waiting:
        processes.check(_WAIT_SECONDS)
        for name, port in [*waiting.items()]:
            if _is_ready(port):
                del waiting[name]
                logger.info("component %s is ready", name)
        if time.monotonic() >= report_at:
            report_at += _REPORT_SECONDS
            logger.info("waiting for %s", ", ".join(waiting))


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection(_HOST, port, timeout=_PROBE_SECONDS)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _format_line(name: str, line: str, *, is_json: bool) -> str:
    """Return a line of a component's log with the component's name."""
    if not is_json:
        return f"{name} | {line}"
    try:
        record = json.loads(line)
    except ValueError:
        record = None
    fields = record if isinstance(record, dict) else {"level": "INFO", "message": line}
    return json.dumps({**fields, "component": name})
