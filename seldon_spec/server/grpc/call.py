"""Calls of the methods of a protocol: unary calls and streams of the model, and calls that do not need the model."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from seldon_spec.errors import RequestError
from seldon_spec.inference.message import Operation
from seldon_spec.inference.request import Codec
from seldon_spec.observability.request_context import ID_HEADER, ContextFactory, Find, RequestContext, working_on
from seldon_spec.protocols.grpc_protocol import DirectMethod, GrpcProtocol, StreamMethod
from seldon_spec.server.bridge import ExecutorBridge, PendingCall
from seldon_spec.transport.grpc.call import CallHandler, GrpcCall, RefusedCall, SingleCall, StreamCall
from seldon_spec.transport.grpc.headers import ACCEPT_ENCODING, INITIAL_METADATA, write_trailers
from seldon_spec.transport.grpc.messages import Message
from seldon_spec.transport.http2.fields import Fields, write_text
from seldon_spec.transport.http2.frame_sender import FrameSender
from seldon_spec.transport.http2.receive_windows import ReceiveWindows

_ID_HEADERS = INITIAL_METADATA + b"\0" + write_text(ID_HEADER)
"""The first headers of a response up to the value of the request's ID."""


@dataclass(slots=True)
class MethodHandler(CallHandler):
    """Handles the calls of a method with the same headers.

    Attributes:
        find: returns the values of the header fields that are used.
        fields: all header fields.
    """

    find: Find
    fields: Fields


@dataclass(slots=True)
class ModelHandler(MethodHandler):
    """Handles calls of the model.

    Attributes:
        bridge: to the model threads.
        operation: of the model.
        codec, compressed_codec: of messages that are not compressed, and of those that are.
        unbound_codecs: the same two, without the metadata of these calls.
        protocol: of the method.
    """

    bridge: ExecutorBridge
    operation: Operation
    codec: Codec
    compressed_codec: Codec
    unbound_codecs: tuple[Codec, Codec]
    protocol: GrpcProtocol


@dataclass(slots=True)
class StreamHandler(ModelHandler):
    """Handles streams of messages to the model.

    Attributes:
        method: encodes the responses.
    """

    method: StreamMethod


@dataclass(slots=True)
class DirectHandler(MethodHandler):
    """Handles calls that do not need the model.

    Attributes:
        method: has the responses.
    """

    method: DirectMethod


class MethodCall(GrpcCall):
    """A call of a method, with its context.

    Args:
        handler: of calls with these headers.
        timeout_seconds: of this call; None: no timeout.
        contexts: creates the context; None: calls have none.
        encoded_id: see ``ContextFactory.take``.
        sender, windows, stream_id: see ``Stream``.
    """

    __slots__ = ("_call", "_context", "_contexts", "_encoded_id", "_timeout_seconds")

    def __init__(
        self,
        handler: MethodHandler,
        timeout_seconds: float | None,
        contexts: ContextFactory | None,
        encoded_id: bytes,
        sender: FrameSender,
        windows: ReceiveWindows,
        stream_id: int,
    ) -> None:
        super().__init__(handler, sender, windows, stream_id)
        self._timeout_seconds = timeout_seconds
        self._contexts = contexts
        self._encoded_id = encoded_id
        self._context: RequestContext | None = None
        self._call: PendingCall | None = None

    def open(self) -> None:
        if self._timeout_seconds is not None:
            self._deadline = self._handler.deadlines.add(self._timeout_seconds, self)

    def begin_context(self) -> None:
        """Create the context, if calls have one: the request is complete."""
        self._context = None if self._contexts is None else self._contexts.take(self._encoded_id)

    def end_context(self, status: str) -> bytes:
        """End the context, if there is one; returns the first headers of the response."""
        context, self._context = self._context, None
        if context is None or self._contexts is None:
            return INITIAL_METADATA
        return end_context(self._contexts, context, status)

    def fail(self, error: BaseException) -> None:
        with working_on(self._context):
            super().fail(error)

    def end(self, status: str, text: str = "") -> None:
        if self._context is None and not self.has_sent_headers:
            self.begin_context()
        if self._context is not None:
            headers = self.end_context(status)
            if not self.has_sent_headers:
                self.sender.send_headers(self, headers)
        super().end(status, text)

    def lose(self) -> None:
        super().lose()
        context, self._context = self._context, None
        if context is not None and self._contexts is not None:
            self._contexts.abandon(context)


