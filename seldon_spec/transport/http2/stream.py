"""One stream of HTTP/2: a request and its response."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, TypeAlias

from seldon_spec.transport.http2.frame_sender import FrameSender
from seldon_spec.transport.http2.receive_windows import FIRST_WINDOW, ReceiveWindows
from seldon_spec.transport.http2.stream_state import StreamState

Piece: TypeAlias = bytes | memoryview
"""A part of a request's body; a view keeps alive all bytes that were received with it."""


class Stream(StreamState, ABC):
    """A stream that the client has opened.

    Args:
        sender: sends the frames of the connection.
        windows: the receive windows of the connection.
        stream_id: number of the stream.

    Attributes:
        is_probe: it is handled even if there are too many connections.
    """

    is_probe: ClassVar[bool] = False

    __slots__ = ("sender", "windows")

    def __init__(self, sender: FrameSender, windows: ReceiveWindows, stream_id: int) -> None:
        super().__init__(stream_id, FIRST_WINDOW)
        self.sender = sender
        self.windows = windows

    @abstractmethod
    def open(self) -> None:
        """Start: the headers of the request have been received.

        Raises:
            H2StreamError: the stream is reset.
        """

    @abstractmethod
    def receive(self, piece: Piece, *, is_last: bool) -> None:
        """Process a part of the body, which may be empty; after the last one the request is complete."""

    def count_expected(self) -> int:
        """Return how many bytes of the body ``receive_run`` takes, within the window of the stream."""
        return 0

    def receive_run(self, pieces: Sequence[Piece], size: int) -> int:
        """Process parts of the body, so many bytes together, that are not the last ones; return what is held more."""
        raise NotImplementedError

    @abstractmethod
    def expire(self) -> None:
        """Fail: the client did not send the rest of the body in time."""

    def retire(self) -> None:
        """End a stream that would not end by itself: the server is stopping."""

    def hold(self) -> None:
        """Keep the request from the model until ``release``: too many bytes of responses wait for the client."""

    def release(self) -> None:
        """Continue after ``hold``."""

    def lose(self) -> None:
        """Release everything: the stream is closed, and no response can be sent."""


Open: TypeAlias = Callable[[FrameSender, ReceiveWindows, int], Stream]
"""What handles requests with one head: creates a stream."""
