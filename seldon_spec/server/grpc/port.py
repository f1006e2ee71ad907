"""The gRPC port of the native engine: which call is answered how.

A client's channel may be silent for hours, and is kept: after ``keep_alive_seconds`` it is asked for a sign of life,
and only one that gives none within ``header_timeout_seconds`` is closed.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from seldon_spec.config.model import Spec
from seldon_spec.errors import RequestError, UnsupportedOperation
from seldon_spec.inference.message import Operation
from seldon_spec.observability.request_context import (
    ID_HEADERS,
    SOUND_ID,
    ContextFactory,
    Find,
    RequestLog,
    VaryingContextFactory,
)
from seldon_spec.protocols.seldon_v1.errors import describe
from seldon_spec.protocols.seldon_v1.grpc_methods import (
    HEALTH_SERVICE,
    METHODS,
    REFLECTION_SERVICES,
    refuse_graph_metadata,
)
from seldon_spec.protocols.seldon_v1.proto import PACKAGE
from seldon_spec.protocols.seldon_v1.proto_codec import ProtoCodec
from seldon_spec.server.auth import TokenAuth
from seldon_spec.server.bridge import ExecutorBridge
from seldon_spec.server.grpc.call import (
    MalformedCall,
    NotedRefusal,
    OperationHandler,
    PackedProtoCodec,
    RefusedCall,
    UnaryCall,
)
from seldon_spec.server.grpc.health import CheckCall, Health, HealthHandler, ServingStatus, WatchCall
from seldon_spec.server.grpc.reflection import Reflection, ReflectionCall, ReflectionHandler
from seldon_spec.transport.capacity import Capacity
from seldon_spec.transport.grpc.deadlines import Deadlines
from seldon_spec.transport.grpc.headers import (
    ENCODINGS,
    CallHead,
    first_values,
    read_head,
    read_timeout,
    write_bare,
    write_http_refusal,
)
from seldon_spec.transport.http2.block_templates import MakeVaried, Use, decode_text
from seldon_spec.transport.http2.connection import FIRST_WINDOW, MAX_HEADER_LIST_BYTES, H2Connection, H2Limits
from seldon_spec.transport.http2.fields import MAX_FIELDS, Fields, HeaderBlockCache
from seldon_spec.transport.http2.frames import MAX_WINDOW
from seldon_spec.transport.http2.stream import Carrier, Open, Stream
from seldon_spec.transport.http2.validity import MalformedMessage, check_request
from seldon_spec.transport.listener import Listener

_USES = {b"authorization": Use.TEXT, b"grpc-timeout": Use.TEXT, **dict.fromkeys(ID_HEADERS, Use.ID)}
"""What the fields are needed for that may differ between calls with one plan."""

_MIN_BUDGET_BYTES = 1 << 20
_BUDGET_MESSAGES = 4
"""So many of the longest messages a connection may have under way at once."""

_SMALL_MESSAGE_BYTES = 16384
"""The longest message that the services of health and reflection take."""


class GrpcPort(Listener):
    """A listening socket of gRPC; belongs to the running event loop.

    Args:
        lane: answers the operations.
        notes: takes and ends the notes of their calls.
        spec: its bounds are used.
        listening: the socket.
        tls: None: plain text.
        capacity: see ``Listener``.

    Attributes:
        limits: what a client may take.
        heads: those that were seen before.
    """

    def __init__(
        self,
        lane: ExecutorBridge,
        notes: RequestLog,
        spec: Spec,
        listening: socket.socket,
        tls: ssl.SSLContext | None = None,
        *,
        capacity: Capacity,
    ) -> None:
        server = spec.server
        super().__init__(listening, server.max_connections, tls, server.header_timeout_seconds, capacity=capacity)
        self._lane = lane
        self._notes = notes
        self._max_bytes = min(server.max_message_bytes, MAX_WINDOW - FIRST_WINDOW)
        self._codec = ProtoCodec()
        self._packed_codecs = {
            encoding: PackedProtoCodec(encoding, self._max_bytes) for encoding in ENCODINGS if encoding != "identity"
        }
        self._guard = TokenAuth(server.auth)
        self._health = Health()
        self._deadlines = Deadlines(self._loop)
        self._methods = self._make_methods()
        self.call_soon: Callable[[Callable[[], None]], Any] = self._loop.call_soon
        self.call_later: Callable[[float, Callable[[], None]], Any] = self._loop.call_later
        uses = {**dict.fromkeys(notes.tracer_headers, Use.TEXT), **_USES}
        self.heads: HeaderBlockCache[Open] = HeaderBlockCache(self._open, self._vary, uses, SOUND_ID.fullmatch)
        self.limits = H2Limits(
            budget_bytes=max(_BUDGET_MESSAGES * self._max_bytes, _MIN_BUDGET_BYTES),
            header_timeout_seconds=server.header_timeout_seconds,
            body_timeout_seconds=server.body_timeout_seconds,
            keep_alive_seconds=server.keep_alive_seconds,
        )

    def make_connection(self) -> H2Connection:
        """See ``Listener``."""
        return H2Connection(self)

    def set_serving(self) -> None:
        """Have the health service say SERVING."""
        self._health.set(ServingStatus.SERVING)

    def set_not_serving(self) -> None:
        """Have it say NOT_SERVING; calls are answered as before."""
        self._health.set(ServingStatus.NOT_SERVING)

    async def drain(self) -> None:
        """Take no more calls, and wait until those under way have been answered."""
        self.set_not_serving()
        await super().drain()

    async def close(self) -> None:
        """See ``Listener``."""
        for connection in list(self._connections):
            if isinstance(connection, H2Connection):
                connection.end()
        await super().close()

    # From a head to its stream

    def _make_methods(self) -> dict[bytes, Callable[[CallHead], Open]]:
        """What makes the streams of a method's calls, by its path."""
        methods: dict[bytes, Callable[[CallHead], Open]] = {
            f"/{PACKAGE}.{service}/{name}".encode(): partial(self._plan_operation, operation)
            for service, operations in METHODS.items()
            for name, operation in operations.items()
        }
        health, reflection, deadlines = self._health, Reflection(), self._deadlines
        methods[f"/{HEALTH_SERVICE}/Check".encode()] = lambda head: partial(
            CheckCall, HealthHandler(_SMALL_MESSAGE_BYTES, head.encoding, head.timeout_seconds, deadlines, health)
        )
        methods[f"/{HEALTH_SERVICE}/Watch".encode()] = lambda head: partial(
            WatchCall, HealthHandler(_SMALL_MESSAGE_BYTES, head.encoding, head.timeout_seconds, deadlines, health)
        )
        for service in REFLECTION_SERVICES:
            methods[f"/{service}/ServerReflectionInfo".encode()] = lambda head: partial(
                ReflectionCall,
                ReflectionHandler(_SMALL_MESSAGE_BYTES, head.encoding, head.timeout_seconds, deadlines, reflection),
            )
        return methods

    def _plan_operation(self, operation: Operation | None, head: CallHead) -> Open:
        if operation is None:
            raise refuse_graph_metadata()
        plan = OperationHandler(
            max_bytes=self._max_bytes,
            encoding=head.encoding,
            timeout_seconds=head.timeout_seconds,
            deadlines=self._deadlines,
            lane=self._lane,
            operation=operation,
            codec=self._codec,
            packed_codec=self._packed_codecs.get(head.encoding, self._codec),
            find=head.find,
        )
        return partial(UnaryCall, plan, plan.timeout_seconds, self._plan_notes(head.find), b"")

    def _vary(self, open_call: Open, names: Sequence[bytes]) -> MakeVaried[Open] | None:
        """Return what makes the calls whose headers differ from those of one only in the values of these fields."""
        if not isinstance(open_call, partial) or open_call.func is not UnaryCall:
            return None
        places = {name: place for place, name in enumerate(names)}
        return _VariedCalls(open_call, places, self._guard, self._notes).make

    def _open(self, fields: Fields) -> Open:
        """Choose what handles the requests with these header fields."""
        try:
            length = check_request(fields)
        except MalformedMessage:
            return partial(MalformedCall, b"")
        try:
            handler = self._choose(read_head(fields), len(fields))
        except RequestError as error:
            handler = self._refuse(error, first_values(fields).get)
        return handler if length is None else partial(_open_with_length, handler, length)

    def _refuse(self, error: RequestError, find: Find) -> Open:
        failure = describe(error)
        notes = self._plan_notes(find)
        if notes is None:
            return partial(RefusedCall, write_bare(failure.grpc, failure.details))
        return partial(NotedRefusal, notes, failure.grpc, failure.details)

    def _plan_notes(self, find: Find) -> ContextFactory | None:
        return self._notes.plan(find, "grpc", "POST", _read_route(find))

    def _choose(self, head: CallHead, field_count: int) -> Open:
        if head.method != b"POST":
            return partial(RefusedCall, write_http_refusal(405))
        kind = head.content_type.partition(b";")[0].strip()
        if kind != b"application/grpc" and not kind.startswith(b"application/grpc+"):
            return partial(RefusedCall, write_http_refusal(415))
        self._guard.check_grpc(head.path, head.find)
        if head.size > MAX_HEADER_LIST_BYTES:
            text = f"the metadata are longer than {MAX_HEADER_LIST_BYTES} bytes"
            return partial(RefusedCall, write_bare("RESOURCE_EXHAUSTED", text))
        if field_count > MAX_FIELDS:
            text = f"there are more than {MAX_FIELDS} metadata"
            return partial(RefusedCall, write_bare("RESOURCE_EXHAUSTED", text))
        if head.encoding not in ENCODINGS:
            raise UnsupportedOperation(f"messages cannot be compressed by {head.encoding}")
        make = self._methods.get(head.path)
        if make is None:
            raise UnsupportedOperation("there is no such method")
        return make(head)