class ModelCall(MethodCall):
    """A call whose messages are handled by the model."""

    __slots__ = ()

    _handler: ModelHandler

    def submit(self, message: Message) -> None:
        """Call the model; ``finish`` is called later."""
        handler = self._handler
        codec = handler.compressed_codec if self._is_compressed else handler.codec
        self.begin_context()
        self._call = call = handler.bridge.submit(handler.operation, message, codec, _finish, self, self._context)
        if self._deadline is not None and self._deadline.ends_at < call.deadline:
            call.deadline = self._deadline.ends_at
        if self.sender.is_congested:
            self.hold()

    @abstractmethod
    def finish(self, call: PendingCall) -> None:
        """Process the result of the model."""

    def hold(self) -> None:
        if self._call is not None:
            self._handler.bridge.hold(self._call)

    def release(self) -> None:
        if self._call is not None:
            self._handler.bridge.release(self._call)

    def lose(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            self._handler.bridge.cancel(call)
        super().lose()


class UnaryCall(ModelCall, SingleCall):
    """A call of the model with one message in each direction."""

    __slots__ = ()

    begin = ModelCall.submit

    def finish(self, call: PendingCall) -> None:
        self._call = None
        if call.response is None:
            assert call.error is not None
            self.fail(call.error)
        else:
            self.respond(call.response.content, self.end_context("OK"))


class LoadedUnaryCall(UnaryCall):
    """A unary call that fails while the model is not loaded."""

    __slots__ = ()

    def begin(self, message: Message) -> None:
        check_loaded = self._handler.protocol.check_loaded
        assert check_loaded is not None
        check_loaded()
        self.submit(message)


class ModelStreamCall(ModelCall, StreamCall):
    """A stream of messages, each of which calls the model and has its own context."""

    __slots__ = ("_identity",)

    _handler: StreamHandler

    def process(self, message: Message) -> None:
        method, check_loaded = self._handler.method, self._handler.protocol.check_loaded
        if method.encode_error is None:
            self.submit(message)
            return
        message = self.read_plain(message)
        self._is_compressed = False
        self._identity = method.identify(message)
        try:
            if check_loaded is not None:
                check_loaded()
            self.submit(message)
        except RequestError as error:
            if self._context is None:
                self.begin_context()
            self._reply_error(error)

    def make_headers(self) -> bytes:
        self.begin_context()
        return self.end_context("OK")

    def finish(self, call: PendingCall) -> None:
        self._call = None
        if call.response is not None:
            self.reply(self._handler.method.wrap(call.response.body), self.end_context("OK"))
            return
        assert call.error is not None
        if self._handler.method.encode_error is None:
            self.fail(call.error)
        else:
            self._reply_error(call.error)

    def _reply_error(self, error: BaseException) -> None:
        encode_error = self._handler.method.encode_error
        assert encode_error is not None
        with working_on(self._context):
            status, _ = self._handler.describe(error)
        self.reply(encode_error(error, self._identity), self.end_context(status))


class DirectCall(MethodCall, SingleCall):
    """A call that does not need the model."""

    __slots__ = ()

    _handler: DirectHandler

    def begin(self, message: Message) -> None:
        self.begin_context()
        response = self._handler.method.respond(bytes(self.read_plain(message)))
        self.respond(response, self.end_context("OK"))


def end_context(contexts: ContextFactory, context: RequestContext, status: str) -> bytes:
    """End the context of a call; returns the first headers of the response, with the request's ID."""
    contexts.end(context, status)
    return _ID_HEADERS + (context.encoded_id or write_text(context.id.encode()))


def _finish(call: PendingCall) -> None:
    call.owner.finish(call)


class LoggedRefusal(RefusedCall):
    """A refused call with a context.

    Args:
        contexts: creates the context.
        status: name of the status.
        text: for the client.
        sender, windows, stream_id: see ``Stream``.
    """

    __slots__ = ("_contexts", "_status")

    def __init__(
        self,
        contexts: ContextFactory,
        status: str,
        text: str,
        sender: FrameSender,
        windows: ReceiveWindows,
        stream_id: int,
    ) -> None:
        super().__init__(write_trailers(status, text), sender, windows, stream_id)
        self._contexts = contexts
        self._status = status

    def open(self) -> None:
        headers = end_context(self._contexts, self._contexts.take(), self._status)
        self.sender.send_headers(self, headers + ACCEPT_ENCODING)
        self.sender.send_trailers(self, self._headers)
