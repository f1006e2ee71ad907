"""Requests and responses of the Seldon protocol in JSON, for REST.

Integers stay integers here, and a list that the class returned is sent as that list; protobuf can do neither.
"""

from __future__ import annotations

from typing import Any

from seldon_spec.errors import BadMetadata, PayloadError, ResultError
from seldon_spec.inference.arrays import TEXT_BYTES_ALWAYS, check_depth
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
from seldon_spec.protocols.json_numbers import SHORT_BYTES
from seldon_spec.protocols.json_style import JsonStyle, write_json
from seldon_spec.protocols.seldon_v1.array_encoding import set_encoding
from seldon_spec.protocols.seldon_v1.codec import SeldonCodec
from seldon_spec.protocols.seldon_v1.fast.json_reader import read_plain, read_short, read_with_array
from seldon_spec.protocols.seldon_v1.fast.json_writer import write_message
from seldon_spec.protocols.seldon_v1.json_message import describe_tree, list_parts, message_from_tree
from seldon_spec.protocols.seldon_v1.raw_messages import is_proto, to_tree, to_users_type

_TEXTS = (bytes, str, bytearray, memoryview)
"""The types of a body that has to be parsed."""

_FREE_STATUS = range(200, 600)
"""The statuses that a class may choose; HTTP has no others for a final response."""


class JsonCodec(SeldonCodec):
    """JSON text to a request, and a response to JSON text of one style."""

    transport = Transport.REST

    def __init__(self, style: JsonStyle | None = None) -> None:
        self._style = style or JsonStyle()

    @property
    def raw_codec(self) -> JsonCodec:
        return self

    def decode(self, operation: Operation, wire: Any) -> Request:
        """Return a request from text, or from a JSON value that the handler built itself.

        Raises:
            PayloadError: the text is no JSON; or no Feedback, the one message that is read strictly, because hooks on
                both transports get it as a protobuf message (contract section 4.3).
        """
        if operation in WITHOUT_BODY:
            return Request(operation, None, self)
        body = wire
        if isinstance(wire, _TEXTS):
            body = read_short(wire) if len(wire) <= SHORT_BYTES else LazyBody(wire, read_plain)
        if operation is Operation.FEEDBACK:
            body = _tree_of(body)
            if not isinstance(body, dict):
                raise PayloadError(f"Invalid JSON: feedback is {describe_tree(body)}, not an object")
            from seldon_spec.protocols.seldon_v1.json_proto import (
                feedback_from_tree,  # not at the top: most requests need no protobuf
            )

            body = feedback_from_tree(body)
        return Request(operation, body, self)

    def read_message(self, operation: Operation, body: Any, keeps_rows: KeepRows = KeepRows.NEVER) -> Message:
        """Read the message of a request (contract sections 4.1 and 4.3).

        Raises:
            PayloadError: it is no message.
        """
        if operation in WITHOUT_BODY:
            return Message(PayloadType.NOTHING, None)
        if operation is Operation.FEEDBACK:
            from seldon_spec.protocols.seldon_v1.proto_message import (
                read_feedback,  # not at the top: most requests need no protobuf
            )

            return read_feedback(body)
        if operation is Operation.AGGREGATE:
            tree = _tree_of(body)
            parts = list_parts(tree)
            if parts is None:
                raise PayloadError(f"Invalid request data type: {describe_tree(tree)}; send a list of messages")
            # the allowance of one message is divided, so that many small messages claim no more memory than one
            allowance = TEXT_BYTES_ALWAYS // max(1, len(parts))
            return join_messages([message_from_tree(part, allowance) for part in parts])
        if isinstance(body, LazyBody):
            body = body.tree if keeps_rows is KeepRows.ALWAYS else _tree_or_array(body)
        return message_from_tree(body, keeps_rows=keeps_rows)

    def read_raw(self, operation: Operation, body: Any) -> Any:
        """Return the JSON value as it was sent; feedback as a protobuf message, and messages by name as their list.

        Raises:
            PayloadError: it is nested too deeply.
        """
        if operation is Operation.FEEDBACK:
            return to_users_type(body)
        tree = _tree_of(body)
        check_depth(tree)
        if operation is Operation.AGGREGATE and isinstance(tree, dict) and "seldonMessages" not in tree:
            return list_parts(tree) or tree
        return tree

    def write_request(self, message: Message) -> bytes:
        """Encode a message as a request; see ``Codec.write_request``.

        Raises:
            ResultError: the message has no form in JSON.
        """
        if isinstance(message, AggregateMessage):
            return b"[" + b",".join(self.write_request(part) for part in message.parts) + b"]"
        return write_message(set_encoding(message, Operation.PREDICT), self._style)

    def write_raw(self, raw: Any) -> bytes:
        """Encode a raw response.

        Raises:
            ResultError: it has no form in JSON.
        """
        return write_json(to_tree(raw) if is_proto(raw) else raw, self._style)

    def encode(self, response: Response, request: Request) -> EncodedResponse:
        """Encode a response (contract sections 4.2 and 4.3).

        Raises:
            ResultError: the class returned something that has no form in JSON.
            BadMetadata: the class's metadata are requested, and are not what the contract allows.
        """
        operation = request.operation
        if response.codec is not None and response.is_raw_for(self):
            raw = to_tree(response.raw) if is_proto(response.raw) else response.raw
            return EncodedResponse(
                write_json(raw, self._style), _find_status(raw) if operation is Operation.PREDICT else None
            )
        message = response.message
        if operation is Operation.METADATA:
            if message.payload is None:
                raise BadMetadata("Model metadata unavailable")
            return EncodedResponse(write_json(message.payload, self._style))
        set_encoding(message, operation)
        if operation is Operation.FEEDBACK:  # a protobuf message in its JSON form: without empty members
            from seldon_spec.protocols.seldon_v1.json_proto import (
                message_to_tree,  # not at the top: most responses need no protobuf
            )

            return EncodedResponse(write_json(message_to_tree(message), self._style))
        return EncodedResponse(write_message(message, self._style))


