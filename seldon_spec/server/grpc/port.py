"""The gRPC port of the native engine: from the headers of a call to its handler.

A client may keep a silent connection for hours. After ``keep_alive_seconds`` it gets a PING; the connection is closed
if it is not acknowledged within ``header_timeout_seconds``.
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

from seldon_spec.config.model import Spec
from seldon_spec.errors import RequestError, SeldonSpecError, UnsupportedOperation
from seldon_spec.inference.request import Codec
from seldon_spec.observability.request_context import (
    ID_HEADERS,
    SOUND_ID,
    ContextFactory,
    Find,
    RequestLog,
    VaryingContextFactory,
)
from seldon_spec.protocols.grpc_protocol import DirectMethod, GrpcMethod, GrpcProtocol, Metadata, StreamMethod
from seldon_spec.server.auth import TokenAuth
from seldon_spec.server.bridge import ExecutorBridge
from seldon_spec.server.grpc.call import (
    DirectCall,
    DirectHandler,
    LoadedUnaryCall,
    LoggedRefusal,
    MethodCall,
    ModelHandler,
    ModelStreamCall,
    StreamHandler,
    UnaryCall,
)
from seldon_spec.transport.capacity import Capacity
from seldon_spec.transport.grpc.call import MalformedCall, RefusedCall
from seldon_spec.transport.grpc.deadlines import Deadlines
from seldon_spec.transport.grpc.headers import (
    ENCODINGS,
    CallHead,
    first_values,
    read_head,
    read_timeout,
    write_http_refusal,
    write_trailers_only,
)
from seldon_spec.transport.grpc.health import (
    HEALTH_SERVICE,
    CheckCall,
    Health,
    HealthHandler,
    ServingStatus,
    WatchCall,
)
from seldon_spec.transport.grpc.messages import decompress
from seldon_spec.transport.grpc.reflection import (
    REFLECTION_SERVICES,
    Reflection,
    ReflectionCall,
    ReflectionHandler,
)
from seldon_spec.transport.http2.block_templates import MakeVaried, Use, decode_text
from seldon_spec.transport.http2.connection import MAX_HEADER_LIST_BYTES, H2Connection
from seldon_spec.transport.http2.fields import MAX_FIELDS, Fields, HeaderBlockCache
from seldon_spec.transport.http2.frame_sender import FrameSender
from seldon_spec.transport.http2.frames import MAX_WINDOW
from seldon_spec.transport.http2.port import H2Limits
from seldon_spec.transport.http2.receive_windows import FIRST_WINDOW, ReceiveWindows
from seldon_spec.transport.http2.stream import Open, Stream
from seldon_spec.transport.http2.validity import MalformedMessage, check_request
from seldon_spec.transport.listener import Listener

logger = logging.getLogger(__name__)

_USES = {b"authorization": Use.TEXT, b"grpc-timeout": Use.TEXT}
"""The use of header fields whose values may differ between calls with one handler, beside those of contexts."""

_MIN_BUDGET_BYTES = 1 << 20
_BUDGET_MESSAGES = 4
"""So many of the longest messages may be received on one connection at the same time."""

_SMALL_MESSAGE_BYTES = 16384
"""Limit of the messages of health and reflection."""

Describe = Callable[[BaseException], tuple[str, str]]


class GrpcPort(Listener):
    """A listening socket of gRPC, on the running event loop.

    Args:
        bridge: to the model threads.
        request_log: creates and ends the contexts of calls.
        spec: its limits are used.
        protocols: whose services are served; the errors of other calls are described by the first one.
        listening: the socket.
        tls: None: plain text.
        capacity: shared by all listeners of a worker.

    Attributes:
        limits: of each connection.
        heads: what handles calls, by header blocks that were seen before.
    """

    def __init__(
        self,
        bridge: ExecutorBridge,
        request_log: RequestLog,
        spec: Spec,
        protocols: Sequence[GrpcProtocol],
        listening: socket.socket,
        tls: ssl.SSLContext | None = None,
        *,
        capacity: Capacity,
    ) -> None:
        server = spec.server
        super().__init__(listening, server.max_connections, tls, server.header_timeout_seconds, capacity=capacity)
        self._bridge = bridge
        self._request_log = request_log
        self._max_bytes = min(server.max_message_bytes, MAX_WINDOW - FIRST_WINDOW)
        self._auth = TokenAuth(server.auth, frozenset(path for protocol in protocols for path in protocol.open_paths))
        self._health = Health([service for protocol in protocols for service in protocol.services])
        self._deadlines = Deadlines(self._loop)
        self._describe: Describe = partial(_describe, protocols[0].describe)
        self._methods = self._make_methods(protocols)
        self.call_soon: Callable[[Callable[[], None]], Any] = self._loop.call_soon
        self.call_later: Callable[[float, Callable[[], None]], Any] = self._loop.call_later
        id_use = Use.ID if request_log.text_headers.isdisjoint(ID_HEADERS) else Use.TEXT
        uses = {**dict.fromkeys(request_log.text_headers, Use.TEXT), **_USES, **dict.fromkeys(ID_HEADERS, id_use)}
        self._uses = uses
        self.heads: HeaderBlockCache[Open] = HeaderBlockCache(self._find_handler, self._vary, uses, SOUND_ID.fullmatch)
        self.limits = H2Limits(
            budget_bytes=max(_BUDGET_MESSAGES * self._max_bytes, _MIN_BUDGET_BYTES),
            header_timeout_seconds=server.header_timeout_seconds,
            body_timeout_seconds=server.body_timeout_seconds,
            keep_alive_seconds=server.keep_alive_seconds,
        )

    def make_connection(self) -> H2Connection:
        return H2Connection(self)

    def set_serving(self) -> None:
        """Set the health service to SERVING."""
        self._health.set(ServingStatus.SERVING)

    def set_not_serving(self) -> None:
        """Set the health service to NOT_SERVING; calls are still handled."""
        self._health.set(ServingStatus.NOT_SERVING)

    async def drain(self) -> None:
        self.set_not_serving()
        await super().drain()

    async def close(self) -> None:
        for connection in list(self._connections):
            if isinstance(connection, H2Connection):
                connection.end()
        await super().close()

    # The handlers of methods

    def _make_methods(self, protocols: Sequence[GrpcProtocol]) -> dict[bytes, Callable[[CallHead], Open]]:
        """Return what creates the calls of each method, given their headers, by the path of the method."""
        methods: dict[bytes, Callable[[CallHead], Open]] = {}
        for protocol in protocols:
            open_call = self._make_opener(protocol)
            for service, named in protocol.services.items():
                for name, method in named.items():
                    methods[f"/{service}/{name}".encode()] = partial(open_call, method)
        reflection = Reflection(
            [service for protocol in protocols for service in protocol.services],
            [protocol.pool for protocol in protocols],
        )
        methods[f"/{HEALTH_SERVICE}/Check".encode()] = lambda head: partial(
            CheckCall, HealthHandler(*self._handler_arguments(head), self._health)
        )
        methods[f"/{HEALTH_SERVICE}/Watch".encode()] = lambda head: partial(
            WatchCall, HealthHandler(*self._handler_arguments(head), self._health)
        )
        for service in REFLECTION_SERVICES:
            methods[f"/{service}/ServerReflectionInfo".encode()] = lambda head: partial(
                ReflectionCall, ReflectionHandler(*self._handler_arguments(head), reflection)
            )
        return methods

    def _handler_arguments(self, head: CallHead) -> tuple[int, str, float | None, Deadlines, Describe]:
        return _SMALL_MESSAGE_BYTES, head.encoding, head.timeout_seconds, self._deadlines, self._describe

    def _make_opener(self, protocol: GrpcProtocol) -> Callable[[GrpcMethod, CallHead], Open]:
        """Return what creates the calls of a protocol's methods, given the method and the headers of the call."""
        codec = protocol.make_codec(None)
        compressed_codecs = {
            encoding: protocol.make_codec(partial(decompress, encoding, max_bytes=self._max_bytes))
            for encoding in ENCODINGS
            if encoding != "identity"
        }
        describe, bind = partial(_describe, protocol.describe), protocol.bind_codec
        unary_call = UnaryCall if protocol.check_loaded is None else LoadedUnaryCall

        def open_call(method: GrpcMethod, head: CallHead) -> Open:
            seconds, contexts = head.timeout_seconds, self._find_contexts(head.find)
            common = (self._max_bytes, head.encoding, seconds, self._deadlines, describe, head.find, head.fields)
            if isinstance(method, DirectMethod):
                return partial(DirectCall, DirectHandler(*common, method), seconds, contexts, b"")
            unbound = codecs = codec, compressed_codecs.get(head.encoding, codec)
            if bind is not None:
                codecs = bind(codec, head.fields), bind(unbound[1], head.fields)
            model = (*common, self._bridge, method.operation, *codecs, unbound, protocol)
            if isinstance(method, StreamMethod):
                return partial(ModelStreamCall, StreamHandler(*model, method), seconds, contexts, b"")
            return partial(unary_call, ModelHandler(*model), seconds, contexts, b"")

        return open_call

    # From header fields to a handler

    def _find_handler(self, fields: Fields) -> Open:
        """Return what creates the streams of requests with these header fields."""
        try:
            length = check_request(fields)
        except MalformedMessage:
            return partial(MalformedCall, b"")
        try:
            open_call = self._find_call(read_head(fields), len(fields))
        except RequestError as error:
            open_call = self._refuse(error, first_values(fields).get)
        return open_call if length is None else partial(_open_with_length, open_call, length)

    def _find_call(self, head: CallHead, field_count: int) -> Open:
        if head.method != b"POST":
            return partial(RefusedCall, write_http_refusal(405))
        content_type = head.content_type.partition(b";")[0].strip()
        if content_type != b"application/grpc" and not content_type.startswith(b"application/grpc+"):
            return partial(RefusedCall, write_http_refusal(415))
        self._auth.check_grpc(head.path, head.find)
        if head.size > MAX_HEADER_LIST_BYTES:
            text = f"the metadata are longer than {MAX_HEADER_LIST_BYTES} bytes"
            return partial(RefusedCall, write_trailers_only("RESOURCE_EXHAUSTED", text))
        if field_count > MAX_FIELDS:
            text = f"there are more than {MAX_FIELDS} metadata"
            return partial(RefusedCall, write_trailers_only("RESOURCE_EXHAUSTED", text))
        if head.encoding not in ENCODINGS:
            raise UnsupportedOperation(f"messages cannot be compressed by {head.encoding}")
        open_call = self._methods.get(head.path)
        if open_call is None:
            raise UnsupportedOperation("there is no such method")
        return open_call(head)

    def _refuse(self, error: RequestError, find: Find) -> Open:
        status, text = self._describe(error)
        contexts = self._find_contexts(find)
        if contexts is None:
            return partial(RefusedCall, write_trailers_only(status, text))
        return partial(LoggedRefusal, contexts, status, text)

    def _find_contexts(self, find: Find) -> ContextFactory | None:
        return self._request_log.plan(find, "grpc", "POST", _read_route(find))

    def _vary(self, open_call: Open, names: Sequence[bytes]) -> MakeVaried[Open] | None:
        """Return what creates the calls whose headers differ from those of one only in the values of these fields."""
        if not isinstance(open_call, partial) or not issubclass(cast("type", open_call.func), MethodCall):
            return None
        handler = open_call.args[0]
        if isinstance(handler, ModelHandler) and handler.protocol.bind_codec is not None:
            without_values = set(names) - self._uses.keys()  # a template does not keep theirs
            if not handler.protocol.ignored_metadata.issuperset(without_values):
                return None
        places = {name: place for place, name in enumerate(names)}
        return _VariedCalls(open_call, places, self._uses, self._auth, self._request_log).open_call


