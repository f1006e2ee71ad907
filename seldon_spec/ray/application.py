"""The application of Ray Serve: a deployment, each of whose replicas is the whole component or graph of a spec.

A component of a graph with a deployment of its own is called through a handle.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from ray import serve
from ray.serve.exceptions import RayServeException

from seldon_spec.app import load, prepare
from seldon_spec.config.build_spec import with_full_paths
from seldon_spec.config.checks.tracing import require_tracing
from seldon_spec.config.deployment import ReplicasSpec
from seldon_spec.config.model import Spec
from seldon_spec.deploy.manifest.ray import build_options, list_parts
from seldon_spec.errors import SeldonSpecError
from seldon_spec.inference.graph.build import Connect
from seldon_spec.observability.logs import LogHandler, worker_logs
from seldon_spec.ray.feedback import OtherReplicas
from seldon_spec.ray.grpc_services import CalledMessage, EncodedMessage, list_methods
from seldon_spec.ray.metrics import MetricsExport
from seldon_spec.ray.part_calls import Failure
from seldon_spec.ray.replica import Replica
from seldon_spec.ray.specs import make_connect, make_front, make_part
from seldon_spec.ray.start_failure import make_failure
from seldon_spec.remote import connect_component
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
    return bind(given, _load(given))


def bind(args: Mapping[str, str], spec: Spec) -> Any:
    """Return the application of a spec that is loaded already; see ``app``."""
    parts = {part.name: _deploy(_Part, part.name, part.spec, args, part.name) for part in list_parts(spec)}
    return _deploy(_Deployment, spec.name, spec, args, parts)


def _load(args: Mapping[str, str]) -> Spec:
    """Return the spec for the arguments of ``app``, in the process that builds the application and in each replica."""
    unknown = args.keys() - {"path"}
    if unknown:
        raise ValueError(f"seldon_spec.ray:app has no argument {min(unknown)}; it has path")
    return load(args.get("path", "."))


def _deploy(served: Any, name: str, spec: Spec, *args: Any) -> Any:
    """Return the application with the deployment of a class, whose constructor gets the arguments in each replica."""
    deployment: Any = serve.deployment(served)
    return deployment.options(**build_options(spec), name=name).bind(*args)


class _Served:
    """A replica of a deployment, as Serve calls it."""

    _replica: Replica

    async def _start(self, make_spec: Callable[[], Spec], connect: Connect = connect_component) -> None:
        """Start the replica of a spec.

        Raises:
            ReplicaFailed: the spec has errors, or the component cannot be built.
        """
        self._closing = contextlib.ExitStack()
        try:
            spec = with_full_paths(require_tracing(prepare(make_spec())))
            self._replica = self._make_replica(spec, connect)
            await self._replica.start()
        except SeldonSpecError as error:
            raise make_failure(error) from None

    def _make_replica(self, spec: Spec, connect: Connect) -> Replica:
        has_own_process = _has_own_process()
        if has_own_process:
            os.chdir(spec.folder)  # the class finds its relative files there
            configure_malloc()
            handler = self._closing.enter_context(worker_logs(spec.server.log))
        else:
            handler = LogHandler(sys.stderr)
        others = _find_others(spec) if has_own_process else None
        replica = Replica(spec, handler, connect, None if others is None else others.share)
        self._closing.callback(replica.stop)
        if has_own_process:
            export = MetricsExport(replica.metrics)
            self._closing.callback(export.update)
            self._closing.callback(asyncio.create_task(export.run()).cancel)
        return replica

    async def apply_feedback(self, sender: str, transport: str, wire: bytes, request_id: str) -> str | None:
        """Apply feedback that another replica has got; the sender has applied it itself."""
        if sender == serve.get_replica_context().replica_tag:
            return None
        return await self._replica.apply_feedback(transport, wire, request_id)

    def check_health(self) -> None:
        self._replica.check_health()

    def __del__(self) -> None:
        if hasattr(self, "_closing"):  # it was started
            self._closing.close()


def _find_others(spec: Spec) -> OtherReplicas | None:
    """Return the other replicas of the deployment of this process; None: it has no more than one."""
    replicas = spec.deployment.replicas
    if (replicas.max if isinstance(replicas, ReplicasSpec) else replicas) <= 1:
        return None
    return OtherReplicas(serve.get_replica_context())


class _Methods(_Served):
    """The methods of the gRPC services, by the last parts of their paths."""


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
    """A replica of the front, which gets the requests of clients.

    Args:
        args: of ``app``.
        parts: the handles of the components with deployments of their own, by name.
    """

    async def __init__(  # type: ignore[misc]  # Serve awaits it
        self, args: Mapping[str, str], parts: Mapping[str, Any]
    ) -> None:
        await self._start(lambda: make_front(_load(args)), make_connect(parts))

    def __serve_build_asgi_app__(self) -> Any:
        return self._replica.asgi


class _Part(_Served):
    """A replica of a component with a deployment of its own.

    Args:
        args: of ``app``.
        name: of the component.
    """

    async def __init__(self, args: Mapping[str, str], name: str) -> None:  # type: ignore[misc]  # Serve awaits it
        await self._start(lambda: make_part(_load(args), name))

    async def call(self, *request: Any) -> tuple[Failure | None, bytes]:
        """Handle a call of the graph; see ``PartCalls.call``."""
        return await self._replica.calls.call(*request)

    def describe_state(self) -> str | None:
        """Return the reason why it does not accept requests, or None."""
        return self._replica.describe_state()


def _has_own_process() -> bool:
    """Return whether this is the process of a replica, and not of Serve's local testing mode."""
    try:
        serve.get_replica_context()
    except RayServeException:
        return False
    return True
