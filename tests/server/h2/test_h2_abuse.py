"""HTTP/2 as its clients get it wrong, or mean it ill: each is told so, is bounded, and leaves the others alone."""

from __future__ import annotations

import itertools
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import hpack
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seldon_spec.protocols.seldon_v1.proto import SeldonMessage
from seldon_spec.transport.http2 import frames as h2
from seldon_spec.transport.http2.frame_reader import MAX_FRAME_BYTES
from seldon_spec.transport.http2.frames import ErrorCode
from seldon_spec.transport.http2.receive_windows import FIRST_WINDOW, MAX_STREAMS

Say = Any
Bytes = Callable[[Say], bytes]

CLOSED: dict[str, tuple[Bytes, ErrorCode]] = {
    "a frame longer than allowed": (
        lambda say: say.frame(h2.DATA, 0, 1, bytes(MAX_FRAME_BYTES + 1)),
        ErrorCode.FRAME_SIZE_ERROR,
    ),
    "DATA of no stream": (lambda say: say.body(b"", 0), ErrorCode.PROTOCOL_ERROR),
    "DATA of a stream that is not open": (lambda say: say.body(b"", 1), ErrorCode.PROTOCOL_ERROR),
    "HEADERS of no stream": (lambda say: say.headers(0), ErrorCode.PROTOCOL_ERROR),
    "HEADERS of an even stream": (lambda say: say.headers(2), ErrorCode.PROTOCOL_ERROR),
    "HEADERS of a smaller stream that was never opened": (
        lambda say: say.request("x", 5) + say.headers(3),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "HEADERS of an earlier stream": (
        lambda say: say.request("x", 5) + say.request("x", 9) + h2.reset_frame(5, ErrorCode.CANCEL) + say.headers(5),
        ErrorCode.STREAM_CLOSED,
    ),
    "DATA behind the client's own reset": (
        lambda say: say.headers() + say.frame(h2.RST_STREAM, 0, 1, bytes(4)) + say.body(b"x"),
        ErrorCode.STREAM_CLOSED,
    ),
    "RST_STREAM of a stream that is not open": (
        lambda say: say.frame(h2.RST_STREAM, 0, 1, bytes(4)),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "RST_STREAM of another size": (
        lambda say: say.headers() + say.frame(h2.RST_STREAM, 0, 1, bytes(5)),
        ErrorCode.FRAME_SIZE_ERROR,
    ),
    "WINDOW_UPDATE of a stream that is not open": (lambda _: h2.window_frame(1, 1), ErrorCode.PROTOCOL_ERROR),
    "WINDOW_UPDATE by nothing": (lambda _: h2.window_frame(0, 0), ErrorCode.PROTOCOL_ERROR),
    "WINDOW_UPDATE of another size": (
        lambda say: say.frame(h2.WINDOW_UPDATE, 0, 0, bytes(3)),
        ErrorCode.FRAME_SIZE_ERROR,
    ),
    "a window beyond its limit": (lambda _: h2.window_frame(0, h2.MAX_WINDOW), ErrorCode.FLOW_CONTROL_ERROR),
    "SETTINGS of a stream": (lambda say: say.frame(h2.SETTINGS, 0, 1), ErrorCode.PROTOCOL_ERROR),
    "half a setting": (lambda say: say.frame(h2.SETTINGS, 0, 0, bytes(5)), ErrorCode.FRAME_SIZE_ERROR),
    "an acknowledgement with settings": (
        lambda say: say.frame(h2.SETTINGS, h2.ACK, 0, bytes(6)),
        ErrorCode.FRAME_SIZE_ERROR,
    ),
    "a first window beyond its limit": (
        lambda _: h2.settings_frame({h2.INITIAL_WINDOW_SIZE: 1 << 31}),
        ErrorCode.FLOW_CONTROL_ERROR,
    ),
    "frames that are too short": (lambda _: h2.settings_frame({h2.MAX_FRAME_SIZE: 100}), ErrorCode.PROTOCOL_ERROR),
    "push that is neither on nor off": (lambda _: h2.settings_frame({h2.ENABLE_PUSH: 2}), ErrorCode.PROTOCOL_ERROR),
    "a stream's window that its settings overflow": (
        lambda say: (
            say.headers() + h2.window_frame(1, 1 << 30) + h2.settings_frame({h2.INITIAL_WINDOW_SIZE: (1 << 31) - 1})
        ),
        ErrorCode.FLOW_CONTROL_ERROR,
    ),
    "PING of another size": (lambda say: say.frame(h2.PING, 0, 0, bytes(7)), ErrorCode.FRAME_SIZE_ERROR),
    "PING of a stream": (lambda say: say.frame(h2.PING, 0, 1, bytes(8)), ErrorCode.PROTOCOL_ERROR),
    "GOAWAY of a stream": (lambda say: say.frame(h2.GOAWAY, 0, 1, bytes(8)), ErrorCode.PROTOCOL_ERROR),
    "GOAWAY that is too short": (lambda say: say.frame(h2.GOAWAY, 0, 0, bytes(7)), ErrorCode.FRAME_SIZE_ERROR),
    "PUSH_PROMISE": (lambda say: say.frame(h2.PUSH_PROMISE, 4, 1, bytes(4)), ErrorCode.PROTOCOL_ERROR),
    "PRIORITY of no stream": (lambda say: say.frame(h2.PRIORITY, 0, 0, bytes(5)), ErrorCode.PROTOCOL_ERROR),
    "PRIORITY of another size": (lambda say: say.frame(h2.PRIORITY, 0, 1, bytes(4)), ErrorCode.FRAME_SIZE_ERROR),
    "CONTINUATION of nothing": (lambda say: say.frame(h2.CONTINUATION, 4, 1), ErrorCode.PROTOCOL_ERROR),
    "CONTINUATION of another stream": (
        lambda say: say.frame(h2.HEADERS, 0, 1, say.block()) + say.frame(h2.CONTINUATION, 4, 3),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "a frame in the midst of a header block": (
        lambda say: say.frame(h2.HEADERS, 0, 1, say.block()) + h2.ping_frame(bytes(8)),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "DATA in the midst of a header block": (
        lambda say: say.frame(h2.HEADERS, 0, 1, say.block()) + say.body(b""),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "CONTINUATION without end": (
        lambda say: say.frame(h2.HEADERS, 0, 1, say.block()) + 1000 * say.frame(h2.CONTINUATION, 0, 1),
        ErrorCode.ENHANCE_YOUR_CALM,
    ),
    "a header block that is too long": (
        lambda say: say.frame(h2.HEADERS, 4, 1, say.block(x="x" * 70000)),
        ErrorCode.ENHANCE_YOUR_CALM,
    ),
    "a header block that is too long in pieces": (
        lambda say: say.frame(h2.HEADERS, 0, 1) + 8 * say.frame(h2.CONTINUATION, 0, 1, bytes(16000)),
        ErrorCode.ENHANCE_YOUR_CALM,
    ),
    "a header bomb": (
        lambda say: say.frame(h2.HEADERS, 5, 1, b"\x40\x01x\x7f\x81\x1e" + b"y" * 4000 + b"\xbe" * 10000),
        ErrorCode.ENHANCE_YOUR_CALM,
    ),
    "a header block that is none": (
        lambda say: say.frame(h2.HEADERS, 5, 1, b"\xff\xff\xff\xff\xff\xff"),
        ErrorCode.COMPRESSION_ERROR,
    ),
    "half a header block": (lambda say: say.frame(h2.HEADERS, 5, 1, say.block()[:-3]), ErrorCode.COMPRESSION_ERROR),
    "a table that is too large": (
        lambda say: say.frame(h2.HEADERS, 5, 1, b"\x3f\xe1\xff\x03"),
        ErrorCode.COMPRESSION_ERROR,
    ),
    "more padding than payload": (
        lambda say: say.headers() + say.frame(h2.DATA, h2.PADDED, 1, b"\x09abc"),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "padding without its length": (lambda say: say.frame(h2.HEADERS, 0xC, 1), ErrorCode.PROTOCOL_ERROR),
    "a priority that is too short": (lambda say: say.frame(h2.HEADERS, 0x24, 1, bytes(4)), ErrorCode.FRAME_SIZE_ERROR),
    "rapid reset": (
        lambda say: b"".join(
            say.headers(stream_id) + say.frame(h2.RST_STREAM, 0, stream_id, bytes(4))
            for stream_id in range(1, 40001, 2)
        ),
        ErrorCode.ENHANCE_YOUR_CALM,
    ),
    "a flood of SETTINGS": (lambda _: 20000 * h2.settings_frame({}), ErrorCode.ENHANCE_YOUR_CALM),
    "a flood of PING": (lambda _: 20000 * h2.ping_frame(bytes(8)), ErrorCode.ENHANCE_YOUR_CALM),
    "a flood of empty DATA": (
        lambda say: say.headers() + 20000 * say.body(b"", ends=False),
        ErrorCode.ENHANCE_YOUR_CALM,
    ),
    "a flood of streams beyond what is allowed": (
        lambda say: b"".join(say.headers(stream_id) for stream_id in range(1, 40001, 2)),
        ErrorCode.ENHANCE_YOUR_CALM,
    ),
}


@pytest.mark.parametrize(("make", "code"), CLOSED.values(), ids=CLOSED)
def test_what_ends_a_connection(shared: Any, say: Say, make: Bytes, code: ErrorCode) -> None:
    with shared.raw() as client:
        client.try_to_send(make(say))
        assert client.goaway() is code
        shared.assert_answers()
        assert client.is_closed()


RESET: dict[str, tuple[Bytes, ErrorCode]] = {
    "DATA behind the end": (
        lambda say: say.request("wait") + say.body(b"more"),
        ErrorCode.STREAM_CLOSED,
    ),
    "HEADERS behind the end": (lambda say: say.request("wait") + say.headers(), ErrorCode.STREAM_CLOSED),
    "trailers that are not the end": (lambda say: say.headers() + say.headers(), ErrorCode.PROTOCOL_ERROR),
    "a stream's window beyond its limit": (
        lambda say: say.headers() + h2.window_frame(1, h2.MAX_WINDOW),
        ErrorCode.FLOW_CONTROL_ERROR,
    ),
    "a stream's window opened by nothing": (
        lambda say: say.headers() + h2.window_frame(1, 0),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "more than a stream's window allows": (
        lambda say: say.headers() + say.body(bytes(3) + bytes(FIRST_WINDOW - 2), ends=False),
        ErrorCode.FLOW_CONTROL_ERROR,
    ),
}


@pytest.mark.parametrize(("make", "code"), RESET.values(), ids=RESET)
def test_what_ends_a_stream(served: Any, say: Say, make: Bytes, code: ErrorCode) -> None:
    with served.raw() as client:
        client.send(make(say))
        fields, _ = client.answer()
        assert fields[b"reset"] == b"%d" % code
        served.model.release.set()
        assert client.predict("next", 3) == "next"


def test_what_is_passed_over(shared: Any, say: Say) -> None:
    strange = [
        say.frame(0x20, 0xFF, 77, b"an unknown frame"),
        h2.settings_frame({0x99: 1, h2.MAX_CONCURRENT_STREAMS: 0, h2.HEADER_TABLE_SIZE: 0}),
        say.frame(h2.PRIORITY, 0, 9, bytes(5)),
        say.frame(h2.GOAWAY, 0, 0, bytes(8) + b"with a reason"),
        say.frame(h2.PING, h2.ACK, 0, bytes(8)),
        say.frame(h2.SETTINGS, h2.ACK, 0),
    ]
    with shared.raw() as client:
        for index, frame in enumerate(strange):
            stream_id = 10 * index + 11
            client.send(frame)
            assert client.predict(str(index), stream_id) == str(index)
            # what may still come of a stream that is over
            client.send(h2.window_frame(stream_id, 5) + h2.reset_frame(stream_id, ErrorCode.CANCEL))
        assert client.predict("next", 201) == "next"


def test_padding_and_priority_around_what_counts(shared: Any, say: Say) -> None:
    data = say.message("padded " * 100)
    with shared.raw() as client:
        flags = h2.END_HEADERS | h2.PADDED | h2.PRIORITIZED
        client.send(say.frame(h2.HEADERS, flags, 1, b"\x07" + bytes(5) + say.block() + bytes(7)))
        for at in range(0, len(data), 100):
            client.send(say.frame(h2.DATA, h2.PADDED, 1, b"\xff" + data[at : at + 100] + bytes(255)))
        client.send(say.frame(h2.DATA, h2.PADDED | h2.END_STREAM, 1, b"\x00"))
        _, body = client.answer()
        assert SeldonMessage.FromString(body[5:]).strData == "padded " * 100


def test_padding_takes_nothing_of_a_message_s_room(serve_grpc: Any, say: Say) -> None:
    text = "x" * (3 * FIRST_WINDOW)
    data = say.message(text)
    with serve_grpc() as served, served.raw() as client:
        client.send(h2.settings_frame({h2.INITIAL_WINDOW_SIZE: 1 << 20}) + h2.window_frame(0, 1 << 20) + say.headers())
        room = FIRST_WINDOW
        while len(data) > 1000:
            while room < 300:
                room += h2.read_number(client.wait_for(h2.WINDOW_UPDATE, 1)[1])
            piece, data = data[: min(20000, room - 256)], data[min(20000, room - 256) :]
            room -= len(piece) + 256
            client.send(say.frame(h2.DATA, h2.PADDED, 1, b"\xff" + piece + bytes(255)))
        while room < len(data):
            room += h2.read_number(client.wait_for(h2.WINDOW_UPDATE, 1)[1])
        client.send(say.body(data))
        _, body = client.answer()
        assert SeldonMessage.FromString(body[5:]).strData == text


def test_a_header_block_in_pieces_and_with_a_table(shared: Any, say: Say) -> None:
    """Before it has acknowledged our settings, a client may keep a table."""
    encoder = hpack.Encoder()
    fields = [(":method", "POST"), (":scheme", "http"), (":path", "/seldon.protos.Model/Predict"), (":authority", "a")]
    fields += [("content-type", "application/grpc"), ("te", "trailers"), ("x-own", "y" * 50)]
    with shared.raw() as client:
        sizes = []
        for index in range(3):
            block = encoder.encode(fields)
            sizes.append(len(block))
            half = len(block) // 2
            stream_id = 2 * index + 1
            client.send(say.frame(h2.HEADERS, 0, stream_id, block[:half]))
            client.send(say.frame(h2.CONTINUATION, h2.END_HEADERS, stream_id, block[half:]))
            client.send(say.body(say.message("by the table"), stream_id))
            assert client.answer(stream_id)[0][b"grpc-status"] == b"0"
        assert sizes[1] < sizes[0]


def test_a_block_that_is_known_means_another_where_there_is_a_table(shared: Any, say: Say) -> None:
    """Field 62 is the table's first: the same bytes are a path on one connection, and nothing on another."""
    block = b"\x83\x86\x44\x1c/seldon.protos.Model/Predict" + b"\x40\x0ccontent-type\x10application/grpc"
    by_table = b"\x83\x86\xbf\xbe"
    with shared.raw() as client:
        client.send(say.frame(h2.HEADERS, 4, 1, block) + say.body(say.message("one")))
        assert client.answer(1)[0][b"grpc-status"] == b"0"
        client.send(say.frame(h2.HEADERS, 4, 3, by_table) + say.body(say.message("two"), 3))
        assert client.answer(3)[0][b"grpc-status"] == b"0"
    with shared.raw() as client:
        client.send(say.frame(h2.HEADERS, 4, 1, b"\x20" + block) + say.body(say.message("one")))
        assert client.answer(1)[0][b"grpc-status"] == b"0"
        client.send(say.frame(h2.HEADERS, 4, 3, by_table))
        assert client.goaway() is ErrorCode.COMPRESSION_ERROR


@pytest.mark.parametrize(
    ("start", "answer"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 400 Bad Request\r\n"),
        (b"PRI * HTTP/1.1\r\n\r\n", b"HTTP/1.1 400 Bad Request\r\n"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\x00\x00"),
        (b"\x00" * 100, b"\x00\x00"),
    ],
    ids=["HTTP/1.1", "nearly HTTP/2", "TLS", "zeros"],
)
def test_what_is_no_http2_is_refused_at_once(shared: Any, start: bytes, answer: bytes) -> None:
    with socket.create_connection(("127.0.0.1", shared.number), 20) as client:
        client.sendall(start)
        told = b""
        while more := client.recv(65536):
            told += more
        assert told.startswith(answer)
    shared.assert_answers()


def test_the_first_frame_is_settings(shared: Any, say: Say) -> None:
    with shared.raw(is_polite=False) as client:
        client.send(h2.PREFACE + h2.ping_frame(bytes(8)))
        assert client.goaway() is ErrorCode.PROTOCOL_ERROR


def test_more_streams_than_allowed_are_refused_and_may_come_again(served: Any, say: Say) -> None:
    with served.raw() as client:
        ids = range(1, 2 * MAX_STREAMS + 1, 2)
        client.send(b"".join(say.headers(stream_id) for stream_id in ids))
        late = 2 * MAX_STREAMS + 1
        client.send(say.request("late", late))
        assert client.answer(late)[0][b"reset"] == b"%d" % ErrorCode.REFUSED_STREAM
        client.send(say.body(say.message("one"), 1))
        assert client.answer(1)[0][b"grpc-status"] == b"0"
        assert client.predict("late", late + 2) == "late"


def test_of_too_many_connections_the_one_that_is_idle_the_longest_is_closed(serve_grpc: Any) -> None:
    with serve_grpc(max_connections=2) as served, served.raw() as one, served.raw() as two:
        assert one.predict("one") == "one"
        assert two.predict("two") == "two"
        with served.raw() as three:
            assert three.predict("three") == "three"
            assert one.goaway() is ErrorCode.NO_ERROR
            assert two.predict("again", 3) == "again"


def test_where_no_connection_is_idle_one_too_many_is_refused_and_probes_are_answered(serve_grpc: Any, say: Say) -> None:
    with serve_grpc(max_connections=2) as served, served.raw() as one, served.raw() as two:
        for client in (one, two):
            client.send(say.headers(1))
        with served.raw() as three:
            three.send(say.request("three"))
            assert three.goaway() is ErrorCode.ENHANCE_YOUR_CALM
        with served.raw() as silent:
            assert silent.goaway() is ErrorCode.ENHANCE_YOUR_CALM
        with served.channel() as channel:
            assert health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest()).status == 1
        for client in (one, two):
            client.send(say.body(say.message("x")))
            assert client.answer(1)[0][b"grpc-status"] == b"0"


SLOW: dict[str, Bytes] = {
    "no preface": lambda _: b"",
    "half a preface": lambda _: h2.PREFACE[:10],
    "half a frame": lambda say: h2.PREFACE + h2.settings_frame({}) + say.headers()[:20],
    "half a header block": lambda say: (
        h2.PREFACE + h2.settings_frame({}) + say.frame(h2.HEADERS, 0, 1, say.block()[:20])
    ),
}


@pytest.mark.parametrize("make", SLOW.values(), ids=SLOW)
def test_who_is_too_slow_is_cut_off(serve_grpc: Any, say: Say, make: Bytes) -> None:
    with serve_grpc(header_timeout_seconds=0.5, keep_alive_seconds=60) as served:
        with served.raw(is_polite=False) as client:
            client.send(make(say))
            assert client.is_closed()
        served.assert_answers()


def test_who_does_not_say_that_it_is_there_is_cut_off(serve_grpc: Any) -> None:
    with serve_grpc(header_timeout_seconds=0.5, keep_alive_seconds=0.2) as served:
        with served.raw() as client:
            client.wait_for(h2.PING)
            assert client.is_closed()
        served.assert_answers()


def test_a_slow_body_ends_its_call_only(serve_grpc: Any, say: Say) -> None:
    with serve_grpc(body_timeout_seconds=0.2) as served, served.raw() as client:
        client.send(say.headers() + say.body(say.message("never whole")[:-1], ends=False))
        assert client.answer()[0][b"grpc-status"] == b"4"
        assert client.predict("next", 3) == "next"


def test_a_silent_client_that_is_there_is_kept(serve_grpc: Any, say: Say) -> None:
    with serve_grpc(keep_alive_seconds=0.1, header_timeout_seconds=1) as served, served.raw() as client:
        for _ in range(15):  # for longer than an answer may take
            _, payload = client.wait_for(h2.PING)
            client.send(h2.ping_frame(payload, is_ack=True))
        assert client.predict("still there") == "still there"


@pytest.mark.parametrize("is_connection", [True, False], ids=["the connection's", "the streams'"])
def test_windows_that_are_never_opened_end_their_calls(serve_grpc: Any, say: Say, is_connection: bool) -> None:
    with serve_grpc(body_timeout_seconds=0.2) as served, served.raw() as client:
        first = 65535 if is_connection else 100
        client.send(h2.settings_frame({h2.INITIAL_WINDOW_SIZE: 1 << 20 if is_connection else first}))
        client.send(say.request("grow 100000", 1) + say.request("grow 100000", 3))
        got: dict[int, int] = {1: 0, 3: 0}
        resets: list[int] = []
        while len(resets) < 2:
            frame = client.frame()
            assert frame is not None
            kind, _, stream_id, payload = frame
            if kind == h2.DATA:
                got[stream_id] += len(payload)
            elif kind == h2.RST_STREAM:
                resets.append(h2.read_number(payload))
        assert resets == [ErrorCode.CANCEL] * 2
        assert got == {1: 100, 3: 100} if not is_connection else sum(got.values()) == first
        served.assert_answers()


def test_an_answer_keeps_to_windows_and_frames_that_change_midway(shared: Any, say: Say) -> None:
    with shared.raw() as client:
        client.send(h2.settings_frame({h2.INITIAL_WINDOW_SIZE: 10, h2.MAX_FRAME_SIZE: 16384}))
        client.send(say.request("grow 200000"))
        body = b""
        while len(body) < 10:
            body += client.wait_for(h2.DATA)[1]
        assert len(body) == 10
        # less than nothing, then as much as before, then more
        client.send(h2.settings_frame({h2.INITIAL_WINDOW_SIZE: 0}) + h2.window_frame(1, 10))
        client.send(h2.settings_frame({h2.INITIAL_WINDOW_SIZE: 10, h2.MAX_FRAME_SIZE: 100000}) + h2.window_frame(1, 20))
        while len(body) < 40:
            body += client.wait_for(h2.DATA)[1]
        assert len(body) == 40
        client.send(h2.settings_frame({h2.INITIAL_WINDOW_SIZE: 1 << 20}))
        while len(body) < 65535:
            body += client.wait_for(h2.DATA)[1]
        assert len(body) == 65535
        client.send(h2.window_frame(0, 1 << 20))
        fields, rest = client.answer()
        assert fields[b"grpc-status"] == b"0"
        assert len(SeldonMessage.FromString((body + rest)[5:]).strData) == 200000


def test_who_reads_nothing_is_cut_off(serve_grpc: Any, say: Say) -> None:
    with serve_grpc(body_timeout_seconds=0.3) as served, served.raw() as client:
        client.send(h2.settings_frame({h2.INITIAL_WINDOW_SIZE: h2.MAX_WINDOW}) + h2.window_frame(0, 1 << 30))
        for stream_id in range(1, 40, 2):
            client.send(say.request("grow 4000000", stream_id))
        served.assert_answers()
        served.on_loop(lambda: _until_gone(served))
        served.assert_answers()


async def _until_gone(served: Any) -> None:
    """Wait until the port has no connections; they may be gone before this runs."""
    if not served.port._connections:
        return
    gone = served.loop.create_future()
    discard = served.port.discard

    def note(connection: Any) -> None:
        discard(connection)
        if not served.port._connections:
            gone.set_result(None)

    served.port.discard = note
    await gone
    served.port.discard = discard


def test_messages_wait_for_room_and_get_it_in_their_order(serve_grpc: Any, say: Say) -> None:
    """A connection has room for four of the longest messages; more are let in as those before them go."""
    size = 1 << 20
    with serve_grpc(max_message_bytes=size) as served, served.raw() as client:
        data = say.message("y" * (size - 20))
        rooms = {}
        for stream_id in range(1, 13, 2):
            client.send(say.headers(stream_id) + say.body(data[:FIRST_WINDOW], stream_id, ends=False))
        client.send(h2.ping_frame(b"all seen"))
        for kind, flags, stream_id, payload in client.frames():
            if kind == h2.WINDOW_UPDATE and stream_id:
                rooms[stream_id] = h2.read_number(payload)
            if kind == h2.PING and flags & h2.ACK:
                break
        assert rooms == dict.fromkeys((1, 3, 5, 7), len(data) - FIRST_WINDOW)
        for stream_id in rooms:
            client.send(_in_frames(say, data[FIRST_WINDOW:], stream_id))
        client.send(h2.window_frame(0, 1 << 30) + h2.settings_frame({h2.INITIAL_WINDOW_SIZE: 1 << 30}))
        granted: set[int] = set()
        while granted != {9, 11}:
            frame = client.frame()
            assert frame is not None
            if frame[0] == h2.WINDOW_UPDATE and frame[2]:
                granted.add(frame[2])
        for stream_id in (9, 11):
            client.send(_in_frames(say, data[FIRST_WINDOW:], stream_id))
        assert client.answer(11)[0][b"grpc-status"] == b"0"


def _in_frames(say: Say, data: bytes, stream_id: int) -> bytes:
    return b"".join(
        say.body(data[at : at + 16384], stream_id, ends=at + 16384 >= len(data)) for at in range(0, len(data), 16384)
    )


def test_a_model_that_is_busy_does_not_keep_others_from_being_refused(served: Any, say: Say) -> None:
    with served.raw() as busy, served.raw() as client:
        busy.send(say.request("wait"))
        assert served.model.entered.wait(20)
        client.send(say.headers(_path="/not/there") + say.body(b""))
        assert client.answer()[0][b"grpc-status"] == b"12"
        served.model.release.set()
        assert busy.answer()[0][b"grpc-status"] == b"0"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 400), min_size=1, max_size=40))
def test_any_pieces_of_the_same_bytes_get_the_same_answers(shared: Any, say: Say, sizes: list[int]) -> None:
    data = say.request("first", 1) + h2.ping_frame(b"pingpong") + say.headers(3) + say.body(b"", 3)
    data += say.frame(h2.HEADERS, 0, 5, say.block()[:30]) + say.frame(h2.CONTINUATION, 4, 5, say.block()[30:])
    data += say.frame(h2.DATA, h2.PADDED, 5, b"\x03" + say.message("padded")[:4] + bytes(3))
    data += say.body(say.message("padded")[4:], 5) + say.request("x" * 900, 7)
    data = h2.PREFACE + h2.settings_frame({}) + data
    expected = {1: (b"0", say.message("first")), 3: (b"12", b""), 5: (b"0", say.message("padded"))}
    expected[7] = (b"0", say.message("x" * 900))
    with shared.raw(is_polite=False) as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        at = 0
        for size in itertools.cycle(sizes):
            client.send(data[at : at + size])
            at += size
            if at >= len(data):
                break
        got: dict[int, tuple[bytes, bytes]] = {}
        bodies: dict[int, bytes] = {}
        while len(got) < len(expected):
            frame = client.frame()
            assert frame is not None
            kind, flags, stream_id, payload = frame
            if kind == h2.DATA:
                bodies[stream_id] = bodies.get(stream_id, b"") + payload
            elif kind == h2.HEADERS:
                fields = client.fields(payload)
                if flags & h2.END_STREAM:
                    got[stream_id] = fields[b"grpc-status"], _plain(bodies.get(stream_id, b""))
    assert {key: (status, body) for key, (status, body) in got.items()} == expected


def _plain(body: bytes) -> bytes:
    """The answer's message without the ``meta`` that it has beside the text."""
    if not body:
        return b""
    wire: bytes = SeldonMessage(strData=SeldonMessage.FromString(body[5:]).strData).SerializeToString()
    return struct.pack(">BI", 0, len(wire)) + wire


FRAMES = st.builds(
    lambda kind, flags, stream_id, payload: h2.frame_head(len(payload), kind, flags, stream_id) + payload,
    st.integers(0, 10),
    st.integers(0, 255),
    st.sampled_from([0, 1, 1, 1, 2, 3, 5, 2**31 - 1]),
    st.binary(max_size=40),
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=300), st.lists(FRAMES, max_size=12).map(b"".join)))
def test_no_bytes_leave_the_server_unable_to_answer(
    shared: Any, say: Say, caplog: pytest.LogCaptureFixture, data: bytes
) -> None:
    with shared.raw() as client:
        client.try_to_send(say.headers(1) + data)
        client.socket.shutdown(socket.SHUT_WR)
        client.is_closed()
    shared.assert_answers()
    assert "unexpected" not in caplog.text
    assert "exception" not in caplog.text.lower()


def test_other_clients_are_answered_while_one_floods(served: Any, say: Say) -> None:
    """On one connection at a time: others would wait behind thousands of them in the backlog of the system."""
    is_over = threading.Event()

    def flood() -> None:
        while not is_over.is_set():
            with served.raw() as client:
                client.try_to_send(20000 * h2.ping_frame(bytes(8)))
                client.is_closed()

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        for _ in range(20):
            served.assert_answers()
    finally:
        is_over.set()
        thread.join()


def test_connections_with_input_left_end_with_the_loop(serve_grpc: Any, caplog: pytest.LogCaptureFixture) -> None:
    with ExitStack() as clients, serve_grpc() as served:
        for client in [clients.enter_context(served.raw()) for _ in range(40)]:
            client.try_to_send(240 * h2.ping_frame(bytes(8)))
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []
