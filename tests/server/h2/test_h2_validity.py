"""Malformed requests are reset, repeated fields are refused, and of others the first value counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2

from seldon_spec.config.model import AuthSpec
from seldon_spec.protocols.seldon_v1.proto import SeldonMessage
from seldon_spec.transport.grpc.headers import STATUS
from seldon_spec.transport.http2 import frames as h2
from seldon_spec.transport.http2.fields import MAX_FIELDS, write_fields
from seldon_spec.transport.http2.frames import ErrorCode

Say = Any
Fields = list[tuple[bytes, bytes]]

METHOD, SCHEME = (b":method", b"POST"), (b":scheme", b"http")
PATH, AUTHORITY = (b":path", b"/seldon.protos.Model/Predict"), (b":authority", b"model")
PSEUDO = [METHOD, SCHEME, PATH, AUTHORITY]
TYPE = (b"content-type", b"application/grpc")

MALFORMED: dict[str, Fields] = {
    "an upper-case name": [*PSEUDO, TYPE, (b"X-own", b"x")],
    "an empty name": [*PSEUDO, TYPE, (b"", b"x")],
    "a name with a space": [*PSEUDO, TYPE, (b"x own", b"x")],
    "a name with a colon": [*PSEUDO, TYPE, (b"x:own", b"x")],
    "a name with a control character": [*PSEUDO, TYPE, (b"x\x1fown", b"x")],
    "a name beyond ASCII": [*PSEUDO, TYPE, (b"x\xc3\xa9", b"x")],
    "a line break in a name": [*PSEUDO, TYPE, (b"x\n", b"x")],
    "only a colon": [*PSEUDO, TYPE, (b":", b"x")],
    "CR in a value": [*PSEUDO, TYPE, (b"x-own", b"a\rb")],
    "LF in a value": [*PSEUDO, TYPE, (b"x-own", b"a\nb")],
    "LF at the end of a value": [*PSEUDO, TYPE, (b"x-own", b"a\n")],
    "NUL in a value": [*PSEUDO, TYPE, (b"x-own", b"a\0b")],
    "a space before a value": [*PSEUDO, TYPE, (b"x-own", b" a")],
    "a tab behind a value": [*PSEUDO, TYPE, (b"x-own", b"a\t")],
    "a value of one space": [*PSEUDO, TYPE, (b"x-own", b" ")],
    "LF in the path": [METHOD, SCHEME, (b":path", b"/a\n"), AUTHORITY, TYPE],
    "an unknown pseudo-header field": [*PSEUDO, (b":protocol", b"websocket"), TYPE],
    "a pseudo-header field of responses": [*PSEUDO, (b":status", b"200"), TYPE],
    "a pseudo-header field behind a regular one": [METHOD, SCHEME, PATH, TYPE, AUTHORITY],
    "the path twice, and the last one exists": [METHOD, SCHEME, (b":path", b"/not/there"), PATH, AUTHORITY, TYPE],
    "the path twice, the same": [*PSEUDO, PATH, TYPE],
    "the authority twice": [*PSEUDO, AUTHORITY, TYPE],
    "no method": [SCHEME, PATH, AUTHORITY, TYPE],
    "no scheme": [METHOD, PATH, AUTHORITY, TYPE],
    "no path": [METHOD, SCHEME, AUTHORITY, TYPE],
    "an empty path": [METHOD, SCHEME, (b":path", b""), AUTHORITY, TYPE],
    "CONNECT with a path": [(b":method", b"CONNECT"), SCHEME, PATH, AUTHORITY],
    "CONNECT without an authority": [(b":method", b"CONNECT")],
    "connection": [*PSEUDO, TYPE, (b"connection", b"close")],
    "proxy-connection": [*PSEUDO, TYPE, (b"proxy-connection", b"close")],
    "keep-alive": [*PSEUDO, TYPE, (b"keep-alive", b"timeout=5")],
    "transfer-encoding": [*PSEUDO, TYPE, (b"transfer-encoding", b"chunked")],
    "upgrade": [*PSEUDO, TYPE, (b"upgrade", b"h2c")],
    "te that is more than trailers": [*PSEUDO, TYPE, (b"te", b"trailers, gzip")],
    "te that is something else": [*PSEUDO, TYPE, (b"te", b"gzip")],
    "a length that is none": [*PSEUDO, TYPE, (b"content-length", b"x")],
    "a length with a sign": [*PSEUDO, TYPE, (b"content-length", b"+8")],
    "an empty length": [*PSEUDO, TYPE, (b"content-length", b"")],
    "a length beyond any number": [*PSEUDO, TYPE, (b"content-length", b"9" * 40)],
    "the length twice": [*PSEUDO, TYPE, (b"content-length", b"8"), (b"content-length", b"8")],
    "a length that is too short": [*PSEUDO, TYPE, (b"content-length", b"7")],
    "a length that is too long": [*PSEUDO, TYPE, (b"content-length", b"9")],
    "a host that is not the authority": [*PSEUDO, TYPE, (b"host", b"other")],
    "the host twice": [METHOD, SCHEME, PATH, TYPE, (b"host", b"model"), (b"host", b"model")],
}


@pytest.mark.parametrize("fields", MALFORMED.values(), ids=MALFORMED)
@pytest.mark.parametrize("start", [b"", b"\x20"], ids=["with a table", "without a table"])
def test_malformed_requests_are_reset(shared: Any, say: Say, fields: Fields, start: bytes) -> None:
    """The client without a table sends the block twice, for the second time it is known."""
    data = say.message("x")
    assert len(data) == 8
    with shared.raw() as client:
        client.send(say.frame(h2.HEADERS, 4, 1, start + say.block()) + say.body(data))
        assert client.answer()[0][b"grpc-status"] == b"0"
        for stream_id in (3, 5):
            client.send(say.frame(h2.HEADERS, 4, stream_id, write_fields(fields)) + say.body(data, stream_id))
            assert client.answer(stream_id) == ({b"reset": b"%d" % ErrorCode.PROTOCOL_ERROR}, b"")
        assert client.predict("next", 7) == "next"


WELL_FORMED: dict[str, tuple[Fields, bytes]] = {
    "the host alone": ([METHOD, SCHEME, PATH, TYPE, (b"host", b"model")], b"0"),
    "the same host and authority": ([*PSEUDO, TYPE, (b"host", b"MODEL")], b"0"),
    "neither": ([METHOD, SCHEME, PATH, TYPE], b"0"),
    "the length": ([*PSEUDO, TYPE, (b"content-length", b"8")], b"0"),
    "te": ([*PSEUDO, TYPE, (b"te", b"trailers")], b"0"),
    "bytes beyond ASCII in a value": ([*PSEUDO, TYPE, (b"x-own", b"caf\xe9 \x7f")], b"0"),
    "an empty value": ([*PSEUDO, TYPE, (b"x-own", b"")], b"0"),
    "every character of names": ([*PSEUDO, TYPE, (b"!#$%&'*+-.^_`|~09az", b"x")], b"0"),
    "fields that are not read, twice": ([*PSEUDO, TYPE, (b"x-own", b"a"), (b"x-own", b"b")], b"0"),
    "a path without a slash": ([METHOD, SCHEME, (b":path", b"predict"), AUTHORITY, TYPE], b"12"),
    "the most fields": ([*PSEUDO, TYPE, *[(b"x", b"y")] * (MAX_FIELDS - 5)], b"0"),
    "one field more": ([*PSEUDO, TYPE, *[(b"x", b"y")] * (MAX_FIELDS - 4)], b"8"),
}


@pytest.mark.parametrize(("fields", "status"), WELL_FORMED.values(), ids=WELL_FORMED)
@pytest.mark.parametrize("start", [b"", b"\x20"], ids=["with a table", "without a table"])
def test_well_formed_requests_are_not(shared: Any, say: Say, fields: Fields, status: bytes, start: bytes) -> None:
    with shared.raw() as client:
        client.send(say.frame(h2.HEADERS, 4, 1, start + say.block()) + say.body(say.message("x")))
        assert client.answer()[0][b"grpc-status"] == b"0"
        for stream_id in (3, 5):
            client.send(say.frame(h2.HEADERS, 4, stream_id, write_fields(fields)))
            client.send(say.body(say.message("x"), stream_id))
            assert client.answer(stream_id)[0][b"grpc-status"] == status


@pytest.mark.parametrize(
    "fields",
    [[(b"X", b"y")], [(b":path", b"/")], [(b"x", b"a\nb")], [(b"connection", b"close")], [(b"te", b"gzip")]],
    ids=["an upper-case name", "a pseudo-header field", "LF", "connection", "te"],
)
def test_malformed_trailers_reset_the_stream(shared: Any, say: Say, fields: Fields) -> None:
    with shared.raw() as client:
        client.send(say.headers() + say.body(say.message("x"), ends=False))
        client.send(say.frame(h2.HEADERS, 5, 1, write_fields(fields)))
        assert client.answer()[0] == {b"reset": b"%d" % ErrorCode.PROTOCOL_ERROR}
        assert client.predict("next", 3) == "next"


LENGTHS: dict[str, tuple[str, Callable[[Say], bytes]]] = {
    "without a body": ("1", lambda say: say.headers(ends=True, content_length="1")),
    "in two frames, too long": (
        "2",
        lambda say: say.headers(content_length="2") + say.body(bytes(2), ends=False) + say.body(bytes(1)),
    ),
    "too long before the end": ("2", lambda say: say.headers(content_length="2") + say.body(bytes(3), ends=False)),
    "too short with trailers": (
        "9",
        lambda say: (
            say.headers(content_length="9")
            + say.body(bytes(5), ends=False)
            + say.frame(h2.HEADERS, 5, 1, write_fields([(b"x", b"y")]))
        ),
    ),
    "padding does not count": (
        "9",
        lambda say: say.headers(content_length="9") + say.frame(h2.DATA, 9, 1, b"\x03" + bytes(5) + bytes(3)),
    ),
}


@pytest.mark.parametrize(("length", "make"), LENGTHS.values(), ids=LENGTHS)
def test_lengths_that_do_not_match(shared: Any, say: Say, length: str, make: Callable[[Say], bytes]) -> None:
    with shared.raw() as client:
        client.send(make(say))
        assert client.answer()[0] == {b"reset": b"%d" % ErrorCode.PROTOCOL_ERROR}
        assert client.predict("next", 3) == "next"


def test_a_length_that_matches_in_pieces(shared: Any, say: Say) -> None:
    data = say.message("x" * 1000)
    with shared.raw() as client:
        client.send(say.headers(content_length=str(len(data))))
        for at in range(0, len(data), 300):
            client.send(say.frame(h2.DATA, 8, 1, b"\x02" + data[at : at + 300] + bytes(2)))
        client.send(say.body(b""))
        assert client.answer()[0][b"grpc-status"] == b"0"


SINGULAR = [
    (b"content-type", b"application/grpc"),
    (b"authorization", b"Bearer secret"),
    (b"grpc-timeout", b"20S"),
    (b"grpc-encoding", b"identity"),
    (b"content-encoding", b"identity"),
]


@pytest.mark.parametrize("field", SINGULAR, ids=[name.decode() for name, _ in SINGULAR])
def test_a_singular_field_twice_is_refused(shared: Any, say: Say, field: tuple[bytes, bytes]) -> None:
    fields = [*PSEUDO, *([] if field[0] == b"content-type" else [TYPE]), field, field]
    with shared.raw() as client:
        client.send(say.frame(h2.HEADERS, 4, 1, write_fields(fields)) + say.body(say.message("x")))
        got, _ = client.answer()
        assert (got[b":status"], got[b"grpc-status"]) == (b"200", b"%d" % STATUS["INVALID_ARGUMENT"])
        assert got[b"grpc-message"] == b"the header %b occurs more than once" % field[0]


def test_of_other_fields_the_first_value_counts(shared: Any, say: Say) -> None:
    fields = [*PSEUDO, TYPE, (b"seldon-puid", b"first"), (b"seldon-puid", b"second")]
    with shared.raw() as client:
        client.send(say.frame(h2.HEADERS, 4, 1, write_fields(fields)) + say.body(say.message("x")))
        got, body = client.answer()
        assert got[b"seldon-puid"] == b"first"
        assert SeldonMessage.FromString(body[5:]).strData == "x"


def ask_reflection(channel: Any, version: str, metadata: list[tuple[str, str]]) -> set[str]:
    """The names of the services that are listed."""
    call = channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        reflection_pb2.ServerReflectionRequest.SerializeToString,
        reflection_pb2.ServerReflectionResponse.FromString,
    )
    question = reflection_pb2.ServerReflectionRequest(list_services="")
    response = next(call(iter([question]), timeout=20, metadata=metadata))
    return {service.name for service in response.list_services_response.service}


def assert_reflection_needs_a_token(channel: Any) -> None:
    for version in ("v1", "v1alpha"):
        with pytest.raises(grpc.RpcError) as caught:
            ask_reflection(channel, version, [])
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        services = ask_reflection(channel, version, [("authorization", "Bearer secret-token")])
        assert services > {"seldon.protos.Model", "grpc.reflection.v1.ServerReflection", "grpc.health.v1.Health"}


def test_reflection_needs_a_token(serve_grpc: Any) -> None:
    with serve_grpc(auth=AuthSpec(("secret-token",))) as served, served.channel() as channel:
        assert_reflection_needs_a_token(channel)


def test_grpcio_s_server_keeps_to_the_same_rules(beside: Any) -> None:
    beside.write_class("class Served:\n    def predict(self, X, names):\n        return X\n")
    beside.write_spec(server="engine: uvicorn, auth: {tokens: {from_env: TOKENS}}")
    server = beside.start(TOKENS="secret-token").wait_until_ready()
    token = ("authorization", "Bearer secret-token")
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        call: Any = channel.unary_unary("/seldon.protos.Model/Predict", None, None)
        wire = SeldonMessage(strData="x").SerializeToString()
        assert SeldonMessage.FromString(call(wire, timeout=20, metadata=[token])).strData == "x"
        with pytest.raises(grpc.RpcError) as caught:
            call(wire, timeout=20, metadata=[token, ("authorization", "Bearer other")])
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert_reflection_needs_a_token(channel)
    assert server.stop() == 0