class PassthroughCodec(JsonCodec):
    """Bodies to the class and back as they are (contract section 2.2); only its raw hook can read them."""

    def decode(self, operation: Operation, wire: Any) -> Request:
        """Return a request with the body as bytes or text; a multipart body is a JSON value as for ``JsonCodec``."""
        return Request(operation, bytes(wire) if isinstance(wire, (bytearray, memoryview)) else wire, self)

    def read_message(self, operation: Operation, body: Any, keeps_rows: KeepRows = KeepRows.NEVER) -> Message:
        """Read the message of a multipart body.

        Raises:
            PayloadError: for any other body, because the class has no hook that reads it.
        """
        if isinstance(body, (bytes, str)):
            raise PayloadError(
                f"Invalid request data type: {type(body).__name__}; PAYLOAD_PASSTHROUGH is on, and the class has no"
                " predict_raw that returned a response"
            )
        return super().read_message(operation, body, keeps_rows)

    def read_raw(self, operation: Operation, body: Any) -> Any:
        """Return the body itself."""
        return body if isinstance(body, (bytes, str)) else super().read_raw(operation, body)

    def write_raw(self, raw: Any) -> bytes:
        """Return the class's own bytes or text.

        Raises:
            ResultError: it is neither.
        """
        if isinstance(raw, str):
            return raw.encode()
        if isinstance(raw, (bytes, bytearray)):
            return bytes(raw)
        raise ResultError(f"PAYLOAD_PASSTHROUGH sends bytes or text, not {type(raw).__name__}")

    def encode(self, response: Response, request: Request) -> EncodedResponse:
        """Return the class's own bytes or text.

        Raises:
            ResultError: it is neither.
        """
        if response.codec is None:
            return super().encode(response, request)
        return EncodedResponse(self.write_raw(response.raw))


def _tree_of(body: object) -> Any:
    return body.tree if isinstance(body, LazyBody) else body


def _tree_or_array(body: LazyBody) -> object:
    """Return the JSON value, with an array instead of lists of numbers if it can be read without them."""
    tree = None if body.wire is None else read_with_array(body.wire)
    if tree is None:
        return body.tree
    body.wire = None
    return tree


def _find_status(tree: object) -> int | None:
    """Return the HTTP status that a raw response asks for in ``status.code`` (contract section 2.3)."""
    status = tree.get("status") if isinstance(tree, dict) else None
    code = status.get("code") if isinstance(status, dict) else None
    return code if type(code) is int and code in _FREE_STATUS else None
