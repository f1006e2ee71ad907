"""The state of one stream of HTTP/2 that its windows, its frames and its timeouts depend on."""

from __future__ import annotations

import math
from collections import deque


class StreamState:
    """The state of a stream.

    Args:
        stream_id: its number.
        receive_window: bytes that the client may send at once.

    Attributes:
        receive_window: bytes that the client may still send.
        reserved: bytes that were granted beyond the first window.
        held: bytes of the request and the response that are buffered, as far as they are counted.
        send_window: difference of the client's window for this stream to the initial window of its settings.
        send_buffer: the part of the body that is not sent yet.
        trailers: the header block to send after the body; None: the body is not complete.
        is_queued: the stream is in the sender's queue.
        has_sent_headers: the first headers have been sent.
        is_complete: the client has sent everything.
        is_closed: the stream is closed.
        is_successful: the response is that of a successful call.
        is_refused: the request was refused, or is malformed.
        cost: units of the control-frame budget that its header block has cost; a successful call returns them.
        content_left: bytes that are missing of the announced content-length; None: no length was announced.
        padding: bytes of padding that were received and not added to the window again.
        bytes_moved: bytes of the body that were received, or of the response that were sent, since the last check.
        sent_before: bytes of all bodies that the connection had sent at the last check.
        deadline: time of the next check of the rate, by the loop's clock; infinite: no bytes are due.
    """

    __slots__ = (
        "bytes_moved",
        "content_left",
        "cost",
        "deadline",
        "has_sent_headers",
        "held",
        "is_closed",
        "is_complete",
        "is_queued",
        "is_refused",
        "is_successful",
        "padding",
        "receive_window",
        "reserved",
        "send_buffer",
        "send_window",
        "sent_before",
        "stream_id",
        "trailers",
    )

    def __init__(self, stream_id: int, receive_window: int) -> None:
        self.stream_id = stream_id
        self.receive_window = receive_window
        self.bytes_moved = self.cost = self.held = self.padding = self.reserved = self.send_window = 0
        self.sent_before = 0
        self.content_left: int | None = None
        self.send_buffer: deque[memoryview] | None = None
        self.trailers: bytes | None = None
        self.has_sent_headers = self.is_closed = self.is_complete = self.is_queued = False
        self.is_refused = self.is_successful = False
        self.deadline = math.inf

    def count_received(self, size: int) -> None:
        """Count bytes of the body; they are not more than the window and the content-length allow."""
        self.receive_window -= size
        self.bytes_moved += size
        if self.content_left is not None:
            self.content_left -= size

    def advance(self) -> None:
        """Continue after everything in ``send_buffer`` has been sent; most streams have only one thing to send."""
