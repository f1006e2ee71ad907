"""A component that is a server of its own."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult

from seldon_spec.client import BadData, Credentials, make_tls_context, parse_url
from seldon_spec.config.model import ComponentSpec, ServerSpec, ServiceType
from seldon_spec.errors import InferUnsupported, UnsupportedOperation
from seldon_spec.inference.call import WORKED_ON, BaseContext, find_request_id
from seldon_spec.inference.component.base import RecordMetrics
from seldon_spec.inference.graph.headers import TRACE_HEADERS, find_kept_headers
from seldon_spec.inference.message import WITHOUT_BODY, KeepRows, Message, Operation, PayloadType, Transport
from seldon_spec.inference.request import Request, Response
from seldon_spec.protocols.seldon_v1.routes import OPERATIONS
from seldon_spec.remote.failures import TimeLimit
from seldon_spec.remote.http_server import HttpServer
from seldon_spec.remote.messages import WireResponse, encode_request
from seldon_spec.remote.readiness import ReadinessMonitor
from seldon_spec.remote.server import Metadata, Server

_VISIBLE = re.compile(r"[!-~]+")
_SENDABLE = re.compile(rb"[ -~]+")
_MAX_EARLIER_SECONDS = 0.25
_EARLIER_SHARE = 0.05
"""A call ends earlier than its request by this share of the time that is left, and at most by these seconds."""

_NOT_SENT = frozenset(
    {
        b"connection",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"expect",
        b"host",
        b"seldon-puid",
        b"te",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Headers that this client sets itself, or that are for one connection."""

_NO_OPERATIONS: frozenset[tuple[Operation, Transport]] = frozenset()
_DEADLINE_TEXT = "no response before the deadline of the request (server.request_timeout_seconds, or the client's own)"


class RemoteComponent:
    """Sends requests to the server of a component; see ``Component``.

    Args:
        name: of the component.
        spec: its server has this service type, and its calls this limit.
        server: receives the requests; the component closes it.

    Attributes:
        error_blueprint, custom_service, uses_flask, keeps_rows, plain, batchable: see ``Component``.
    """

    error_blueprint: Any = None
    custom_service: Callable[[], Any] | None = None
    uses_flask = False
    keeps_rows = KeepRows.NEVER
    plain = batchable = _NO_OPERATIONS

    def __init__(self, name: str, spec: ComponentSpec, server: Server) -> None:
        self._name = name
        self._service_type = spec.service_type
        self._timeout_seconds = math.inf if spec.timeout_seconds is None else spec.timeout_seconds
        self._timeout_text = (
            f"no response from {server.address} within {spec.timeout_seconds} seconds"
            f" (components.{name}.timeout_seconds)"
        )
        nested = None if spec.spec is None else find_kept_headers(spec.spec)  # a graph may split by a header
        kept = frozenset(TRACE_HEADERS) | (nested or frozenset())
        own = _NOT_SENT if spec.token is None else _NOT_SENT | {b"authorization"}
        self._headers = frozenset(
            header for header in kept - own if not header.startswith(b"grpc-") and not header.endswith(b"-bin")
        )
        self._server = server
        self._monitor = ReadinessMonitor(name, server)

    @property
    def is_ready(self) -> bool:
        """Whether the server was ready within the last seconds; it is polled once a second."""
        return self._monitor.is_ready

    @property
    def metadata(self) -> Mapping[str, Any] | None:
        """The metadata of the server's model; None if it has none, or was not ready yet."""
        return self._monitor.metadata

    def describe_state(self) -> str:
        """Return the reason why it is not ready."""
        return self._monitor.state

    def call(self, request: Request, record: RecordMetrics) -> Response:  # noqa: ARG002 - the server has recorded them
        """Send one request; see ``Component.call``.

        Raises:
            RemoteFailed: the server cannot be reached, it returned an error, or the time is over.
            ResultError: its response is no message, or the request has no form in Seldon's protocol.
        """
        operation = self._find_operation(request)
        context = WORKED_ON.get()
        limit = self._find_limit(context)
        metadata = _list_metadata(context, self._headers)
        if operation is Operation.METADATA:
            return Response(Message(PayloadType.JSON, self._server.read_metadata(metadata, limit)))
        server = self._find_server(request.codec.transport)
        body = None if operation in WITHOUT_BODY else encode_request(operation, request, server.codec)
        wire = server.send(operation, body, metadata, limit)
        return WireResponse(wire, operation, server.codec, server.address)

    def batch_message(self, request: Request) -> Message | None:  # noqa: ARG002
        """Return None: no request is part of a batch here; the server may batch them."""
        return None

    def call_batch(self, operation: Operation, message: Message) -> Any:  # noqa: ARG002
        """Reject the call: ``batchable`` is empty."""
        raise UnsupportedOperation(f"component {self._name} takes no batches")

    def finish_batched(self, request: Request, payload: Any, record: RecordMetrics) -> Response:  # noqa: ARG002
        """Reject the call: ``batchable`` is empty."""
        raise UnsupportedOperation(f"component {self._name} takes no batches")

    def close(self) -> None:
        """End the thread that polls the server, and all connections; requests in flight fail."""
        self._monitor.stop()
        self._server.close()
        self._monitor.join()

    def _find_server(self, _transport: Transport) -> Server:
        """Return the server for requests of one encoding."""
        return self._server

    def _find_operation(self, request: Request) -> Operation:
        """Return the operation of the server for a request; one of tensors names none."""
        operation = request.operation
        if operation is not Operation.PREDICT or not request.codec.has_tensors:
            return operation
        if self._service_type in (ServiceType.ROUTER, ServiceType.COMBINER):
            raise InferUnsupported(f"{self._name} is a router or a combiner: it has no inference")
        return OPERATIONS[self._service_type][0]

    def _find_limit(self, context: str | BaseContext | None) -> TimeLimit:
        """Return the earlier one of the limits of the component and of the request.

        The latter is a little earlier than the request's deadline: the error that names the component reaches the
        client, and the server does not take its model for one that hangs.
        """
        now = time.perf_counter()
        call = context.call if isinstance(context, BaseContext) else None
        deadline = math.inf if call is None else call.deadline
        if deadline < math.inf:
            deadline -= min(_MAX_EARLIER_SECONDS, max(0.0, deadline - now) * _EARLIER_SHARE)
        if deadline < now + self._timeout_seconds:
            return TimeLimit(deadline, _DEADLINE_TEXT)
        return TimeLimit(now + self._timeout_seconds, self._timeout_text)


