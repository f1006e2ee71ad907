"""A call of gRPC on a stream of HTTP/2: bytes to messages, answers and errors back; and the calls of our methods."""

from __future__ import annotations

import logging
import struct
import zlib
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

from seldon_spec.errors import ClientTooSlow, MalformedRequest, NotServing, Overloaded, SeldonSpecError, TooLarge
from seldon_spec.inference.message import Operation, Request
from seldon_spec.observability.request_context import ID_HEADER, ContextFactory, Find, RequestContext, working_on
from seldon_spec.protocols.seldon_v1.errors import describe
from seldon_spec.protocols.seldon_v1.fast.proto import Wire
from seldon_spec.protocols.seldon_v1.proto_codec import ProtoCodec
from seldon_spec.server.bridge import ExecutorBridge, PendingCall
from seldon_spec.transport.buffers import LARGE_BYTES, MmapBuffer
from seldon_spec.transport.grpc.deadlines import Deadlines, Slot
from seldon_spec.transport.grpc.headers import ACCEPTED, HEAD, OK_TAIL, write_bare, write_tail
from seldon_spec.transport.http2.fields import write_text
from seldon_spec.transport.http2.frames import ErrorCode
from seldon_spec.transport.http2.stream import Carrier, Piece, Stream

logger = logging.getLogger(__name__)

_ID_HEAD = HEAD + b"\0" + write_text(ID_HEADER)
"""The first headers of an answer up to the value of the call's id."""

_PREFIX = struct.Struct(">BI")
PREFIX_BYTES = _PREFIX.size
_SMALL_BYTES = 16384
"""Shorter pieces are gathered in one buffer; longer ones are kept as they are, and copied once."""

_WBITS = {"gzip": 31, "deflate": 15}


def write_prefix(message: bytes) -> bytes:
    """What stands before a message that is sent."""
    return _PREFIX.pack(0, len(message))


class RpcError(Exception):
    """The call ends with a status that no error of the house has.

    Args:
        status: its name.
        text: for the client.
    """

    def __init__(self, status: str, text: str) -> None:
        super().__init__(text)
        self.status = status


def unpack(encoding: str, message: Wire, max_bytes: int) -> bytes:
    """Decompress a message.

    Raises:
        MalformedRequest: it is not what ``encoding`` says.
        TooLarge: it would be longer than ``max_bytes``; no more than that is decompressed.
    """
    inflater = zlib.decompressobj(_WBITS[encoding])
    try:
        plain = inflater.decompress(message, max_bytes + 1)
    except zlib.error as error:
        raise MalformedRequest(f"the message cannot be decompressed: {error}") from None
    if len(plain) > max_bytes:
        raise too_large(max_bytes)
    if not inflater.eof:
        raise MalformedRequest("the message cannot be decompressed: it ends too early")
    return plain


def too_large(max_bytes: int) -> TooLarge:
    """What a message that is too long is answered with."""
    return TooLarge(f"the message is larger than server.max_message_bytes, {max_bytes}")


class PackedProtoCodec(ProtoCodec):
    """Takes compressed messages; they are decompressed by whoever reads them, one at a time, not by the event loop.

    Args:
        encoding: of the messages.
        max_bytes: of one that has been decompressed.
    """

    def __init__(self, encoding: str, max_bytes: int) -> None:
        self._encoding = encoding
        self._max_bytes = max_bytes

    def decode(self, operation: Operation, wire: Any) -> Request:
        """Return the request of the plain codec; raises what ``unpack`` raises, too."""
        return ProtoCodec().decode(operation, unpack(self._encoding, wire, self._max_bytes))


@dataclass(slots=True)
class CallHandler:
    """What all calls with the same head have in common.

    Attributes:
        max_bytes: of a message.
        encoding: of compressed messages; ``identity``: there are none.
        timeout_seconds: None: the client waits as long as it takes.
        deadlines: of the calls with a timeout.
    """

    max_bytes: int
    encoding: str
    timeout_seconds: float | None
    deadlines: Deadlines


