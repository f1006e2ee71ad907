"""Clients that behave oddly and are served; slow ones that are ended; and frames that are refused before they are kept."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import h2.connection
import h2.events
import h2.settings
import pytest

from seldon_spec.protocols.seldon_v1.proto import SeldonMessage
from seldon_spec.transport.http2 import frames
from seldon_spec.transport.http2.frames import ErrorCode
from seldon_spec.transport.http2.receive_windows import FIRST_WINDOW

Say = Any
KIB, MIB = 1 << 10, 1 << 20

HEADERS = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/seldon.protos.Model/Predict"),
    (":authority", "model"),
    ("te", "trailers"),
    ("content-type", "application/grpc"),
]


class Hyper:
    """A client of python-hyper h2."""

    def __init__(self, number: int, first_window: int = 65535) -> None:
        self._socket = socket.create_connection(("127.0.0.1", number), 20)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection = h2.connection.H2Connection()
        self._connection.initiate_connection()
        self._connection.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: first_window})
        self._flush()

    def __enter__(self) -> Hyper:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._socket.close()

    def _flush(self) -> None:
        self._socket.sendall(self._connection.data_to_send())

    def call(self, message: bytes, frame_bytes: int, window_bytes: int) -> bytes:
        """Send frames of a size, and take the response by windows of a size; returns its body."""
        stream_id = self._connection.get_next_available_stream_id()
        self._connection.send_headers(stream_id, HEADERS)
        for at in range(0, len(message), frame_bytes):
            self._connection.send_data(stream_id, message[at : at + frame_bytes])
            self._flush()
        self._connection.end_stream(stream_id)
        self._flush()
        body = b""
        while True:
            received = self._socket.recv(65536)
            assert received, "the server closed"
            events = self._connection.receive_data(received)
            is_over = any(isinstance(event, h2.events.StreamEnded) for event in events)
            for event in events:
                assert not isinstance(event, (h2.events.StreamReset, h2.events.ConnectionTerminated)), event
                if isinstance(event, h2.events.DataReceived):
                    body += event.data
                    for _ in range(0, event.flow_controlled_length, window_bytes):
                        self._connection.increment_flow_control_window(window_bytes)
                        if not is_over:
                            self._connection.increment_flow_control_window(window_bytes, stream_id)
            self._flush()
            if is_over:
                return body


def test_frames_of_one_byte(shared: Any, say: Say) -> None:
    text = "byte by byte " * 300
    with Hyper(shared.number) as client:
        for _ in range(2):
            body = client.call(say.message(text), 1, KIB)
            assert SeldonMessage.FromString(body[5:]).strData == text


def test_windows_of_one_byte(shared: Any, say: Say) -> None:
    with Hyper(shared.number, first_window=1) as client:
        body = client.call(say.message("grow 5000"), 16384, 1)
        assert SeldonMessage.FromString(body[5:]).strData == "x" * 5000


def test_a_client_may_follow_every_data_frame_by_a_ping_and_two_window_updates(shared: Any, say: Say) -> None:
    """As clients do that measure the bandwidth: these are far more frames than the budget for abuse would allow."""
    size = 24 * MIB
    with shared.raw() as client:
        client.send(frames.settings_frame({frames.INITIAL_WINDOW_SIZE: 1 << 30}) + frames.window_frame(0, 1 << 30))
        client.send(say.request(f"grow {size}"))
        received = 0
        for kind, flags, stream_id, payload in client.frames():
            if kind == frames.DATA:
                received += len(payload)
                credit = len(payload)
                client.send(
                    frames.ping_frame(bytes(8)) + frames.window_frame(0, credit) + frames.window_frame(1, credit)
                )
            if stream_id and flags & frames.END_STREAM:
                break
        assert received > size
        assert client.predict("next", 3) == "next"


def test_many_calls_may_be_cancelled(served: Any, say: Say) -> None:
    """A call that is under way on the same connection would fail if the connection ended."""
    with served.channel() as channel:
        call = channel.unary_unary("/seldon.protos.Model/Predict", None, None)
        busy = call.future(SeldonMessage(strData="wait").SerializeToString(), timeout=20)
        assert served.model.entered.wait(20)
        for _ in range(400):
            call.future(SeldonMessage(strData="unwanted").SerializeToString(), timeout=20).cancel()
        served.model.release.set()
        assert SeldonMessage.FromString(busy.result()).strData == "wait"


def test_completed_calls_save_nothing_up_for_a_flood(shared: Any, say: Say) -> None:
    """The flood is larger than the budget, which time may fill once more, and smaller than with what the calls earn."""
    with shared.raw() as client:
        for stream_id in range(1, 4001, 2):
            client.send(say.request("x", stream_id))
            client.answer(stream_id)
        client.try_to_send(2900 * frames.ping_frame(bytes(8), is_ack=True))
        assert client.goaway() is ErrorCode.ENHANCE_YOUR_CALM


def test_completed_calls_pay_for_frames_without_progress(shared: Any, say: Say) -> None:
    with shared.raw() as client:
        for stream_id in range(1, 4001, 2):
            client.send(say.frame(0x20, 0, 0) + say.request("x", stream_id))
            assert client.answer(stream_id)[0][b"grpc-status"] == b"0"


# Slow clients


def test_a_call_that_waits_for_the_server_s_window_is_not_too_slow(serve_grpc: Any, say: Say) -> None:
    """Four uploads take all that a connection may have under way, and longer than the fifth could wait for its client."""
    with serve_grpc(max_message_bytes=MIB, body_timeout_seconds=1) as served, served.raw() as client:
        data = say.message("y" * (MIB - 20))
        for stream_id in range(1, 11, 2):
            client.send(say.headers(stream_id))
            for at in range(0, FIRST_WINDOW, 16384):
                client.send(say.body(data[at : at + 16384], stream_id, ends=False))
        for at in range(FIRST_WINDOW, FIRST_WINDOW + 12 * 8 * KIB, 8 * KIB):  # three seconds, each fast enough
            for stream_id in range(1, 9, 2):
                client.send(say.body(data[at : at + 8 * KIB], stream_id, ends=False))
            _wait_for_pong(client, 0.25)
        for stream_id in range(1, 9, 2):
            client.send(say.frame(frames.RST_STREAM, 0, stream_id, bytes(4)))
        assert frames.read_number(client.wait_for(frames.WINDOW_UPDATE, 9)[1]) == len(data) - FIRST_WINDOW
        for at in range(FIRST_WINDOW, len(data), 16384):
            client.send(say.body(data[at : at + 16384], 9, ends=at + 16384 >= len(data)))
        client.send(frames.settings_frame({frames.INITIAL_WINDOW_SIZE: 1 << 30}) + frames.window_frame(0, 1 << 30))
        assert client.answer(9)[0][b"grpc-status"] == b"0"


def _wait_for_pong(client: Any, seconds: float) -> None:
    """Let time pass, as a slow client does, and the server process what has been sent."""
    time.sleep(seconds)
    client.send(frames.ping_frame(b"all seen"))
    while not client.wait_for(frames.PING)[0] & frames.ACK:
        pass


def test_a_body_that_trickles_ends_its_call(serve_grpc: Any, say: Say) -> None:
    """A byte now and then is progress, but less than a kibibyte per second."""
    with serve_grpc(body_timeout_seconds=0.5) as served, served.raw() as client:
        client.send(say.headers() + say.body(say.message("x" * 5000)[:10], ends=False))
        is_over = threading.Event()

        def trickle() -> None:
            while not is_over.wait(0.05):
                client.try_to_send(say.body(b"x", ends=False))

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            assert client.answer()[0][b"grpc-status"] == b"4"
        finally:
            is_over.set()
            thread.join()
        assert client.predict("next", 3) == "next"


def test_a_response_that_is_read_by_bytes_is_reset(serve_grpc: Any, say: Say) -> None:
    with serve_grpc(body_timeout_seconds=0.5) as served, served.raw() as client:
        client.send(frames.settings_frame({frames.INITIAL_WINDOW_SIZE: 1}) + say.request("grow 100000"))
        is_over = threading.Event()

        def trickle() -> None:
            while not is_over.wait(0.05):
                client.try_to_send(frames.window_frame(1, 1))

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            assert client.answer()[0][b"reset"] == b"%d" % ErrorCode.CANCEL
        finally:
            is_over.set()
            thread.join()
        client.send(frames.settings_frame({frames.INITIAL_WINDOW_SIZE: 1000}))
        assert client.predict("next", 3) == "next"


def test_slow_clients_that_are_fast_enough(serve_grpc: Any, say: Say) -> None:
    """Both bodies take longer than the timeout, at twice the least rate."""
    with serve_grpc(body_timeout_seconds=0.5) as served, served.raw() as client:
        client.send(frames.settings_frame({frames.INITIAL_WINDOW_SIZE: 0}))
        data = say.message("grow 4000" + " " * 5000)
        client.send(say.headers())
        for at in range(0, len(data), 400):
            client.send(say.body(data[at : at + 400], ends=at + 400 >= len(data)))
            _wait_for_pong(client, 0.1)
        received = 0
        while received < 4000:
            client.send(frames.window_frame(1, 400))
            time.sleep(0.1)
            received += len(client.wait_for(frames.DATA)[1])
        client.send(frames.window_frame(1, 10000))
        assert client.answer()[0][b"grpc-status"] == b"0"


def test_responses_that_wait_for_each_other_are_not_too_slow(serve_grpc: Any, say: Say) -> None:
    """Each credit of a steady reader serves one response, and the last one's turn comes after the timeout."""
    size, ids = 100_000, range(1, 33, 2)
    with serve_grpc(body_timeout_seconds=1) as served, served.raw() as client:
        client.send(frames.settings_frame({frames.INITIAL_WINDOW_SIZE: 1 << 20, frames.MAX_FRAME_SIZE: 1 << 20}))
        client.send(frames.window_frame(0, size - 65535))
        for stream_id in ids:
            client.send(say.request(f"grow {size}", stream_id))
        ended: list[int] = []
        received = 0
        while len(ended) < len(ids):
            kind, flags, stream_id, payload = client.frame()
            assert kind != frames.RST_STREAM
            received += len(payload) if kind == frames.DATA else 0
            if received >= size:
                received -= size
                time.sleep(0.2)
                client.send(frames.window_frame(0, size))
            if kind == frames.HEADERS and flags & frames.END_STREAM:
                ended.append(stream_id)


