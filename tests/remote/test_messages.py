"""Messages on their way to a server and back: what arrives is what a component of the same process would get."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seldon_spec.errors import PayloadError
from seldon_spec.inference.message import AggregateMessage, Message, Operation, PayloadType, join_messages
from seldon_spec.inference.request import Request, Response
from seldon_spec.protocols.open_inference_v2.codec import ModelInfo
from seldon_spec.protocols.open_inference_v2.json_codec import V2JsonCodec
from seldon_spec.protocols.open_inference_v2.proto_codec import V2ProtoCodec
from seldon_spec.protocols.seldon_v1.array_encoding import ArrayEncoding
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec
from seldon_spec.protocols.seldon_v1.proto import SeldonMessage
from seldon_spec.protocols.seldon_v1.proto_codec import ProtoCodec
from tests.remote.peers import Connect, GrpcPeer, HttpPeer, Remote, connecting, respond

ECHO = """
class Model:
    def predict_raw(self, message):
        return message

    def aggregate_raw(self, messages):
        parts = getattr(messages, "seldonMessages", None)
        return messages["seldonMessages"][-1] if isinstance(messages, dict) else (parts or messages)[-1]
"""

V1_JSON, V1_PROTO = JsonCodec(), ProtoCodec()
V2_JSON, V2_PROTO = V2JsonCodec(ModelInfo("m")), V2ProtoCodec(ModelInfo("m"))
CODECS: dict[str, Any] = {"v1-json": V1_JSON, "v1-proto": V1_PROTO, "v2-json": V2_JSON, "v2-proto": V2_PROTO}

schemes = pytest.mark.parametrize("scheme", ["http", "grpc"])
several = settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def echoes(serve_in_thread: Any, make_folder: Any) -> Iterator[dict[str, Remote]]:
    """Components that return their request, by the scheme of their URL."""
    with (
        serve_in_thread(make_folder(ECHO), "Model") as running,
        connecting(f"http://127.0.0.1:{running.http_port}") as rest,
        connecting(f"grpc://127.0.0.1:{running.grpc_port}") as over_grpc,
    ):
        yield {"http": rest, "grpc": over_grpc}


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
numbers = st.floats(allow_nan=False, allow_infinity=False, width=64)
shapes = st.tuples(st.integers(1, 4), st.integers(1, 3))


@st.composite
def arrays(draw: st.DrawFn) -> Message:
    rows, columns = draw(shapes)
    elements = draw(st.sampled_from([numbers, st.integers(-(2**50), 2**50)]))
    values = draw(st.lists(elements, min_size=rows * columns, max_size=rows * columns))
    names = draw(st.sampled_from([[], [f"c{index}" for index in range(columns)]]))
    encoding = draw(st.sampled_from([ArrayEncoding.TENSOR, ArrayEncoding.NDARRAY]))
    return Message(PayloadType.ARRAY, np.array(values).reshape(rows, columns), names, encoding=encoding)


trees = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
payloads = st.one_of(
    arrays(),
    texts.map(lambda text: Message(PayloadType.TEXT, text)),
    st.binary(max_size=20).map(lambda data: Message(PayloadType.BINARY, data)),
    trees.map(lambda tree: Message(PayloadType.JSON, tree)),
)
metas = st.fixed_dictionaries({"puid": texts.filter(bool), "tags": st.dictionaries(texts, trees, max_size=3)})


@st.composite
def messages(draw: st.DrawFn) -> Message:
    message = draw(payloads)
    message.meta = draw(metas)
    return message


def assert_same(found: Message, expected: Message) -> None:
    assert found.payload_type is expected.payload_type
    if expected.payload_type is PayloadType.ARRAY:
        np.testing.assert_array_equal(found.payload, expected.payload)
        assert list(found.names) == list(expected.names)
    else:
        assert found.payload == expected.payload
    assert (found.meta or {}).get("puid") == (expected.meta or {}).get("puid")
    assert (found.meta or {}).get("tags", {}) == (expected.meta or {}).get("tags", {})


@schemes
@several
@given(message=messages())
def test_responses_of_other_components(echoes: dict[str, Remote], scheme: str, message: Message) -> None:
    expected = V1_JSON.receive(message)
    response = echoes[scheme].send(Request(Operation.PREDICT, message, V1_JSON))
    assert_same(response.message, expected)


@schemes
@pytest.mark.parametrize("codec", [V1_JSON, V1_PROTO], ids=["v1-json", "v1-proto"])
@several
@given(message=messages())
def test_requests_of_clients(echoes: dict[str, Remote], scheme: str, codec: Any, message: Message) -> None:
    wire = codec.write_request(message)
    expected = codec.decode(Operation.PREDICT, wire).message
    assert_same(echoes[scheme].call(wire, codec=codec).message, expected)
    read = codec.decode(Operation.PREDICT, wire)
    assert_same(read.message, expected)  # another component has read it
    assert_same(echoes[scheme].send(read).message, expected)


@schemes
@several
@given(parts=st.lists(messages(), min_size=1, max_size=3))
def test_several_messages(echoes: dict[str, Remote], scheme: str, parts: list[Message]) -> None:
    request = Request(Operation.AGGREGATE, join_messages(parts), V1_JSON)
    assert isinstance(request.body, AggregateMessage)
    assert_same(echoes[scheme].send(request).message, V1_JSON.receive(parts[-1]))


@schemes
@several
@given(message=messages())
def test_responses_are_the_requests_of_the_next(echoes: dict[str, Remote], scheme: str, message: Message) -> None:
    """Each step gets what a client of any protocol would have sent."""
    expected = V1_JSON.receive(message)
    remote = echoes[scheme]
    for codec in (V1_JSON, V1_PROTO):
        first = remote.send(Request(Operation.PREDICT, message, codec))
        second = remote.send(Request.from_response(Operation.PREDICT, first, codec))
        assert_same(second.message, expected)


@schemes
@pytest.mark.parametrize("name", CODECS)
def test_a_client_gets_the_response_in_its_protocol(echoes: dict[str, Remote], scheme: str, name: str) -> None:
    codec = CODECS[name]
    array = np.array([[1.5, 2.0], [3.0, 4.0]])
    wire = codec.write_request(Message(PayloadType.ARRAY, array, meta={"tags": {"a": "b"}}, encoding=None))
    request = codec.decode(Operation.PREDICT, wire)
    response = echoes[scheme].send(request)
    np.testing.assert_array_equal(response.message.payload, array)
    assert (response.message.meta or {})["tags"] == {"a": "b"}
    body = codec.encode(response, request).body
    if name == "v1-json":
        assert json.loads(body)["meta"]["tags"] == {"a": "b"}
    elif name == "v1-proto":
        assert SeldonMessage.FromString(body).meta.tags["a"].string_value == "b"
    elif name == "v2-json":
        tree = json.loads(body)
        assert tree["parameters"] == {"a": "b"}
        assert (tree["outputs"][0]["shape"], tree["outputs"][0]["data"]) == ([2, 2], [1.5, 2.0, 3.0, 4.0])


def v2_request(*tensors: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"inputs": list(tensors), **more}).encode()


V2_REQUESTS: dict[str, tuple[bytes, dict[str, Any]]] = {
    "one tensor": (
        v2_request({"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1.5, 2]}, id="id-3"),
        {"meta": {"puid": "id-3"}, "data": {"names": [], "ndarray": [[1.5, 2.0]]}},
    ),
    "columns": (
        v2_request(
            {"name": "a", "shape": [2], "datatype": "INT64", "data": [1, 2]},
            {"name": "b", "shape": [2, 1], "datatype": "FP64", "data": [0.5, 1.5]},
        ),
        {"meta": {}, "data": {"names": ["a", "b"], "ndarray": [[1.0, 0.5], [2.0, 1.5]]}},
    ),
    "tensors of several shapes": (
        v2_request(
            {"name": "a", "shape": [2], "datatype": "INT64", "data": [1, 2]},
            {"name": "b", "shape": [1, 3], "datatype": "FP64", "data": [0.5, 1.5, 2.5]},
            parameters={"tag": True},
        ),
        {"meta": {"tags": {"tag": True}}, "jsonData": {"a": [1, 2], "b": [[0.5, 1.5, 2.5]]}},
    ),
    "a text": (
        v2_request({"name": "t", "shape": [1], "datatype": "BYTES", "data": ["hello"]}),
        {"meta": {}, "strData": "hello"},
    ),
}


@pytest.mark.parametrize("name", V2_REQUESTS)
def test_requests_of_tensors(http_peer: Callable[..., HttpPeer], connect_to: Connect, name: str) -> None:
    wire, expected = V2_REQUESTS[name]
    peer = http_peer(lambda _, connection: connection.sendall(respond()))
    remote = connect_to(peer.url)
    remote.call(wire, codec=V2_JSON)
    assert json.loads(peer.posts[0][1]) == expected
    raw = V2_JSON.decode(Operation.PREDICT, wire).raw  # what a raw hook of this process gets
    assert raw == expected


@schemes
def test_tensors_that_are_wrong_are_not_sent(echoes: dict[str, Remote], scheme: str) -> None:
    with pytest.raises(PayloadError):
        echoes[scheme].call(b'{"inputs": [{"name": "x"}]}', codec=V2_JSON)


# Bytes that are sent on as they are

PADDING = " " * 5000
ODD = b'{"data":  {"ndarray": [[1e0, 2]]},%s "own": 1, "meta": {"puid": "p"}}' % PADDING.encode()


def test_json_is_sent_on_as_it_is(http_peer: Callable[..., HttpPeer], connect_to: Connect) -> None:
    returned = iter([ODD, ODD.replace(b"own", b"two"), b"{}"])

    def script(_peer: HttpPeer, connection: socket.socket) -> None:
        connection.sendall(respond(next(returned)))

    peer = http_peer(script)
    remote = connect_to(peer.url)
    first = remote.call(ODD)
    second = remote.send(Request.from_response(Operation.PREDICT, first, V1_JSON))
    assert [body for _, body in peer.posts] == [ODD, ODD]
    second.raw["own"] = "changed"  # by who has read it
    remote.send(Request.from_response(Operation.PREDICT, second, V1_JSON))
    sent = json.loads(peer.posts[2][1])
    assert (sent["own"], sent["two"]) == ("changed", 1)


def test_members_that_no_message_has_are_sent_on(http_peer: Callable[..., HttpPeer], connect_to: Connect) -> None:
    peer = http_peer(lambda _, connection: connection.sendall(respond()))
    body = b'{"strData": "x", "own": [1]}'
    connect_to(peer.url).call(body)
    assert json.loads(peer.posts[0][1]) == json.loads(body)


def test_protobuf_is_sent_on_as_it_is(grpc_peer: Callable[..., GrpcPeer], connect_to: Connect) -> None:
    odd = SeldonMessage(strData="x").SerializeToString() + b"\xaa\x06\x01a"  # and a field that no schema has
    peer = grpc_peer(lambda _message, _context: odd)
    remote = connect_to(peer.url)
    first = remote.call(odd, codec=V1_PROTO)
    remote.send(Request.from_response(Operation.PREDICT, first, V1_PROTO))
    assert [message for _, _, message in peer.calls] == [odd, odd]


@schemes
def test_feedback(echoes: dict[str, Remote], scheme: str, http_peer: Any, grpc_peer: Any, connect_to: Connect) -> None:
    tree = {
        "request": {"data": {"ndarray": [[1.0]]}},
        "response": {"meta": {"routing": {"router": 1}}, "strData": "r"},
        "reward": 0.5,
        "truth": {"data": {"ndarray": [[2.0]]}},
    }
    if scheme == "http":
        rest = http_peer(lambda _, connection: connection.sendall(respond(b"{}")))
        connect_to(rest.url).call(json.dumps(tree).encode(), Operation.FEEDBACK)
        body = rest.posts[0][1]
    else:
        peer = grpc_peer(lambda _message, _context: b"")
        connect_to(peer.url).call(json.dumps(tree).encode(), Operation.FEEDBACK)
        body = peer.calls[0][2]
    sent = (V1_JSON if scheme == "http" else V1_PROTO).decode(Operation.FEEDBACK, body)
    assert sent.raw == V1_JSON.decode(Operation.FEEDBACK, json.dumps(tree).encode()).raw


def test_the_response_to_feedback_may_be_empty(
    http_peer: Callable[..., HttpPeer], grpc_peer: Callable[..., GrpcPeer], connect_to: Connect
) -> None:
    urls = (
        http_peer(lambda _, connection: connection.sendall(respond(b"{}"))).url,
        grpc_peer(lambda _message, _context: b"").url,
    )
    for url in urls:
        for codec, wire, empty in ((V1_JSON, b'{"reward": 1}', b"{}"), (V1_PROTO, b"", b"")):
            request = codec.decode(Operation.FEEDBACK, wire)
            response = connect_to(url).send(codec.decode(Operation.FEEDBACK, wire))
            assert codec.encode(response, request).body.strip() == empty


def test_clients_of_the_other_encoding_get_the_message(http_peer: Callable[..., HttpPeer], connect_to: Connect) -> None:
    """protobuf has no place for what JSON may hold besides."""
    body = b'{"strData": "x", "own": 1, "meta": {"tags": {"a": 1}}}'
    peer = http_peer(lambda _, connection: connection.sendall(respond(body)))
    request = V1_PROTO.decode(Operation.PREDICT, SeldonMessage(strData="y").SerializeToString())
    response = connect_to(peer.url).send(request)
    sent = SeldonMessage.FromString(V1_PROTO.encode(response, request).body)
    assert (sent.strData, sent.meta.tags["a"].number_value) == ("x", 1)
    request = V1_JSON.decode(Operation.PREDICT, body)
    response = connect_to(peer.url).send(request)
    assert json.loads(V1_JSON.encode(response, request).body) == json.loads(body)


def test_a_response_that_is_a_message_stays_one() -> None:
    message = Message(PayloadType.TEXT, "x", meta={})
    assert Response(message).message is message