class GrpcCall(Stream):
    """A call: takes messages, each as soon as it is whole.

    Args:
        plan: see there.
        carrier, stream_id, window: see ``Stream``.
    """

    __slots__ = ("_deadline", "_is_packed", "_missing", "_pages", "_parts", "_plan", "_prefix", "_size")

    def __init__(self, plan: CallHandler, carrier: Carrier, stream_id: int, window: int) -> None:
        super().__init__(carrier, stream_id, window)
        self._plan = plan
        self._prefix = b""
        self._parts: list[Any] = []
        self._pages: MmapBuffer | None = None
        self._size = 0
        self._missing = -1
        self._is_packed = False
        self._deadline: Slot | None = None

    @abstractmethod
    def take_message(self, message: Wire) -> None:
        """A message is whole; it may be compressed.

        Raises:
            SeldonSpecError, CallFault: the call ends with it.
        """

    @abstractmethod
    def take_end(self) -> None:
        """The client has sent its last message; raises as ``take_message`` does."""

    def open(self) -> None:
        """See ``Stream``."""
        seconds = self._plan.timeout_seconds
        if seconds is not None:
            self._deadline = self._plan.deadlines.add(seconds, self)

    def receive(self, piece: Piece, *, is_last: bool) -> None:
        """See ``Stream``."""
        try:
            self._read(piece)
            if is_last and not self.is_over:
                if self.is_within_message:
                    raise RpcError("INTERNAL", "the request ended in the midst of a message")
                self.take_end()
        except Exception as error:
            self.refuse(error)

    def _read(self, piece: Piece) -> None:
        """Take the messages that this piece of the body brings to their end."""
        at, end = 0, len(piece)
        while at < end and not self.is_over:
            if self._missing < 0:
                start = at
                at = min(end, at + _PREFIX.size - len(self._prefix))
                self._prefix += bytes(piece[start:at])
                if len(self._prefix) < _PREFIX.size:
                    return
                self._announce(end - at)
            else:
                start = at
                at = min(end, at + self._missing)
                self._missing -= at - start
                self._keep(piece[start:at])
            if not self._missing:
                message = b"".join(self._parts) if self._pages is None else self._pages.view()
                self._parts, self._pages, self._missing = [], None, -1
                self.take_message(message)

    def _announce(self, ahead: int) -> None:
        """A message of known size is about to come, ``ahead`` bytes of it at once."""
        flag, size = _PREFIX.unpack(self._prefix)
        self._prefix = b""
        if size > self._plan.max_bytes:
            raise too_large(self._plan.max_bytes)
        if flag > 1:
            raise RpcError("INTERNAL", f"a message with the unknown flag {flag}")
        if flag and self._plan.encoding == "identity":
            raise RpcError("INTERNAL", "a compressed message without grpc-encoding")
        self._is_packed = bool(flag)
        self._size = self._missing = size
        self._pages = MmapBuffer(size) if size > LARGE_BYTES else None
        if size - ahead > self.room:
            self.carrier.claim(self, size - ahead - self.room)

    def _keep(self, piece: Piece) -> None:
        parts = self._parts
        if self._pages is not None:
            self._pages.extend(piece)
        elif len(piece) >= _SMALL_BYTES or len(piece) == self._size:
            parts.append(piece)
        elif parts and isinstance(parts[-1], bytearray):
            parts[-1] += piece
        else:
            parts.append(bytearray(piece))

    def read_plain(self, message: Wire) -> Wire:
        """The message that has come last, decompressed if it has to be; raises what ``unpack`` does."""
        return unpack(self._plan.encoding, message, self._plan.max_bytes) if self._is_packed else message

    @property
    def is_within_message(self) -> bool:
        """The client has begun a message, and not ended it."""
        return self._missing >= 0 or bool(self._prefix)

    def refuse(self, error: BaseException) -> None:
        """End the call with an error of the request; one of the server's load is not the client's fault."""
        self.is_refused = not isinstance(error, (Overloaded, NotServing))
        self.fail(error)

    def fail(self, error: BaseException) -> None:
        """End the call with an error."""
        if self.is_over:
            return
        if isinstance(error, RpcError):
            self.end(error.status, str(error))
            return
        if not isinstance(error, SeldonSpecError):
            logger.error("unexpected: %s", error, exc_info=error)
        failure = describe(error)
        self.end(failure.grpc, failure.details)

    def end(self, status: str, text: str = "") -> None:
        """End the call with a status."""
        self.lose()
        if self.is_answering:
            self.carrier.finish(self, write_tail(status, text))
        else:
            self.carrier.respond_bare(self, write_bare(status, text))

    def expire(self) -> None:
        """See ``Stream``."""
        self.fail(ClientTooSlow("the rest of the request did not come in time"))

    def lose(self) -> None:
        """See ``Stream``."""
        self._parts, self._pages = [], None
        if self._deadline is not None:
            self._deadline.discard(self)
            self._deadline = None

    def expire_call(self) -> None:
        """See ``Expiring``."""
        self.fail(RpcError("DEADLINE_EXCEEDED", "Deadline Exceeded"))


