"""A gRPC call on a stream of HTTP/2: from the body to messages, and from responses and errors to frames."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from seldon_spec.errors import ClientTooSlow, NotServing, Overloaded
from seldon_spec.transport.buffers import LARGE_BYTES, MmapBuffer
from seldon_spec.transport.grpc.deadlines import Deadlines, Slot
from seldon_spec.transport.grpc.headers import INITIAL_METADATA, OK_TRAILERS, write_trailers, write_trailers_only
from seldon_spec.transport.grpc.messages import PREFIX, Message, decompress, too_large, write_prefix
from seldon_spec.transport.http2.frame_sender import FrameSender
from seldon_spec.transport.http2.frames import ErrorCode, H2StreamError
from seldon_spec.transport.http2.receive_windows import ReceiveWindows
from seldon_spec.transport.http2.stream import Piece, Stream

_SMALL_BYTES = 16384
"""Shorter pieces are collected in one buffer; longer ones are kept as they are, and copied once."""

_STOPPING = "the server is stopping"


class RpcError(Exception):
    """The call ends with this status.

    Args:
        status: its name.
        text: for the client.
    """

    def __init__(self, status: str, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(slots=True)
class CallHandler:
    """What all calls with the same head have in common.

    Attributes:
        max_bytes: limit of a message.
        encoding: of compressed messages; ``identity``: there are none.
        timeout_seconds: None: no timeout.
        deadlines: of the calls with a timeout.
        describe: returns the name of the status and the text for an error.
    """

    max_bytes: int
    encoding: str
    timeout_seconds: float | None
    deadlines: Deadlines
    describe: Callable[[BaseException], tuple[str, str]]


class GrpcCall(Stream):
    """A call, whose messages are processed one by one as soon as they are complete.

    Args:
        handler: of calls with this head.
        sender, windows, stream_id: see ``Stream``.
    """

    __slots__ = (
        "_deadline",
        "_handler",
        "_has_ended",
        "_is_advancing",
        "_is_compressed",
        "_is_processing",
        "_is_retired",
        "_messages",
        "_missing",
        "_pages",
        "_parts",
        "_prefix",
        "_size",
    )

    def __init__(self, handler: CallHandler, sender: FrameSender, windows: ReceiveWindows, stream_id: int) -> None:
        super().__init__(sender, windows, stream_id)
        self._handler = handler
        self._prefix = b""
        self._parts: list[Any] = []
        self._pages: MmapBuffer | None = None
        self._size = 0
        self._missing = -1
        self._is_compressed = self._is_processing = self._has_ended = False
        self._is_advancing = self._is_retired = False
        self._messages: list[tuple[Message, bool]] = []  # that are not processed yet, and whether they are compressed
        self._deadline: Slot | None = None

    @abstractmethod
    def handle_message(self, message: Message) -> None:
        """Process a complete message; it may be compressed.

        Raises:
            SeldonSpecError, RpcError: the call ends with this error.
        """

    @abstractmethod
    def handle_end(self) -> None:
        """Process the end of the request; raises what ``handle_message`` raises."""

    def open(self) -> None:
        seconds = self._handler.timeout_seconds
        if seconds is not None:
            self._deadline = self._handler.deadlines.add(seconds, self)

    def receive(self, piece: Piece, *, is_last: bool) -> None:
        try:
            self._read(piece)
            if is_last and not self.is_closed:
                if self.is_within_message:
                    raise RpcError("INTERNAL", "the request ended within a message")
                self.handle_end()
        except Exception as error:
            self.refuse(error)

    def count_expected(self) -> int:
        """Return how many bytes are missing of a large message, without the last one, which completes it."""
        if self._pages is None:
            return 0
        left = self._missing if self.content_left is None else min(self._missing, self.content_left)
        return min(left - 1, self.receive_window)

    def receive_run(self, pieces: Sequence[Piece], size: int) -> int:
        pages = self._pages
        assert pages is not None
        before = pages.allocated
        pages.extend_by(pieces, size)
        self._missing -= size
        return pages.allocated - before

    def _read(self, piece: Piece) -> None:
        """Process the messages that this piece of the body completes."""
        at, end = 0, len(piece)
        while at < end and not self.is_closed:
            if self._missing < 0:
                start = at
                at = min(end, at + PREFIX.size - len(self._prefix))
                self._prefix += bytes(piece[start:at])
                if len(self._prefix) < PREFIX.size:
                    return
                self._start_message(end - at)
            else:
                start = at
                at = min(end, at + self._missing)
                self._missing -= at - start
                self._keep(piece[start:at])
            if not self._missing:
                message = b"".join(self._parts) if self._pages is None else self._pages.view()
                self._parts, self._pages, self._missing = [], None, -1
                self.handle_message(message)

    def _start_message(self, available: int) -> None:
        """Prepare for a message, of which so many bytes are available."""
        flag, size = PREFIX.unpack(self._prefix)
        self._prefix = b""
        if size > self._handler.max_bytes:
            raise too_large(self._handler.max_bytes)
        if flag > 1:
            raise RpcError("INTERNAL", f"a message with the unknown flag {flag}")
        if flag and self._handler.encoding == "identity":
            raise RpcError("INTERNAL", "a compressed message without grpc-encoding")
        self._is_compressed = bool(flag)
        self._size = self._missing = size
        self._pages = MmapBuffer(size) if size > LARGE_BYTES else None
        if size - available > self.receive_window:
            self.windows.reserve(self, size - available - self.receive_window)

    def _keep(self, piece: Piece) -> None:
        parts, pages = self._parts, self._pages
        if pages is not None:
            before = pages.allocated
            pages.extend(piece)
            self.sender.hold(self, pages.allocated - before - len(piece))  # the stream has counted the piece
        elif len(piece) >= _SMALL_BYTES or len(piece) == self._size:
            parts.append(piece)
        elif parts and isinstance(parts[-1], bytearray):
            parts[-1] += piece
        else:
            parts.append(bytearray(piece))

    def read_plain(self, message: Message) -> Message:
        """Return the last message, decompressed if it is compressed; raises what ``decompress`` raises."""
        handler = self._handler
        return decompress(handler.encoding, message, handler.max_bytes) if self._is_compressed else message

    @property
    def is_within_message(self) -> bool:
        """True if the client has begun a message, and not completed it."""
        return self._missing >= 0 or bool(self._prefix)

    def respond(self, message: Message, headers: bytes = INITIAL_METADATA) -> None:
        """End the call successfully, with one message."""
        if self._deadline is not None:
            self._deadline.discard(self)
            self._deadline = None
        self.is_successful = True
        self.sender.respond(self, headers, write_prefix(message), message, OK_TRAILERS)

    def refuse(self, error: BaseException) -> None:
        """End the call with an error of the request; overload of the server is not the client's fault."""
        self.is_refused = not isinstance(error, (Overloaded, NotServing))
        self.fail(error)

    def fail(self, error: BaseException) -> None:
        """End the call with an error."""
        if self.is_closed:
            return
        if isinstance(error, RpcError):
            self.end(error.status, str(error))
        else:
            self.end(*self._handler.describe(error))

    def end(self, status: str, text: str = "") -> None:
        """End the call with a status."""
        self.lose()
        if self.has_sent_headers:
            self.sender.send_trailers(self, write_trailers(status, text))
        else:
            self.sender.send_trailers_only(self, write_trailers_only(status, text))

    def expire(self) -> None:
        self.fail(ClientTooSlow("timed out while receiving the request"))

    def lose(self) -> None:
        self._parts, self._pages, self._messages = [], None, []
        if self._deadline is not None:
            self._deadline.discard(self)
            self._deadline = None

    def expire_call(self) -> None:
        """End the call: its deadline has passed."""
        self.fail(RpcError("DEADLINE_EXCEEDED", "Deadline Exceeded"))