def connect(
    name: str, spec: ComponentSpec, folder: Path, max_body_bytes: int = ServerSpec().max_body_bytes
) -> RemoteComponent:
    """Return the component behind a URL, and start to poll its server; call it in the process that sends the requests.

    Args:
        name: of the component.
        spec: its ``url`` is set, and its ``token`` is a text or None.
        folder: where a relative ``ca`` starts.
        max_body_bytes: of a response: the limit of the requests of this server.

    Raises:
        SeldonSpecError: the URL, the file ``ca`` or the token cannot be used.
    """
    url = parse_url(spec.url or "")
    token = spec.token
    if token is not None and not (isinstance(token, str) and _VISIBLE.fullmatch(token)):
        raise BadData(f"components.{name}.token has characters that a header cannot contain, or was not resolved")
    credentials = Credentials(None if spec.ca is None else folder / spec.ca)
    server = _make_server(url, credentials, token, spec.service_type, max_body_bytes)
    return RemoteComponent(name, spec, server)


def _make_server(
    url: SplitResult, credentials: Credentials, token: str | None, service_type: ServiceType, max_bytes: int
) -> Server:
    if url.scheme in ("grpc", "grpcs"):
        from seldon_spec.remote.grpc_server import GrpcServer  # not at the top: importing grpcio takes long

        roots = credentials.root_certificates() if url.scheme == "grpcs" else None
        return GrpcServer(url, roots, token, service_type, max_bytes)
    tls = make_tls_context(credentials) if url.scheme == "https" else None
    return HttpServer(url, tls, token, max_bytes)


def _list_metadata(context: str | BaseContext | None, headers: frozenset[bytes]) -> Metadata:
    """Return the ID of a request, and those of the headers that it has."""
    request_id = find_request_id()
    is_sendable = request_id is not None and _VISIBLE.fullmatch(request_id)
    found = [("seldon-puid", str(request_id))] if is_sendable else []
    if isinstance(context, BaseContext):
        for name in headers:
            value = context.find_header(name)
            if value is not None and _SENDABLE.fullmatch(value):
                found.append((name.decode(), value.decode()))
    return found