@dataclass(slots=True)
class OperationHandler(CallHandler):
    """The plan of a method's calls.

    Attributes:
        lane: answers them.
        operation: what is asked.
        codec, packed_codec: of messages that are not compressed, and of those that are.
        find: gives the values of the fields that are read.
    """

    lane: ExecutorBridge
    operation: Operation
    codec: ProtoCodec
    packed_codec: ProtoCodec
    find: Find


class SingleCall(GrpcCall):
    """A call with one message from the client."""

    __slots__ = ("_message",)

    def __init__(self, plan: CallHandler, carrier: Carrier, stream_id: int, window: int) -> None:
        super().__init__(plan, carrier, stream_id, window)
        self._message: Wire | None = None

    @abstractmethod
    def begin(self, message: Wire) -> None:
        """The request is whole; raises as ``take_message`` does."""

    def receive(self, piece: Piece, *, is_last: bool) -> None:
        """See ``Stream``; most requests come whole, and are handed on as they are."""
        if is_last and self._missing < 0 and not self._prefix and self._message is None and len(piece) >= _PREFIX.size:
            flag, size = _PREFIX.unpack_from(piece)
            if not flag and size == len(piece) - _PREFIX.size and size <= self._plan.max_bytes:
                try:
                    self.begin(bytes(piece[_PREFIX.size :]))
                except Exception as error:
                    self.refuse(error)
                return
        super().receive(piece, is_last=is_last)

    def take_message(self, message: Wire) -> None:
        """See ``GrpcCall``."""
        if self._message is not None:
            raise RpcError("UNIMPLEMENTED", "this method takes one message, and there are more")
        self._message = message

    def take_end(self) -> None:
        """See ``GrpcCall``."""
        message, self._message = self._message, None
        if message is None:
            raise RpcError("UNIMPLEMENTED", "this method takes one message, and there is none")
        self.begin(message)

    def lose(self) -> None:
        """See ``Stream``."""
        super().lose()
        self._message = None


