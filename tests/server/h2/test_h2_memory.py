"""What the connections of a worker may buffer: responses that are not read, and all of it together."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from seldon_spec.protocols.seldon_v1.proto import SeldonMessage
from seldon_spec.transport.buffers import MmapBuffer
from seldon_spec.transport.http2 import frames as h2
from seldon_spec.transport.http2.frames import ErrorCode

Say = Any

SIZE = 1 << 20
CALLS = 60
FRAME_BYTES = 100_000
UNREAD = 4
"""So many responses of the largest message a connection may have unread before its calls have to wait."""


def closed_windows(client: Any) -> None:
    client.send(h2.settings_frame({h2.INITIAL_WINDOW_SIZE: 0}))


def open_windows(client: Any) -> None:
    client.send(h2.settings_frame({h2.INITIAL_WINDOW_SIZE: 2 * SIZE}) + h2.window_frame(0, 1 << 30))


def find_end(client: Any) -> ErrorCode | None:
    """Why the server has ended a connection; None: it has not."""
    client.try_to_send(h2.ping_frame(b"is it up"))
    for kind, _, _, payload in client.frames():
        if kind == h2.PING:
            return None
        if kind == h2.GOAWAY:
            return ErrorCode(int.from_bytes(payload[4:8], "big"))
    return ErrorCode.NO_ERROR


def ask_for_large_responses(client: Any, say: Say, count: int = CALLS) -> list[int]:
    ids = list(range(1, 2 * count, 2))
    client.send(b"".join(say.request(f"grow {SIZE}", stream_id) for stream_id in ids))
    return ids


def read_all(client: Any, ids: list[int]) -> dict[int, int]:
    """Open the windows, and count the bytes of each response; all have to succeed."""
    open_windows(client)
    sizes = dict.fromkeys(ids, 0)
    waiting = set(ids)
    while waiting:
        frame = client.frame()
        assert frame is not None
        kind, flags, stream_id, payload = frame
        assert kind not in (h2.RST_STREAM, h2.GOAWAY)
        if kind == h2.DATA:
            sizes[stream_id] += len(payload)
        elif kind == h2.HEADERS and flags & h2.END_STREAM:
            assert client.fields(payload)[b"grpc-status"] == b"0"
            waiting.discard(stream_id)
    return sizes


def test_calls_wait_while_responses_are_unread_and_none_is_lost(serve_grpc: Any, say: Say) -> None:
    with serve_grpc(max_message_bytes=SIZE) as served, served.raw() as client:
        closed_windows(client)
        ids = ask_for_large_responses(client, say)
        while len(served.model.seen) < UNREAD:
            served.assert_answers()
        for _ in range(CALLS):  # another client's calls, each behind those that could begin
            served.assert_answers()
        begun = [word for word in served.model.seen if word == f"grow {SIZE}"]
        assert len(begun) <= UNREAD + 4
        assert served.port.capacity.buffered_bytes < (UNREAD + 5) * SIZE
        sizes = read_all(client, ids)
        assert min(sizes.values()) > SIZE
        assert len(set(sizes.values())) == 1
        assert len([word for word in served.model.seen if word == f"grow {SIZE}"]) == CALLS
        served.assert_answers()
        assert served.port.capacity.buffered_bytes == 0


def test_a_call_that_waits_for_its_client_ends_with_its_deadline(serve_grpc: Any, say: Say) -> None:
    with serve_grpc(max_message_bytes=SIZE) as served, served.raw() as client:
        closed_windows(client)
        ask_for_large_responses(client, say)
        while not client.fields(client.wait_for(h2.HEADERS)[1]):
            pass
        late = 2 * CALLS + 1
        client.send(say.request("late", late, grpc_timeout="300m"))
        assert client.answer(late)[0][b"grpc-status"] == b"4"
        assert "late" not in served.model.seen


def test_the_connection_that_holds_the_most_is_ended(serve_grpc: Any, say: Say) -> None:
    with serve_grpc(max_message_bytes=SIZE, max_buffered_bytes=8 * SIZE) as served, ExitStack() as stack:
        small = stack.enter_context(served.raw())
        open_windows(small)
        small.send(say.headers(1) + say.body(say.message("y" * 100_000)[:90_000], 1, ends=False))
        clients = [stack.enter_context(served.raw()) for _ in range(8)]
        for client in clients:
            closed_windows(client)
            ask_for_large_responses(client, say)
        for _ in range(CALLS):
            served.assert_answers()
        ended = [code for client in clients if (code := find_end(client)) is not None]
        assert ended == [ErrorCode.ENHANCE_YOUR_CALM] * len(ended)
        assert 4 <= len(ended) <= 7
        assert served.port.capacity.buffered_bytes <= 8 * SIZE
        small.send(say.body(say.message("y" * 100_000)[90_000:], 1))
        fields, body = small.answer(1)
        assert fields[b"grpc-status"] == b"0"
        assert len(SeldonMessage.FromString(body[5:]).strData) == 100_000


def test_uploads_are_counted_and_released(serve_grpc: Any, say: Say) -> None:
    with serve_grpc(max_message_bytes=SIZE) as served, served.raw() as client:
        open_windows(client)
        data = say.message("y" * 100_000)
        for stream_id in (1, 3, 5):
            client.send(say.headers(stream_id) + say.body(data[:-1], stream_id, ends=False))
        client.send(h2.ping_frame(b"all seen"))
        client.wait_for(h2.PING)
        assert served.port.capacity.buffered_bytes == 3 * (len(data) - 1)
        client.send(h2.reset_frame(1, ErrorCode.CANCEL) + say.body(data[-1:], 3))
        assert client.answer(3)[0][b"grpc-status"] == b"0"
        served.assert_answers()
        assert served.port.capacity.buffered_bytes == len(data) - 1
    assert served.port.capacity.buffered_bytes == 0


def test_a_large_upload_is_counted_with_its_pages_and_released(serve_grpc: Any, say: Say) -> None:
    with serve_grpc(max_message_bytes=8 * SIZE) as served, served.raw() as client:
        open_windows(client)
        data = say.message("y" * 5 * SIZE)
        pieces = [data[at : at + FRAME_BYTES] for at in range(0, len(data), FRAME_BYTES)]
        client.send(say.headers() + say.body(pieces[0], ends=False))
        assert client.wait_for(h2.WINDOW_UPDATE, 1)
        pages = MmapBuffer(len(data) - 5)
        pages.extend(pieces[0][5:])
        for count, piece in enumerate(pieces[1:], 1):
            pages.extend(piece)
            client.send(say.body(piece, ends=count == len(pieces) - 1))
            if count == len(pieces) // 2:
                client.send(h2.ping_frame(b"all seen"))
                client.wait_for(h2.PING)
                assert served.port.capacity.buffered_bytes == 5 + pages.allocated
        client.send(h2.window_frame(1, len(data)))
        fields, body = client.answer()
        assert fields[b"grpc-status"] == b"0"
        assert SeldonMessage.FromString(body[5:]).strData == "y" * 5 * SIZE
        served.assert_answers()
        assert served.port.capacity.buffered_bytes == 0
