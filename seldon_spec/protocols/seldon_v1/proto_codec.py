"""Requests and responses of the Seldon protocol in protobuf, for gRPC."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import DecodeError

from seldon_spec.errors import PayloadError, ResultError, UnwritableResult
from seldon_spec.inference.arrays import TEXT_BYTES_ALWAYS
from seldon_spec.inference.message import (
    WITHOUT_BODY,
    AggregateMessage,
    KeepRows,
    Message,
    Operation,
    PayloadType,
    Transport,
    join_messages,
)
from seldon_spec.inference.request import EncodedResponse, LazyBody, Request, Response
from seldon_spec.protocols.seldon_v1.array_encoding import set_encoding
from seldon_spec.protocols.seldon_v1.codec import SeldonCodec
from seldon_spec.protocols.seldon_v1.fast import proto as fast_proto
from seldon_spec.protocols.seldon_v1.proto import Feedback, SeldonMessage, SeldonMessageList, SeldonModelMetadata
from seldon_spec.protocols.seldon_v1.proto_message import (
    build_message,
    check_reward,
    decode_meta,
    encode_message,
    encode_parts,
    read_feedback,
    read_message,
)
from seldon_spec.protocols.seldon_v1.raw_messages import is_proto, to_users_type
from seldon_spec.transport.buffers import join

_UNPARSABLE = (DecodeError, ValueError, RecursionError)
"""What protobuf raises for bytes that are no message; its Python implementation raises the latter two."""

_TYPES: dict[Operation, Any] = {Operation.AGGREGATE: SeldonMessageList, Operation.FEEDBACK: Feedback}
"""The type of an operation's request, where that is not SeldonMessage."""


class ProtoCodec(SeldonCodec):
    """Protobuf bytes to a request, and a response to protobuf bytes."""

    transport = Transport.GRPC

    @property
    def raw_codec(self) -> ProtoCodec:
        return self

    def decode(self, operation: Operation, wire: Any) -> Request:
        """Return a request; a SeldonMessage is parsed on first use.

        Raises:
            PayloadError: the bytes are not the message that the operation takes.
        """
        if operation in WITHOUT_BODY:
            return Request(operation, None, self)
        if operation not in _TYPES:
            return Request(operation, LazyBody(wire, _parse_message), self)
        body = _parse(_TYPES[operation], wire)
        return Request(operation, check_reward(body) if operation is Operation.FEEDBACK else body, self)

    def read_message(self, operation: Operation, body: Any, keeps_rows: KeepRows = KeepRows.NEVER) -> Message:
        """Read the message of a request (contract sections 4.1 and 4.3).

        Raises:
            PayloadError: it holds no payload, or one that is malformed.
        """
        if operation in WITHOUT_BODY:
            return Message(PayloadType.NOTHING, None)
        if operation is Operation.FEEDBACK:
            return read_feedback(body)
        if operation is Operation.AGGREGATE:
            parts = body.seldonMessages
            # the allowance of one message is divided, so that many small messages claim no more memory than one
            allowance = TEXT_BYTES_ALWAYS // max(1, len(parts))
            return join_messages([read_message(part, allowance) for part in parts])
        if not isinstance(body, LazyBody):
            return read_message(body, keeps_rows=keeps_rows)
        try:
            message = None if body.wire is None else fast_proto.read_message(body.wire, decode_meta)
        except _UNPARSABLE:  # the meta; protobuf reports the error for the whole message
            message = None
        return read_message(body.tree, keeps_rows=keeps_rows) if message is None else message

    def read_raw(self, operation: Operation, body: Any) -> Any:  # noqa: ARG002 - it is protobuf for every operation
        """Return the protobuf message of the request."""
        return to_users_type(body.tree if isinstance(body, LazyBody) else body)

    def write_request(self, message: Message) -> bytes:
        """Encode a message as a request; see ``Codec.write_request``.

        Raises:
            ResultError: the message has no form in protobuf.
        """
        if not isinstance(message, AggregateMessage):
            return encode_message(set_encoding(message, Operation.PREDICT))
        parts = [build_message(set_encoding(part, Operation.PREDICT)) for part in message.parts]
        whole = SeldonMessageList(seldonMessages=parts)
        encoded: bytes = whole.SerializeToString(deterministic=True)
        return encoded

    def write_raw(self, raw: Any) -> bytes:
        """Encode a raw response.

        Raises:
            ResultError: it is no protobuf message and no JSON object that describes a SeldonMessage.
        """
        if isinstance(raw, dict):
            raw = build_from_tree(raw, SeldonMessage())
        elif not is_proto(raw):
            raise ResultError(f"a raw hook returns a SeldonMessage, not {type(raw).__name__}")
        encoded: bytes = raw.SerializeToString()
        return encoded

    def encode(self, response: Response, request: Request) -> EncodedResponse:
        """Encode a response (contract sections 4.2 and 4.3); ``meta`` is always set, even if it is empty.

        Metadata that are not what the contract allows are an empty message, as the executor expects.

        Raises:
            ResultError: the class returned something that has no form in protobuf.
        """
        operation = request.operation
        if response.codec is not None and response.is_raw_for(self):
            return EncodedResponse(self.write_raw(response.raw))
        message = response.message
        if operation is Operation.METADATA:
            metadata = build_from_tree(message.payload or {}, SeldonModelMetadata())
            return EncodedResponse(metadata.SerializeToString(deterministic=True))
        return EncodedResponse(join(encode_parts(set_encoding(message, operation))))


def build_from_tree(tree: Any, target: Any) -> Any:
    """Return a protobuf message, given what JSON has of it and an empty one.

    Raises:
        UnwritableResult: the value does not describe such a message.
    """
    from seldon_spec.protocols.seldon_v1.proto import json_form  # not at the top: few responses need it

    try:
        return json_form.tree_to_message(tree, target)
    except json_form.ERRORS as error:
        raise UnwritableResult(f"the result has no form in protobuf: {error}") from error


def _parse_message(wire: fast_proto.Wire) -> Any:
    return _parse(SeldonMessage, wire)


def _parse(message_type: Any, wire: fast_proto.Wire) -> Any:
    try:
        return message_type.FromString(bytes(wire))  # protobuf accepts nothing else
    except _UNPARSABLE as error:
        raise PayloadError(f"the request is not a {message_type.__name__}: {error}") from error