class UnaryCall(SingleCall):
    """One message in, one out; the model threads answer.

    Args:
        plan: see ``GrpcCall``.
        timeout_seconds: how long the client waits, which calls with one plan may differ in.
        notes: how the note of the call is taken; None: no note is taken.
        encoded_id: see ``ContextFactory.take``.
        carrier, stream_id, window: see ``Stream``.
    """

    __slots__ = ("_call", "_encoded_id", "_note", "_notes", "_timeout_seconds")

    _plan: OperationHandler

    def __init__(
        self,
        plan: OperationHandler,
        timeout_seconds: float | None,
        notes: ContextFactory | None,
        encoded_id: bytes,
        carrier: Carrier,
        stream_id: int,
        window: int,
    ) -> None:
        super().__init__(plan, carrier, stream_id, window)
        self._timeout_seconds = timeout_seconds
        self._notes = notes
        self._encoded_id = encoded_id
        self._call: PendingCall | None = None
        self._note: RequestContext | None = None

    def open(self) -> None:
        """See ``Stream``."""
        if self._timeout_seconds is not None:
            self._deadline = self._plan.deadlines.add(self._timeout_seconds, self)

    def begin(self, message: Wire) -> None:
        """See ``SingleCall``."""
        plan = self._plan
        codec = plan.packed_codec if self._is_packed else plan.codec
        self._note = None if self._notes is None else self._notes.take(self._encoded_id)
        self._call = plan.lane.submit(plan.operation, message, codec, _finish, self, self._note)
        if self.carrier.is_congested:
            self.hold()

    def hold(self) -> None:
        """See ``Stream``."""
        if self._call is not None:
            self._plan.lane.hold(self._call)

    def release(self) -> None:
        """See ``Stream``."""
        if self._call is not None:
            self._plan.lane.release(self._call)

    def answer(self, call: PendingCall) -> None:
        """Send the reply, or the error, that the lane has brought."""
        self._call = None
        reply = call.response
        if reply is None:
            assert call.error is not None
            self.fail(call.error)
            return
        note, self._note = self._note, None
        head = HEAD if note is None or self._notes is None else end_note(self._notes, note, "OK")
        if self._deadline is not None:
            self._deadline.discard(self)
            self._deadline = None
        self.is_successful = True
        body = reply.body
        self.carrier.respond(self, head, write_prefix(body), body, OK_TAIL)

    def fail(self, error: BaseException) -> None:
        """See ``GrpcCall``."""
        with working_on(self._note):
            super().fail(error)

    def end(self, status: str, text: str = "") -> None:
        """See ``GrpcCall``."""
        if self._notes is not None:
            note = self._note or self._notes.take(self._encoded_id)
            self._note = None
            self.carrier.begin(self, end_note(self._notes, note, status))
        super().end(status, text)

    def lose(self) -> None:
        """See ``Stream``."""
        super().lose()
        call, self._call = self._call, None
        if call is not None:
            self._plan.lane.cancel(call)
        note, self._note = self._note, None
        if note is not None and self._notes is not None:
            self._notes.abandon(note)


def end_note(notes: ContextFactory, note: RequestContext, status: str) -> bytes:
    """End the note of a call whose answer is known; returns the answer's first headers, the call's id among them."""
    notes.end(note, status)
    return _ID_HEAD + (note.encoded_id or write_text(note.id.encode()))


def _finish(call: PendingCall) -> None:
    call.owner.answer(call)


class RefusedCall(Stream):
    """A call that is answered as soon as its headers are read.

    Args:
        answer: the block of headers.
        carrier, stream_id, window: see ``Stream``.
    """

    __slots__ = ("_answer",)

    def __init__(self, answer: bytes, carrier: Carrier, stream_id: int, window: int) -> None:
        super().__init__(carrier, stream_id, window)
        self._answer = answer
        self.is_refused = True

    def open(self) -> None:
        """See ``Stream``."""
        self.carrier.respond_bare(self, self._answer)

    def receive(self, piece: Piece, *, is_last: bool) -> None:
        """See ``Stream``: it is over before anything can come."""

    def expire(self) -> None:
        """See ``Stream``."""


class NotedRefusal(RefusedCall):
    """A refused call of which a note is taken.

    Args:
        notes: how.
        status: its name.
        text: for the client.
        carrier, stream_id, window: see ``Stream``.
    """

    __slots__ = ("_notes", "_status")

    def __init__(
        self, notes: ContextFactory, status: str, text: str, carrier: Carrier, stream_id: int, window: int
    ) -> None:
        super().__init__(write_tail(status, text), carrier, stream_id, window)
        self._notes = notes
        self._status = status

    def open(self) -> None:
        """See ``Stream``."""
        self.carrier.begin(self, end_note(self._notes, self._notes.take(), self._status) + ACCEPTED)
        self.carrier.finish(self, self._answer)


class MalformedCall(RefusedCall):
    """A request that violates HTTP: its stream is reset."""

    def open(self) -> None:
        """See ``Stream``."""
        self.carrier.reset(self, ErrorCode.PROTOCOL_ERROR)
