"""The frames that control one HTTP/2 connection: settings, pings, windows, resets and priorities."""

from __future__ import annotations

from collections.abc import Callable

from seldon_spec.transport.http2 import frames as h2
from seldon_spec.transport.http2.frames import ErrorCode, H2ConnectionError
from seldon_spec.transport.http2.port import H2Limits
from seldon_spec.transport.http2.rate_limit import ControlFrameBudget
from seldon_spec.transport.http2.stream_table import StreamTable

_KEEP_ALIVE_PING = b"are you?"


class ControlFrames:
    """Handles the control frames of a client.

    Args:
        streams: of the connection.
        limits: of the connection.
        rate_limit: counts the frames.
        on_ping_ack: called with the payload of an acknowledged PING.
    """

    __slots__ = (
        "_expected_acks",
        "_has_settings_ack",
        "_limits",
        "_on_ping_ack",
        "_ping_sent_at",
        "_rate_limit",
        "_sender",
        "_streams",
    )

    def __init__(
        self,
        streams: StreamTable,
        limits: H2Limits,
        rate_limit: ControlFrameBudget,
        on_ping_ack: Callable[[bytes], None],
    ) -> None:
        self._streams = streams
        self._limits = limits
        self._sender = streams.sender
        self._rate_limit = rate_limit
        self._on_ping_ack = on_ping_ack
        self._expected_acks = 0
        self._has_settings_ack = False
        self._ping_sent_at = 0.0

    def send_ping(self, payload: bytes) -> None:
        """Send a PING, to be acknowledged."""
        self._expected_acks += 1
        self._sender.write_frame(h2.ping_frame(payload))

    def keep_alive(self, now: float) -> bool:
        """Send a PING to a silent client; returns False if it does not respond in time."""
        received_at = self._streams.received_at
        if self._ping_sent_at > received_at:
            return now < self._ping_sent_at + self._limits.header_timeout_seconds
        if received_at + self._limits.keep_alive_seconds <= now:
            self._ping_sent_at = now
            self.send_ping(_KEEP_ALIVE_PING)
        return True

    def next_deadline(self) -> float:
        """Return the time when ``keep_alive`` is due."""
        received_at = self._streams.received_at
        if self._ping_sent_at > received_at:
            return self._ping_sent_at + self._limits.header_timeout_seconds
        return received_at + self._limits.keep_alive_seconds

    def handle(self, kind: int, payload: bytes, flags: int, stream_id: int) -> None:
        """Process a complete frame.

        Raises:
            H2ConnectionError: the connection has to be closed.
            H2StreamError: the stream has to be reset.
        """
        handle = _HANDLERS.get(kind)
        if handle is None:
            self._rate_limit.count_control_frame()
        else:
            handle(self, payload, flags, stream_id)

    def _handle_priority(self, payload: bytes, _flags: int, stream_id: int) -> None:
        if not stream_id:
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "a PRIORITY frame without a stream")
        if len(payload) != 5:
            raise H2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "a PRIORITY frame of another size")
        self._rate_limit.count_control_frame()

    def _handle_reset(self, payload: bytes, _flags: int, stream_id: int) -> None:
        h2.read_number(payload)
        self._streams.handle_reset(stream_id)

    def _handle_settings(self, payload: bytes, flags: int, stream_id: int) -> None:
        if stream_id:
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "a SETTINGS frame of a stream")
        if flags & h2.ACK:
            if payload:
                raise H2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "an acknowledgement with settings")
            if self._has_settings_ack:
                self._rate_limit.count_control_frame()
            self._has_settings_ack = True
            self._streams.blocks.close_table()
            return
        self._rate_limit.count_control_frame()
        self._sender.write_frame(h2.SETTINGS_ACK)
        for key, value in dict(h2.read_settings(payload)).items():  # of a repeated setting, the last one
            self._sender.apply_setting(key, value, self._streams.list_streams())

    def _handle_push_promise(self, _payload: bytes, _flags: int, _stream_id: int) -> None:
        raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "a PUSH_PROMISE frame from a client")

    def _handle_ping(self, payload: bytes, flags: int, stream_id: int) -> None:
        if stream_id:
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "a PING frame of a stream")
        if len(payload) != 8:
            raise H2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "a PING frame of another size")
        if not flags & h2.ACK:
            if not self._sender.take_ack():
                self._rate_limit.count_control_frame()
            self._sender.write_frame(h2.ping_frame(payload, is_ack=True))
        elif not self._expected_acks:
            self._rate_limit.count_control_frame()
        else:
            self._expected_acks -= 1
            self._on_ping_ack(payload)

    def _handle_goaway(self, payload: bytes, _flags: int, stream_id: int) -> None:
        """Ignore that the client opens no more streams: it closes when the last one has ended."""
        if stream_id:
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "a GOAWAY frame of a stream")
        if len(payload) < 8:
            raise H2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "a GOAWAY frame that is too short")
        self._rate_limit.count_control_frame()

    def _handle_window_update(self, payload: bytes, _flags: int, stream_id: int) -> None:
        """Extend a window. That is progress if DATA is sent as a result, or if it acknowledges DATA."""
        size = h2.read_number(payload)
        before = self._sender.allowed_acks
        if stream_id:
            self._streams.extend_window(stream_id, size)
        else:
            self._sender.extend_window(size)
        if self._sender.allowed_acks == before and not self._sender.take_ack():
            self._rate_limit.count_control_frame()


_HANDLERS: dict[int, Callable[[ControlFrames, bytes, int, int], None]] = {
    h2.PRIORITY: ControlFrames._handle_priority,
    h2.RST_STREAM: ControlFrames._handle_reset,
    h2.SETTINGS: ControlFrames._handle_settings,
    h2.PUSH_PROMISE: ControlFrames._handle_push_promise,
    h2.PING: ControlFrames._handle_ping,
    h2.GOAWAY: ControlFrames._handle_goaway,
    h2.WINDOW_UPDATE: ControlFrames._handle_window_update,
}
"""The handler of each kind of frame."""
