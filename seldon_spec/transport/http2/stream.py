"""One stream of HTTP/2: a request and its answer, as the connection and its outbox know it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import ClassVar, Protocol

from seldon_spec.transport.http2.frames import ErrorCode

Piece = bytes | memoryview
"""Some of a request's body; a view lasts only as long as somebody holds it."""


class Carrier(Protocol):
    """What a stream knows of its connection."""

    def respond(self, stream: Stream, head: bytes, prefix: bytes, body: bytes, tail: bytes) -> None:
        """Send a whole answer.

        Args:
            stream: whose answer it is.
            head: the block of its first headers.
            prefix: what stands before ``body``.
            body: is not copied if it is long.
            tail: the block of its last headers.
        """

    def respond_bare(self, stream: Stream, head: bytes) -> None:
        """Send an answer of headers only."""

    def begin(self, stream: Stream, head: bytes) -> None:
        """Send the first headers of an answer that comes in parts."""

    def send(self, stream: Stream, body: bytes) -> None:
        """Send the next part."""

    def finish(self, stream: Stream, tail: bytes) -> None:
        """Send the last headers, behind all parts."""

    def reset(self, stream: Stream, code: ErrorCode) -> None:
        """End a stream without an answer, or in the midst of one."""

    def claim(self, stream: Stream, size: int) -> None:
        """Let the client send so many bytes beyond the first window, as soon as the connection has room for them."""

    def give_back(self, stream: Stream, size: int) -> None:
        """Let the client send as many bytes again as have been used up."""

    @property
    def is_congested(self) -> bool:
        """Whether so many bytes of responses wait for the client that no further call may reach the model."""


class Stream(ABC):
    """A stream that the client has opened.

    Args:
        carrier: its connection.
        stream_id: its number there.
        window: bytes that the client may send at once.

    Attributes:
        room: bytes that the client still may send.
        claimed: bytes that were granted beyond the first window.
        held: bytes of the request and the response that are buffered, as far as they are counted.
        credit: how far the client's window for this stream is from the first window that its settings name.
        outgoing: what is still to be sent of the body.
        tail: the last headers, which are due after it; None: there is more to come.
        is_queued: the outbox has it among those that can go on.
        is_answering: the first headers have been sent.
        is_complete: the client has sent everything.
        is_over: nothing happens any more.
        is_successful: the response is that of a call that has succeeded.
        is_refused: the request was refused, or is malformed.
        cost: units of the abuse budget that were charged for the header block; a successful call gets them back.
        content_left: bytes that are missing of the announced content-length; None: no length was announced.
        padding: bytes of padding that have come and have not been given back.
        moved: bytes of the body that have come, or of the response that have left, since ``deadline`` was set.
        sent_before: bytes that had left of all responses of the connection when ``deadline`` was set.
        deadline: when the rate of these bytes is checked, by the loop's clock; infinite: no bytes are due.
        is_probe: it is answered although there are too many connections.
    """

    is_probe: ClassVar[bool] = False

    __slots__ = (
        "carrier",
        "claimed",
        "content_left",
        "cost",
        "credit",
        "deadline",
        "held",
        "is_answering",
        "is_complete",
        "is_over",
        "is_queued",
        "is_refused",
        "is_successful",
        "moved",
        "outgoing",
        "padding",
        "room",
        "sent_before",
        "stream_id",
        "tail",
    )

    def __init__(self, carrier: Carrier, stream_id: int, window: int) -> None:
        self.carrier = carrier
        self.stream_id = stream_id
        self.room = window
        self.claimed = self.cost = self.credit = self.held = self.moved = self.padding = self.sent_before = 0
        self.content_left: int | None = None
        self.outgoing: deque[memoryview] | None = None
        self.tail: bytes | None = None
        self.is_queued = self.is_answering = self.is_complete = self.is_over = False
        self.is_successful = self.is_refused = False
        self.deadline = math.inf

    @abstractmethod
    def open(self) -> None:
        """The request's headers are there."""

    @abstractmethod
    def receive(self, piece: Piece, *, is_last: bool) -> None:
        """Some of the body has come, maybe nothing; after the last piece the request is whole."""

    @abstractmethod
    def expire(self) -> None:
        """The client took too long with the rest of the body."""

    def advance(self) -> None:  # noqa: B027 - most streams have only one thing to send
        """All that was sent so far has left."""

    def retire(self) -> None:  # noqa: B027 - most streams end by themselves
        """The server is stopping: a stream that could go on for ever ends now."""

    def hold(self) -> None:  # noqa: B027
        """The connection is congested: what has not reached the model does not, until ``release``."""

    def release(self) -> None:  # noqa: B027
        """The client has read enough."""

    def lose(self) -> None:  # noqa: B027
        """Nobody waits for the answer any more."""


Open = Callable[[Carrier, int, int], Stream]
"""What a request's head comes to: makes the stream, given its connection, its number and its first window."""