def _open_with_length(handler: Open, length: int, carrier: Carrier, stream_id: int, window: int) -> Stream:
    """Open a stream whose request announces the length of its body."""
    stream = handler(carrier, stream_id, window)
    stream.content_left = length
    return stream


def _read_route(find: Find) -> str:
    return (find(b":path") or b"").decode(errors="replace")


class _VariedCalls:
    """Makes the calls whose headers differ in the values of some fields.

    Args:
        open_call: makes one of these calls.
        places: the places of the values by the names of the fields.
        guard: checks each token.
        notes: of each call.
    """

    def __init__(
        self, open_call: partial[UnaryCall], places: Mapping[bytes, int], guard: TokenAuth, notes: RequestLog
    ) -> None:
        self._plan, self._seconds, self._constant_notes, _ = open_call.args
        find = self._plan.find
        self._guard = guard
        self._path = find(b":path") or b""
        self._token_place = places.get(b"authorization") if guard.is_closed else None
        self._timeout_place = places.get(b"grpc-timeout")
        has_notes = not notes.headers.isdisjoint(places)
        self._notes = (
            VaryingContextFactory(notes, find, places, "grpc", "POST", _read_route(find), decode_text)
            if has_notes
            else None
        )

    def make(self, values: Sequence[bytes]) -> Open | None:
        """Return the call with these values; None if it is refused, where all of its fields are read."""
        try:
            if self._token_place is not None:
                token = values[self._token_place]
                self._guard.check_grpc(self._path, lambda _name: token)
            seconds = self._seconds if self._timeout_place is None else read_timeout(values[self._timeout_place])
        except RequestError:
            return None
        notes, encoded_id = (self._constant_notes, b"") if self._notes is None else self._notes.plan_encoded(values)
        return partial(UnaryCall, self._plan, seconds, notes, encoded_id)