# Frames whose length is wrong


def head(size: int, kind: int, flags: int = 0, stream_id: int = 0) -> Callable[[Say], bytes]:
    """The first nine bytes of a frame, and a little of its payload."""
    return lambda say: say.headers() + frames.frame_head(size, kind, flags, stream_id) + b"x"


TOO_LONG: dict[str, tuple[Callable[[Say], bytes], ErrorCode]] = {
    "PING": (head(9, frames.PING), ErrorCode.FRAME_SIZE_ERROR),
    "WINDOW_UPDATE": (head(262144, frames.WINDOW_UPDATE), ErrorCode.FRAME_SIZE_ERROR),
    "RST_STREAM": (head(5, frames.RST_STREAM, 0, 1), ErrorCode.FRAME_SIZE_ERROR),
    "PRIORITY": (head(262144, frames.PRIORITY, 0, 1), ErrorCode.FRAME_SIZE_ERROR),
    "SETTINGS": (head(262140, frames.SETTINGS), ErrorCode.ENHANCE_YOUR_CALM),
    "half a setting": (head(262144, frames.SETTINGS), ErrorCode.FRAME_SIZE_ERROR),
    "GOAWAY": (head(262144, frames.GOAWAY), ErrorCode.ENHANCE_YOUR_CALM),
    "PUSH_PROMISE": (head(1000, frames.PUSH_PROMISE, 0, 1), ErrorCode.PROTOCOL_ERROR),
    "HEADERS": (head(65536, frames.HEADERS, 4, 3), ErrorCode.ENHANCE_YOUR_CALM),
    "CONTINUATION": (
        lambda say: say.frame(frames.HEADERS, 0, 1, say.block()) + frames.frame_head(65536, 9, 4, 1) + b"x",
        ErrorCode.ENHANCE_YOUR_CALM,
    ),
}


