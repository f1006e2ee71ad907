"""The application of Ray Serve: one deployment, each of whose replicas is the whole component or graph of a spec."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Mapping
from typing import Any

from ray import serve
from ray.serve.exceptions import RayServeException

from seldon_spec.app import load, prepare
from seldon_spec.config.checks.tracing import require_tracing
from seldon_spec.config.model import Spec
from seldon_spec.deploy.manifest.ray import build_options
from seldon_spec.errors import SeldonSpecError
from seldon_spec.observability.logs import LogHandler, worker_logs
from seldon_spec.ray.grpc_services import CalledMessage, EncodedMessage, list_methods
from seldon_spec.ray.metrics import MetricsExport
from seldon_spec.ray.replica import Replica
from seldon_spec.ray.start_failure import make_failure
from seldon_spec.transport.buffers import configure_malloc


def app(args: Mapping[str, str] | None = None) -> Any:
    """Return the application of a spec: ``import_path: seldon_spec.ray:app`` of a Serve config.

    The spec is read here, for the options of the deployment, and by each replica with the variables of its process.

    Args:
        args: ``path`` is the folder or the file, on each node; default: the working directory.

    Returns:
        A ``ray.serve.Application``.

    Raises:
        SpecError: the spec has errors; all of them are listed.
        ValueError: there is another argument than ``path``.
    """
    given = dict(args or {})
    path = given.pop("path", ".")
    if given:
        raise ValueError(f"seldon_spec.ray:app has no argument {next(iter(given))}; it has path")
    return bind(path, load(path))


def bind(path: str, spec: Spec) -> Any:
    """Return the application of a spec that is loaded already; see ``app``."""
    return serve.deployment(_Deployment).options(**build_options(spec)).bind(path)


class _Methods:
    """The methods of the gRPC services, by the last parts of their paths."""

    _replica: Replica


def _make_unary(name: str) -> Any:
    async def respond(self: _Methods, request: CalledMessage, grpc_context: Any) -> EncodedMessage:
        return await self._replica.grpc.respond(request, grpc_context)

    respond.__name__ = name
    return respond


def _make_stream(name: str) -> Any:
    async def respond(
        self: _Methods, requests: AsyncIterator[CalledMessage], grpc_context: Any
    ) -> AsyncIterator[EncodedMessage]:
        async for response in self._replica.grpc.respond_to_stream(requests, grpc_context):
            yield response

    respond.__name__ = name
    return respond


for _service, _name, _is_stream in list_methods():
    setattr(_Methods, _name, (_make_stream if _is_stream else _make_unary)(_name))


@serve.ingress()
class _Deployment(_Methods):
    """Loads the spec of a path in a replica."""

    async def __init__(self, path: str) -> None:  # type: ignore[misc]  # Serve awaits it
        self._closing = contextlib.ExitStack()
        try:
            spec = require_tracing(prepare(load(path)))
            await self._start(spec)
        except SeldonSpecError as error:
            raise make_failure(error) from None

    async def _start(self, spec: Spec) -> None:
        has_own_process = _has_own_process()
        if has_own_process:
            configure_malloc()
            handler = self._closing.enter_context(worker_logs(spec.server.log))
        else:
            handler = LogHandler(sys.stderr)
        self._replica = Replica(spec, handler)
        self._closing.callback(self._replica.stop)
        if has_own_process:
            export = MetricsExport(self._replica.metrics)
            self._closing.callback(export.update)
            self._closing.callback(asyncio.create_task(export.run()).cancel)
        await self._replica.start()

    def __serve_build_asgi_app__(self) -> Any:
        return self._replica.asgi

    def check_health(self) -> None:
        self._replica.check_health()

    def __del__(self) -> None:
        if hasattr(self, "_closing"):  # the spec could be loaded
            self._closing.close()


def _has_own_process() -> bool:
    """Return whether this is the process of a replica, and not of Serve's local testing mode."""
    try:
        serve.get_replica_context()
    except RayServeException:
        return False
    return True
