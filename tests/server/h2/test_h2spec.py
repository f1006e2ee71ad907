"""The cases of h2spec by their numbers: what a server has to accept, reset, or end the connection for.

The bytes are our own. Left out are 5.3.1 (a stream that depends on itself: RFC 9113 has no such rule), the updates of
the table size in generic/5 (the announced size is 0), and the cases that only a client can fail.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest

from seldon_spec.transport.http2 import frames as h2
from seldon_spec.transport.http2.fields import write_fields
from seldon_spec.transport.http2.frame_reader import MAX_FRAME_BYTES
from seldon_spec.transport.http2.frames import ErrorCode
from seldon_spec.transport.http2.receive_windows import MAX_STREAMS

Say = Any
Client = Any
Check = Callable[[Client], None]

CANCEL = h2.reset_frame(1, ErrorCode.CANCEL)
METHOD, SCHEME = (b":method", b"POST"), (b":scheme", b"http")
PATH, AUTHORITY = (b":path", b"/seldon.protos.Model/Predict"), (b":authority", b"model")
TYPE = (b"content-type", b"application/grpc")
REQUEST = [METHOD, SCHEME, PATH, AUTHORITY, TYPE]
OK = b"0"


def fails(*codes: ErrorCode) -> Check:
    """The connection ends."""

    def check(client: Client) -> None:
        assert client.goaway() in codes
        assert client.is_closed()

    return check


def resets(*codes: ErrorCode, stream_id: int = 1) -> Check:
    """The stream ends, and the next one is served."""

    def check(client: Client) -> None:
        fields, _ = client.answer(stream_id)
        assert ErrorCode(int(fields[b"reset"])) in codes
        assert client.predict("next", stream_id + 1000) == "next"

    return check


def responds(stream_id: int = 1, status: bytes | None = OK, http: bytes = b"200") -> Check:
    """The request is served, and so is the next one."""

    def check(client: Client) -> None:
        fields, _ = client.answer(stream_id)
        assert fields[b":status"] == http
        if status is not None:
            assert fields[b"grpc-status"] == status
        assert client.predict("next", stream_id + 1000) == "next"

    return check


def goes_on(client: Client) -> None:
    """Nothing ends."""
    assert client.predict("next", 1001) == "next"


def acks(client: Client) -> None:
    """A PING is acknowledged."""
    while True:
        flags, payload = client.wait_for(h2.PING)
        if flags & h2.ACK:
            assert payload == b"h2spec!!"
            break
    goes_on(client)


def acknowledges_settings(client: Client) -> None:
    """Both SETTINGS frames are acknowledged: that of the preface and the one that was sent."""
    count = 0
    while count < 2:
        count += bool(client.wait_for(h2.SETTINGS)[0] & h2.ACK)
    goes_on(client)


def sends_bytes(size: int, stream_id: int = 1) -> Check:
    """No more than the window allows is sent, until it is opened."""

    def check(client: Client) -> None:
        body = b""
        while len(body) < size:
            body += client.wait_for(h2.DATA, stream_id)[1]
        assert len(body) == size
        client.send(h2.settings_frame({h2.INITIAL_WINDOW_SIZE: 1000}))
        fields, _ = client.answer(stream_id)
        assert fields[b"grpc-status"] == OK

    return check


def head(fields: list[tuple[bytes, bytes]]) -> Callable[[Say], bytes]:
    return lambda say: say.frame(h2.HEADERS, 4, 1, write_fields(fields)) + say.body(say.message("x"))


def changed(*fields: tuple[bytes, bytes], without: bytes = b"") -> Callable[[Say], bytes]:
    return head([*(field for field in REQUEST if field[0] != without), *fields])


def coded(data: bytes) -> Callable[[Say], bytes]:
    """A request whose header block ends with these bytes."""
    return lambda say: say.frame(h2.HEADERS, 4, 1, write_fields(REQUEST) + data) + say.body(say.message("x"))


def pieces(say: Say, *flags: int) -> bytes:
    """A request whose header block comes in a HEADERS frame and some CONTINUATION frames, with these flags."""
    whole = say.block()
    size = len(whole) // len(flags) + 1
    return b"".join(
        say.frame(h2.CONTINUATION if index else h2.HEADERS, flag, 1, whole[index * size : (index + 1) * size])
        for index, flag in enumerate(flags)
    )


def update(stream_id: int, size: int) -> bytes:
    return h2.window_frame(stream_id, size)


def closed(say: Say) -> bytes:
    """A stream that the client has reset."""
    return bytes(say.headers() + CANCEL)


def half_closed(say: Say) -> bytes:
    """A stream that the client has ended, and that is being answered."""
    return bytes(say.request("wait"))


PRIORITY = struct.pack(">IB", 0, 0)

PROTOCOL, CLOSED = ErrorCode.PROTOCOL_ERROR, ErrorCode.STREAM_CLOSED
SIZE, FLOW = ErrorCode.FRAME_SIZE_ERROR, ErrorCode.FLOW_CONTROL_ERROR
COMPRESSION = ErrorCode.COMPRESSION_ERROR

CASES: dict[str, tuple[Callable[[Say], bytes], Check]] = {
    "generic/1/1": (lambda _: b"", goes_on),
    "generic/2/1": (lambda say: say.frame(h2.PRIORITY, 0, 1, PRIORITY) + say.request("x"), responds()),
    "generic/2/2": (lambda say: half_closed(say) + update(1, 100), goes_on),
    "generic/2/3": (lambda say: half_closed(say) + say.frame(h2.PRIORITY, 0, 1, PRIORITY), goes_on),
    "generic/2/4": (lambda say: half_closed(say) + CANCEL, goes_on),
    "generic/2/5": (lambda say: closed(say) + say.frame(h2.PRIORITY, 0, 1, PRIORITY), goes_on),
    "generic/3.1/1": (lambda say: say.request("x"), responds()),
    "generic/3.1/2": (
        lambda say: say.headers() + say.body(say.message("x")[:4], ends=False) + say.body(say.message("x")[4:]),
        responds(),
    ),
    "generic/3.1/3": (
        lambda say: say.headers() + say.frame(h2.DATA, 9, 1, b"\x05" + say.message("x") + bytes(5)),
        responds(),
    ),
    "generic/3.2/1": (lambda say: say.headers() + say.body(say.message("x")), responds()),
    "generic/3.2/2": (
        lambda say: say.frame(h2.HEADERS, 12, 1, b"\x05" + say.block() + bytes(5)) + say.body(say.message("x")),
        responds(),
    ),
    "generic/3.2/3": (
        lambda say: say.frame(h2.HEADERS, 0x24, 1, PRIORITY + say.block()) + say.body(say.message("x")),
        responds(),
    ),
    "generic/3.3/1": (lambda say: say.frame(h2.PRIORITY, 0, 1, PRIORITY) + say.request("x"), responds()),
    "generic/3.3/2": (lambda say: say.frame(h2.PRIORITY, 0, 1, bytes(4) + b"\xff") + say.request("x"), responds()),
    "generic/3.3/3": (lambda say: say.frame(h2.PRIORITY, 0, 1, b"\0\0\0\x05\0") + say.request("x"), responds()),
    "generic/3.3/4": (lambda say: say.frame(h2.PRIORITY, 0, 1, b"\x80\0\0\x05\0") + say.request("x"), responds()),
    "generic/3.3/5": (lambda say: say.frame(h2.PRIORITY, 0, 9, PRIORITY) + say.request("x"), responds()),
    "generic/3.4/1": (lambda say: half_closed(say) + CANCEL, goes_on),
    "generic/3.5/1": (lambda _: h2.settings_frame({h2.MAX_CONCURRENT_STREAMS: 10}), acknowledges_settings),
    "generic/3.7/1": (lambda _: h2.ping_frame(b"h2spec!!"), acks),
    "generic/3.8/1": (lambda say: say.frame(h2.GOAWAY, 0, 0, bytes(8)), goes_on),
    "generic/3.9/1": (lambda _: update(0, 1), goes_on),
    "generic/3.9/2": (lambda say: say.headers() + update(1, 1) + say.body(say.message("x")), responds()),
    "generic/3.10/1": (lambda say: pieces(say, 0, 4) + say.body(say.message("x")), responds()),
    "generic/3.10/2": (lambda say: pieces(say, 0, 0, 0, 4) + say.body(say.message("x")), responds()),
    "generic/4/1": (
        lambda say: say.frame(h2.HEADERS, 5, 1, write_fields([(b":method", b"GET"), SCHEME, PATH, AUTHORITY])),
        responds(status=None, http=b"405"),
    ),
    "generic/4/2": (
        lambda say: say.frame(h2.HEADERS, 5, 1, write_fields([(b":method", b"HEAD"), SCHEME, PATH, AUTHORITY])),
        responds(status=None, http=b"405"),
    ),
    "generic/4/3": (head(REQUEST), responds()),
    "generic/4/4": (
        lambda say: (
            say.headers()
            + say.body(say.message("x"), ends=False)
            + say.frame(h2.HEADERS, 5, 1, write_fields([(b"x", b"y")]))
        ),
        responds(),
    ),
    "generic/5/1": (coded(b"\x90"), responds()),
    "generic/5/2": (coded(b"\x7a\x03foo"), responds()),
    "generic/5/3": (coded(b"\x7a\x82\x94\xe7"), responds()),
    "generic/5/4": (coded(b"\x40\x01x\x03foo"), responds()),
    "generic/5/5": (coded(b"\x40\x82\x94\xe7\x82\x94\xe7"), responds()),
    "generic/5/6": (coded(b"\x0f\x2b\x03foo"), responds()),
    "generic/5/7": (coded(b"\x0f\x2b\x82\x94\xe7"), responds()),
    "generic/5/8": (coded(b"\x00\x01x\x03foo"), responds()),
    "generic/5/9": (coded(b"\x00\x82\x94\xe7\x82\x94\xe7"), responds()),
    "generic/5/10": (coded(b"\x1f\x2b\x03foo"), responds()),
    "generic/5/11": (coded(b"\x1f\x2b\x82\x94\xe7"), responds()),
    "generic/5/12": (coded(b"\x10\x01x\x03foo"), responds()),
    "generic/5/13": (coded(b"\x10\x82\x94\xe7\x82\x94\xe7"), responds()),
    "http2/3.5/1": (lambda _: b"", goes_on),
    "http2/4.1/1": (lambda say: say.frame(0x20, 0, 0, bytes(8)) + say.request("x"), responds()),
    "http2/4.1/2": (lambda say: say.frame(h2.PING, 0x16, 0, b"h2spec!!"), acks),
    "http2/4.1/3": (lambda _: b"\0\0\x08\x06\0\x80\0\0\0h2spec!!", acks),
    "http2/4.2/1": (
        lambda say: say.headers() + say.body(say.message("x" * (16384 - 10))[:16384]),
        responds(),
    ),
    "http2/4.2/2": (lambda say: say.headers() + say.body(bytes(MAX_FRAME_BYTES + 1)), fails(SIZE)),
    "http2/4.2/3": (lambda say: say.frame(h2.HEADERS, 5, 1, bytes(MAX_FRAME_BYTES + 1)), fails(SIZE)),
    "http2/4.3/1": (coded(b"\xff\xff\xff\xff\xff\xff"), fails(COMPRESSION)),
    "http2/4.3/2": (lambda say: pieces(say, 0) + say.frame(h2.PRIORITY, 0, 1, PRIORITY), fails(PROTOCOL)),
    "http2/4.3/3": (lambda say: pieces(say, 0) + say.headers(3), fails(PROTOCOL)),
    "http2/5.1/1": (lambda say: say.body(b"x"), fails(PROTOCOL)),
    "http2/5.1/2": (lambda _: CANCEL, fails(PROTOCOL)),
    "http2/5.1/3": (lambda _: update(1, 1), fails(PROTOCOL)),
    "http2/5.1/4": (lambda say: say.frame(h2.CONTINUATION, 4, 1, say.block()), fails(PROTOCOL)),
    "http2/5.1/5": (lambda say: half_closed(say) + say.body(b"x"), resets(CLOSED)),
    "http2/5.1/6": (lambda say: half_closed(say) + say.headers(), resets(CLOSED)),
    "http2/5.1/7": (lambda say: half_closed(say) + say.frame(h2.CONTINUATION, 4, 1, say.block()), fails(PROTOCOL)),
    "http2/5.1/8": (lambda say: closed(say) + say.body(b"x"), fails(CLOSED)),
    "http2/5.1/9": (lambda say: closed(say) + say.headers(), fails(CLOSED)),
    "http2/5.1/10": (lambda say: closed(say) + say.frame(h2.CONTINUATION, 4, 1, say.block()), fails(PROTOCOL)),
    "http2/5.1/11": (lambda say: say.request("x", _path="/no/one") + say.body(b"x"), fails(CLOSED)),
    "http2/5.1/12": (lambda say: say.headers(_path="/no/one", ends=True) + say.headers(), fails(CLOSED)),
    "http2/5.1/13": (
        lambda say: say.headers(_path="/no/one", ends=True) + say.frame(h2.CONTINUATION, 4, 1, say.block()),
        fails(PROTOCOL),
    ),
    "http2/5.1.1/1": (lambda say: say.headers(2), fails(PROTOCOL)),
    "http2/5.1.1/2": (lambda say: say.headers(5) + say.headers(3), fails(PROTOCOL)),
    "http2/5.1.2/1": (
        lambda say: b"".join(say.headers(stream_id) for stream_id in range(1, 2 * MAX_STREAMS + 2, 2)),
        lambda client: _is_refused(client, 2 * MAX_STREAMS + 1),
    ),
    "http2/5.4.1/1": (lambda say: say.frame(h2.PING, 0, 1, b"h2spec!!"), fails(PROTOCOL)),
    "http2/5.5/1": (lambda say: say.frame(0xFF, 0xFF, 1, bytes(100)) + say.request("x"), responds()),
    "http2/5.5/2": (lambda say: pieces(say, 0) + say.frame(0xFF, 0, 0), fails(PROTOCOL)),
    "http2/6.1/1": (lambda say: say.body(b"x", 0), fails(PROTOCOL)),
    "http2/6.1/2": (lambda say: half_closed(say) + say.body(b"x"), resets(CLOSED)),
    "http2/6.1/3": (lambda say: say.headers() + say.frame(h2.DATA, 8, 1, b"\x06hello"), fails(PROTOCOL)),
    "http2/6.2/1": (lambda say: pieces(say, 0) + say.frame(h2.PRIORITY, 0, 1, PRIORITY), fails(PROTOCOL)),
    "http2/6.2/2": (lambda say: pieces(say, 0) + say.headers(3), fails(PROTOCOL)),
    "http2/6.2/3": (lambda say: say.headers(0), fails(PROTOCOL)),
    "http2/6.2/4": (lambda say: say.frame(h2.HEADERS, 12, 1, b"\xff" + say.block()), fails(PROTOCOL)),
    "http2/6.3/1": (lambda say: say.frame(h2.PRIORITY, 0, 0, PRIORITY), fails(PROTOCOL)),
    "http2/6.3/2": (lambda say: say.frame(h2.PRIORITY, 0, 1, PRIORITY[:4]), fails(SIZE)),
    "http2/6.4/1": (lambda _: h2.reset_frame(0, ErrorCode.CANCEL), fails(PROTOCOL)),
    "http2/6.4/2": (lambda _: CANCEL, fails(PROTOCOL)),
    "http2/6.4/3": (lambda say: say.headers() + say.frame(h2.RST_STREAM, 0, 1, bytes(3)), fails(SIZE)),
    "http2/6.5/1": (lambda say: say.frame(h2.SETTINGS, h2.ACK, 0, bytes(1)), fails(SIZE)),
    "http2/6.5/2": (lambda say: say.frame(h2.SETTINGS, 0, 1, bytes(6)), fails(PROTOCOL)),
    "http2/6.5/3": (lambda say: say.frame(h2.SETTINGS, 0, 0, bytes(3)), fails(SIZE)),
    "http2/6.5.2/1": (lambda _: h2.settings_frame({h2.ENABLE_PUSH: 2}), fails(PROTOCOL)),
    "http2/6.5.2/2": (lambda _: h2.settings_frame({h2.INITIAL_WINDOW_SIZE: 1 << 31}), fails(FLOW)),
    "http2/6.5.2/3": (lambda _: h2.settings_frame({h2.MAX_FRAME_SIZE: 16383}), fails(PROTOCOL)),
    "http2/6.5.2/4": (lambda _: h2.settings_frame({h2.MAX_FRAME_SIZE: 1 << 24}), fails(PROTOCOL)),
    "http2/6.5.2/5": (lambda _: h2.settings_frame({0xFF: 1}), acknowledges_settings),
    "http2/6.5.3/1": (
        lambda say: (
            say.frame(h2.SETTINGS, 0, 0, struct.pack(">HIHI", h2.INITIAL_WINDOW_SIZE, 100, h2.INITIAL_WINDOW_SIZE, 1))
            + say.request("x")
        ),
        sends_bytes(1),
    ),
    "http2/6.5.3/2": (lambda _: h2.settings_frame({h2.ENABLE_PUSH: 0}), acknowledges_settings),
    "http2/6.7/1": (lambda _: h2.ping_frame(b"h2spec!!"), acks),
    "http2/6.7/2": (lambda _: h2.ping_frame(b"invalid!", is_ack=True) + h2.ping_frame(b"h2spec!!"), acks),
    "http2/6.7/3": (lambda say: say.frame(h2.PING, 0, 1, b"h2spec!!"), fails(PROTOCOL)),
    "http2/6.7/4": (lambda say: say.frame(h2.PING, 0, 0, b"h2spec"), fails(SIZE)),
    "http2/6.8/1": (lambda say: say.frame(h2.GOAWAY, 0, 1, bytes(8)), fails(PROTOCOL)),
    "http2/6.9/1": (lambda _: update(0, 0), fails(PROTOCOL)),
    "http2/6.9/2": (lambda say: say.headers() + update(1, 0), resets(PROTOCOL)),
    "http2/6.9/3": (lambda say: say.frame(h2.WINDOW_UPDATE, 0, 0, bytes(3)), fails(SIZE)),
    "http2/6.9.1/1": (
        lambda say: h2.settings_frame({h2.INITIAL_WINDOW_SIZE: 1}) + say.request("x"),
        sends_bytes(1),
    ),
    "http2/6.9.1/2": (lambda _: 2 * update(0, h2.MAX_WINDOW), fails(FLOW)),
    "http2/6.9.1/3": (lambda say: say.headers() + 2 * update(1, h2.MAX_WINDOW), resets(FLOW)),
    "http2/6.9.2/1": (
        lambda say: (
            h2.settings_frame({h2.INITIAL_WINDOW_SIZE: 0})
            + say.request("x")
            + h2.settings_frame({h2.INITIAL_WINDOW_SIZE: 1})
        ),
        sends_bytes(1),
    ),
    "http2/6.9.2/2": (
        lambda say: (
            h2.settings_frame({h2.INITIAL_WINDOW_SIZE: 3})
            + say.request("grow 100")
            + h2.settings_frame({h2.INITIAL_WINDOW_SIZE: 2})
            + update(1, 2)
        ),
        sends_bytes(4),
    ),
    "http2/6.9.2/3": (lambda _: h2.settings_frame({h2.INITIAL_WINDOW_SIZE: 1 << 31}), fails(FLOW)),
    "http2/6.10/1": (lambda say: pieces(say, 0, 0, 4) + say.body(say.message("x")), responds()),
    "http2/6.10/2": (lambda say: pieces(say, 0, 0) + say.body(b"x"), fails(PROTOCOL)),
    "http2/6.10/3": (lambda say: pieces(say, 0) + say.frame(h2.CONTINUATION, 4, 0), fails(PROTOCOL)),
    "http2/6.10/4": (lambda say: say.headers() + say.frame(h2.CONTINUATION, 4, 1), fails(PROTOCOL)),
    "http2/6.10/5": (lambda say: pieces(say, 0, 4) + say.frame(h2.CONTINUATION, 4, 1), fails(PROTOCOL)),
    "http2/6.10/6": (
        lambda say: say.headers() + say.body(b"\0", ends=False) + say.frame(h2.CONTINUATION, 4, 1),
        fails(PROTOCOL),
    ),
    "http2/7/1": (lambda say: say.frame(h2.GOAWAY, 0, 0, bytes(4) + b"\0\0\0\xff"), goes_on),
    "http2/7/2": (lambda say: say.headers() + say.frame(h2.RST_STREAM, 0, 1, b"\0\0\0\xff"), goes_on),
    "http2/8.1/1": (lambda say: say.headers() + say.headers(), resets(PROTOCOL)),
    "http2/8.1.2/1": (changed((b"X-TEST", b"ok")), resets(PROTOCOL)),
    "http2/8.1.2.1/1": (head([*REQUEST[:4], (b":test", b"ok"), TYPE]), resets(PROTOCOL)),
    "http2/8.1.2.1/2": (head([*REQUEST[:4], (b":status", b"200"), TYPE]), resets(PROTOCOL)),
    "http2/8.1.2.1/3": (
        lambda say: (
            say.headers() + say.body(say.message("x"), ends=False) + say.frame(h2.HEADERS, 5, 1, write_fields([METHOD]))
        ),
        resets(PROTOCOL),
    ),
    "http2/8.1.2.1/4": (head([*REQUEST[:3], TYPE, AUTHORITY]), resets(PROTOCOL)),
    "http2/8.1.2.2/1": (changed((b"connection", b"keep-alive")), resets(PROTOCOL)),
    "http2/8.1.2.2/2": (changed((b"te", b"trailers, deflate")), resets(PROTOCOL)),
    "http2/8.1.2.3/1": (head([METHOD, SCHEME, (b":path", b""), AUTHORITY, TYPE]), resets(PROTOCOL)),
    "http2/8.1.2.3/2": (changed(without=b":method"), resets(PROTOCOL)),
    "http2/8.1.2.3/3": (changed(without=b":scheme"), resets(PROTOCOL)),
    "http2/8.1.2.3/4": (changed(without=b":path"), resets(PROTOCOL)),
    "http2/8.1.2.3/5": (head([METHOD, *REQUEST]), resets(PROTOCOL)),
    "http2/8.1.2.3/6": (head([SCHEME, *REQUEST]), resets(PROTOCOL)),
    "http2/8.1.2.3/7": (head([PATH, *REQUEST]), resets(PROTOCOL)),
    "http2/8.1.2.6/1": (changed((b"content-length", b"1")), resets(PROTOCOL)),
    "http2/8.1.2.6/2": (
        lambda say: say.headers(content_length="1") + say.body(b"\0", ends=False) + say.body(b"\0"),
        resets(PROTOCOL),
    ),
    "http2/8.2/1": (lambda say: say.frame(h2.PUSH_PROMISE, 4, 1, bytes(4) + say.block()), fails(PROTOCOL)),
    "hpack/2.3.3/1": (coded(b"\xbe"), fails(COMPRESSION)),
    "hpack/2.3.3/2": (coded(b"\x7e\x01x"), fails(COMPRESSION)),
    "hpack/4.2/1": (coded(b"\x20"), fails(COMPRESSION)),
    "hpack/5.2/1": (coded(b"\x00\x01x\x86\x94\xe7\x94\xe7\xff\xff"), fails(COMPRESSION)),
    "hpack/5.2/2": (coded(b"\x00\x01x\x83\x94\xe7\x00"), fails(COMPRESSION)),
    "hpack/5.2/3": (coded(b"\x00\x01x\x86\x94\xe7\xff\xff\xff\xff"), fails(COMPRESSION)),
    "hpack/6.1/1": (coded(b"\x80"), fails(COMPRESSION)),
    "hpack/6.3/1": (
        lambda say: h2.SETTINGS_ACK + say.frame(h2.HEADERS, 4, 1, b"\x3f\xe2\x1f" + say.block()),
        fails(COMPRESSION),
    ),
    # after the acknowledgement even the default size is too large; 0 is what the client has to say
    "hpack/6.3/1, below the default": (
        lambda say: h2.SETTINGS_ACK + say.frame(h2.HEADERS, 4, 1, b"\x21" + say.block()),
        fails(COMPRESSION),
    ),
    "hpack/4.2, two updates": (
        lambda say: say.frame(h2.HEADERS, 4, 1, b"\x20\x3f\xe1\x1f" + say.block()) + say.body(say.message("x")),
        responds(),
    ),
    "hpack/4.2, three updates": (
        lambda say: say.frame(h2.HEADERS, 4, 1, b"\x20\x20\x20" + say.block()),
        fails(COMPRESSION),
    ),
}


def _is_refused(client: Client, stream_id: int) -> None:
    fields, _ = client.answer(stream_id)
    assert fields[b"reset"] == b"%d" % ErrorCode.REFUSED_STREAM


@pytest.mark.parametrize(("make", "check"), CASES.values(), ids=CASES)
def test_case(served: Any, say: Say, make: Callable[[Say], bytes], check: Check) -> None:
    with served.raw() as client:
        client.try_to_send(make(say))
        served.model.release.set()
        check(client)
    served.assert_answers()


@pytest.mark.parametrize(
    ("start", "code"),
    [(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", None), (h2.PREFACE + h2.ping_frame(bytes(8)), PROTOCOL)],
    ids=["http2/3.5/2", "http2/3.4, SETTINGS first"],
)
def test_prefaces_that_are_not_allowed(served: Any, start: bytes, code: ErrorCode | None) -> None:
    with served.raw(is_polite=False) as client:
        client.send(start)
        if code is not None:
            assert client.goaway() is code
        assert client.is_closed()
    served.assert_answers()