@pytest.mark.parametrize(("make", "code"), TOO_LONG.values(), ids=TOO_LONG)
def test_a_length_that_is_not_allowed_ends_the_connection_at_once(
    shared: Any, say: Say, make: Callable[[Say], bytes], code: ErrorCode
) -> None:
    """The rest of the frame never comes."""
    with shared.raw() as client:
        client.send(make(say))
        assert client.goaway() is code


def test_too_many_settings_end_the_connection(shared: Any, say: Say) -> None:
    with shared.raw() as client:
        client.send(say.frame(frames.SETTINGS, 0, 0, 32 * b"\x00\x99\x00\x00\x00\x01"))
        assert client.predict("x") == "x"
        client.send(say.frame(frames.SETTINGS, 0, 0, 33 * b"\x00\x99\x00\x00\x00\x01"))
        assert client.goaway() is ErrorCode.ENHANCE_YOUR_CALM


@pytest.mark.parametrize("size", [1, 100, 70000])
def test_long_frames_are_taken_in_any_pieces(shared: Any, say: Say, size: int) -> None:
    """Unknown frames and padding are discarded as they come."""
    data = say.message("padded")
    unknown = say.frame(0x20, 0, 0, bytes(100000))
    padded = say.frame(frames.DATA, frames.PADDED | frames.END_STREAM, 1, b"\xff" + data + bytes(255))
    whole = unknown + say.headers() + padded + say.request("next", 3)
    with shared.raw() as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        start = 0 if size > 1 else len(unknown) - 3
        client.send(whole[:start])
        for at in range(start, len(whole), size):
            client.send(whole[at : at + size])
        got: dict[int, str] = {}
        while len(got) < 2:
            kind, _, stream_id, payload = client.frame()
            if kind == frames.DATA:
                got[stream_id] = SeldonMessage.FromString(payload[5:]).strData
        assert got == {1: "padded", 3: "next"}