class SingleCall(GrpcCall):
    """A call with one message from the client."""

    __slots__ = ()

    @abstractmethod
    def begin(self, message: Message) -> None:
        """Handle the complete request; raises what ``handle_message`` raises."""

    def receive(self, piece: Piece, *, is_last: bool) -> None:
        """Process a part of the body; most requests are received as a whole, and not copied."""
        if is_last and self._missing < 0 and not self._prefix and not self._messages and len(piece) >= PREFIX.size:
            flag, size = PREFIX.unpack_from(piece)
            if not flag and size == len(piece) - PREFIX.size and size <= self._handler.max_bytes:
                try:
                    self.begin(bytes(piece[PREFIX.size :]))
                except Exception as error:
                    self.refuse(error)
                return
        super().receive(piece, is_last=is_last)

    def handle_message(self, message: Message) -> None:
        if self._messages:
            raise RpcError("UNIMPLEMENTED", "this method takes one message, and there are more")
        self._messages.append((message, self._is_compressed))

    def handle_end(self) -> None:
        if not self._messages:
            raise RpcError("UNIMPLEMENTED", "this method takes one message, and there is none")
        message, self._is_compressed = self._messages.pop()
        self.begin(message)


class StreamCall(GrpcCall):
    """A call with any number of messages in both directions.

    The next message is processed when the response to the last one has been sent.
    """

    __slots__ = ()

    @abstractmethod
    def process(self, message: Message) -> None:
        """Process the next message; ``reply`` is called then or later. Raises what ``handle_message`` raises."""

    def make_headers(self) -> bytes:
        """Return the first headers of a response without messages."""
        return INITIAL_METADATA

    def handle_message(self, message: Message) -> None:
        """Queue a message; the client's window bounds how many wait."""
        if not self._is_retired:
            self._messages.append((message, self._is_compressed))
            self.advance()

    def handle_end(self) -> None:
        self._has_ended = True
        self.advance()

    def advance(self) -> None:
        if self._is_advancing:  # a response that is sent at once calls this again
            return
        self._is_advancing = True
        try:
            while self._messages and self._can_advance:
                self._process_next()
        finally:
            self._is_advancing = False
        if self._messages or not self._can_advance:
            return
        if self._has_ended:
            self.lose()
            self.is_successful = True
            if not self.has_sent_headers:
                self.sender.send_headers(self, self.make_headers())
            self.sender.send_trailers(self, OK_TRAILERS)
        elif self._is_retired:
            self.end("UNAVAILABLE", _STOPPING)

    @property
    def _can_advance(self) -> bool:
        return not (self.is_closed or self._is_processing or self.send_buffer)

    def _process_next(self) -> None:
        message, self._is_compressed = self._messages.pop(0)
        size = PREFIX.size + len(message)
        self.windows.consume(self, size)
        self.sender.hold(self, -min(size, self.held))
        self._is_processing = True
        try:
            self.process(message)
        except Exception as error:
            self.refuse(error)

    def reply(self, message: bytes, headers: bytes = INITIAL_METADATA) -> None:
        """Send the response to the message that is being processed; ``headers`` are sent before the first one."""
        if self.is_closed:
            return
        self._is_processing = False
        if not self.has_sent_headers:
            self.sender.send_headers(self, headers)
        self.sender.send_data(self, write_prefix(message) + message)

    def retire(self) -> None:
        """Respond to what was received, and end the call then."""
        self._is_retired = True
        self.advance()

    def expire(self) -> None:
        """Fail if the client did not send the rest of a message in time; it may wait between two messages."""
        if self.is_within_message:
            super().expire()


class RefusedCall(Stream):
    """A call that gets a response as soon as its headers are read.

    Args:
        headers: block of the response.
        sender, windows, stream_id: see ``Stream``.
    """

    __slots__ = ("_headers",)

    def __init__(self, headers: bytes, sender: FrameSender, windows: ReceiveWindows, stream_id: int) -> None:
        super().__init__(sender, windows, stream_id)
        self._headers = headers
        self.is_refused = True

    def open(self) -> None:
        self.sender.send_trailers_only(self, self._headers)

    def receive(self, piece: Piece, *, is_last: bool) -> None:
        """Do nothing: the stream is closed."""

    def expire(self) -> None:
        """Do nothing: the stream is closed."""


class MalformedCall(RefusedCall):
    """A request that violates HTTP: its stream is reset."""

    __slots__ = ()

    def open(self) -> None:
        raise H2StreamError(self.stream_id, ErrorCode.PROTOCOL_ERROR)