def _open_with_length(
    open_call: Open, length: int, sender: FrameSender, windows: ReceiveWindows, stream_id: int
) -> Stream:
    """Open a stream whose request announces the length of its body."""
    stream = open_call(sender, windows, stream_id)
    stream.content_left = length
    return stream


def _describe(describe: Describe, error: BaseException) -> tuple[str, str]:
    """Return the status and the text of an error; log one that is unexpected."""
    if not isinstance(error, SeldonSpecError):
        logger.error("unexpected error in a gRPC call: %s", error, exc_info=error)
    return describe(error)


def _read_route(find: Find) -> str:
    return (find(b":path") or b"").decode(errors="replace")


class _VariedCalls:
    """Creates the calls whose headers differ in the values of some fields.

    Args:
        open_call: creates one of these calls.
        places: the places of the values by the names of the fields.
        uses: of the values by the names of the fields.
        auth: checks each token.
        request_log: creates the contexts of the calls.
    """

    def __init__(
        self,
        open_call: partial[MethodCall],
        places: Mapping[bytes, int],
        uses: Mapping[bytes, Use],
        auth: TokenAuth,
        request_log: RequestLog,
    ) -> None:
        self._call: Callable[..., Stream] = open_call.func
        self._handler, self._seconds, self._constant_contexts, _ = open_call.args
        find = self._handler.find
        self._auth = auth
        self._path = find(b":path") or b""
        self._token_place = places.get(b"authorization") if auth.is_closed else None
        self._timeout_place = places.get(b"grpc-timeout")
        self._places = places
        self._id_places = {place for name, place in places.items() if uses.get(name) is Use.ID}
        self._bind = None
        if isinstance(self._handler, ModelHandler) and not self._handler.protocol.ignored_metadata.issuperset(places):
            self._bind = self._handler.protocol.bind_codec
        self._contexts = None
        self._has_text_ids = not request_log.text_headers.isdisjoint(ID_HEADERS)
        if not request_log.headers.isdisjoint(places):
            route = _read_route(find)
            self._contexts = VaryingContextFactory(request_log, find, places, "grpc", "POST", route, decode_text)

    def open_call(self, values: Sequence[bytes]) -> Open | None:
        """Return what creates the call with these values; None: it is refused, where all of its fields are read."""
        try:
            if self._token_place is not None:
                token = values[self._token_place]
                self._auth.check_grpc(self._path, lambda _name: token)
            seconds = self._seconds if self._timeout_place is None else read_timeout(values[self._timeout_place])
        except RequestError:
            return None
        handler = self._handler
        if self._bind is not None:
            if not all(values[place] for place in self._id_places):  # its text is not among the values
                return None
            handler = self._rebind(self._bind, values)
        if self._contexts is None:
            return partial(self._call, handler, seconds, self._constant_contexts, b"")
        if self._has_text_ids:
            return partial(self._call, handler, seconds, self._contexts.plan(values), b"")
        return partial(self._call, handler, seconds, *self._contexts.plan_encoded(values))

    def _rebind(self, bind: Callable[[Codec, Metadata], Codec], values: Sequence[bytes]) -> ModelHandler:
        """Return the handler with codecs for the metadata of the call with these values."""
        handler: ModelHandler = self._handler
        texts = [decode_text(value) if place in self._id_places else value for place, value in enumerate(values)]
        metadata = [
            (name, texts[self._places[name]] if name in self._places else value) for name, value in handler.fields
        ]
        codec, compressed_codec = handler.unbound_codecs
        return replace(handler, codec=bind(codec, metadata), compressed_codec=bind(compressed_codec, metadata))
