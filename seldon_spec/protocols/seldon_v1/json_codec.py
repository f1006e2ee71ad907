"""The REST wire: a SeldonMessage as JSON.

Integers stay integers here, and a list which the class returned goes out as that list; protobuf can do neither.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from seldon_spec.errors import BadMetadata, PayloadError, ResultError
from seldon_spec.inference.arrays import TEXT_BYTES_ALWAYS, Array, array_from_nested, array_from_tensor, check_depth
from seldon_spec.inference.component.response import build_response_message
from seldon_spec.inference.message import (
    WITHOUT_BODY,
    EncodedResponse,
    LazyBody,
    Message,
    Operation,
    PayloadType,
    RawResult,
    Request,
    Result,
    Transport,
)
from seldon_spec.protocols.json_style import JsonStyle, write_json
from seldon_spec.protocols.seldon_v1.aggregate_request import join_messages
from seldon_spec.protocols.seldon_v1.base64_data import decode_base64
from seldon_spec.protocols.seldon_v1.fast.json_reader import SHORT_BYTES, read_plain, read_short, read_with_array
from seldon_spec.protocols.seldon_v1.fast.json_writer import write_answer
from seldon_spec.protocols.seldon_v1.raw_messages import is_proto, name_method, split_metrics, to_tree, to_users_type

_META_MEMBERS: tuple[tuple[str, type, str], ...] = (
    ("tags", dict, "an object"),
    ("metrics", list, "a list"),
    ("requestPath", dict, "an object"),
)

_TEXTS = (bytes, str, bytearray, memoryview)
"""The forms that a body comes in, where it is not a value."""

_EXPECTED = 'the Seldon protocol expects {"data": {"ndarray": [[...], ...]}}, or one of jsonData, strData and binData'


_FREE_STATUS = range(200, 600)
"""The statuses that a class may choose; others have no place in HTTP."""


class JsonCodec:
    """A JSON text to a message, and a result to bytes of JSON in one style."""

    transport = Transport.REST

    def __init__(self, style: JsonStyle | None = None) -> None:
        self._style = style or JsonStyle()

    def decode(self, operation: Operation, wire: Any) -> Request:
        """Take a request: text, or a value that a transport put together itself.

        Raises:
            PayloadError: the text is no JSON; or no Feedback, which is the one message that is read strictly, as the
                message of protobuf that hooks on both transports get (contract section 4.3).
        """
        if operation in WITHOUT_BODY:
            return Request(operation, None, self)
        tree = wire
        if isinstance(wire, _TEXTS):
            tree = read_short(wire) if len(wire) <= SHORT_BYTES else LazyBody(wire, read_plain)
        return Request(operation, _read_feedback(_tree_of(tree)) if operation is Operation.FEEDBACK else tree, self)

    def read_message(self, operation: Operation, tree: Any) -> Message:
        """Read a request (contract sections 4.1 and 4.3).

        Raises:
            PayloadError: it is no message.
        """
        if operation in WITHOUT_BODY:
            return Message(PayloadType.NOTHING, None)
        if operation is Operation.FEEDBACK:
            from seldon_spec.protocols.seldon_v1.proto_codec import (
                read_feedback,  # not at the top: few need protobuf here
            )

            return read_feedback(tree)
        if operation is Operation.AGGREGATE:
            return join_messages(_parts_of(_tree_of(tree)), _decode_message)
        return _decode_message(_tree_or_array(tree) if isinstance(tree, LazyBody) else tree)

    def read_raw(self, operation: Operation, tree: Any) -> Any:
        """The request as it was sent; feedback as a message of protobuf.

        Raises:
            PayloadError: it is nested too deeply.
        """
        if operation is Operation.FEEDBACK:
            return to_users_type(tree)
        tree = _tree_of(tree)
        check_depth(tree)
        return tree

    def split_metrics(self, answer: Any) -> tuple[list[Any], Any]:
        """The metrics in a raw answer's ``meta``, and the same answer without them."""
        return split_metrics(answer)

    def name_method(self, answer: Any, method: str) -> Any:
        """A raw answer with the method among the tags of its metrics."""
        return name_method(answer, method)

    def encode(self, result: Result | RawResult, request: Request) -> EncodedResponse:
        """Write an answer (contract sections 4.2 and 4.3).

        Raises:
            ResultError: the class returned something that has no form in JSON.
            BadMetadata: the class's metadata are asked for, and are not what the contract allows.
        """
        if isinstance(result, RawResult):
            return self._encode_raw(result.answer, request.operation)
        if request.operation is Operation.METADATA:
            if result.payload is None:
                raise BadMetadata("Model metadata unavailable")
            return EncodedResponse(write_json(result.payload, self._style))
        answer = build_response_message(result, request.operation, request.message)
        if request.operation is Operation.FEEDBACK:  # a message of protobuf in JSON's form: without empty members
            from seldon_spec.protocols.seldon_v1.json_proto import (
                answer_to_tree,  # not at the top: few need protobuf here
            )

            return EncodedResponse(write_json(answer_to_tree(answer), self._style))
        return EncodedResponse(write_answer(answer, self._style))

    def _encode_raw(self, answer: Any, operation: Operation) -> EncodedResponse:
        tree = to_tree(answer) if is_proto(answer) else answer
        return EncodedResponse(
            write_json(tree, self._style), _status_in(tree) if operation is Operation.PREDICT else None
        )


class PassthroughCodec(JsonCodec):
    """Bodies to the class and back as they are (contract section 2.2); only its raw hook can read them."""

    def decode(self, operation: Operation, wire: Any) -> Request:
        """The body itself, as bytes or text; what came in several parts is a value like any other."""
        return Request(operation, bytes(wire) if isinstance(wire, (bytearray, memoryview)) else wire, self)

    def read_message(self, operation: Operation, tree: Any) -> Message:
        """See ``JsonCodec.read_message``.

        Raises:
            PayloadError: always but for a body in parts, for the class has no hook that reads bodies.
        """
        if isinstance(tree, (bytes, str)):
            raise PayloadError(
                f"Invalid request data type: {type(tree).__name__}; PAYLOAD_PASSTHROUGH is on, and the class has no"
                " predict_raw that answered"
            )
        return super().read_message(operation, tree)

    def read_raw(self, operation: Operation, tree: Any) -> Any:
        """The body itself."""
        return tree if isinstance(tree, (bytes, str)) else super().read_raw(operation, tree)

    def encode(self, result: Result | RawResult, request: Request) -> EncodedResponse:
        """The class's own bytes or text.

        Raises:
            ResultError: it is neither.
        """
        if not isinstance(result, RawResult):
            return super().encode(result, request)
        if isinstance(result.answer, str):
            return EncodedResponse(result.answer.encode())
        if isinstance(result.answer, (bytes, bytearray)):
            return EncodedResponse(bytes(result.answer))
        raise ResultError(f"PAYLOAD_PASSTHROUGH sends bytes or text, not {type(result.answer).__name__}")


def _tree_of(tree: object) -> Any:
    return tree.tree if isinstance(tree, LazyBody) else tree


def _tree_or_array(unread: LazyBody) -> object:
    """The message, with an array of numbers in it where it can be had without the lists."""
    tree = None if unread.wire is None else read_with_array(unread.wire)
    if tree is None:
        return unread.tree
    unread.wire = None
    return tree


def _read_feedback(tree: object) -> Any:
    if not isinstance(tree, dict):
        raise PayloadError(f"Invalid JSON: feedback is {_shown(tree)}, not an object")
    from seldon_spec.protocols.seldon_v1.json_proto import feedback_from_tree  # not at the top: few need protobuf here

    return feedback_from_tree(tree)


def _parts_of(tree: object) -> list[Any]:
    parts = tree.get("seldonMessages") if isinstance(tree, dict) else tree
    if not isinstance(parts, list):
        raise PayloadError(f"Invalid request data type: {_shown(tree)}; send a list of messages")
    return parts


def _status_in(tree: object) -> int | None:
    """The HTTP status that a raw answer asks for in ``status.code`` (contract section 2.3)."""
    status = tree.get("status") if isinstance(tree, dict) else None
    code = status.get("code") if isinstance(status, dict) else None
    return code if type(code) is int and code in _FREE_STATUS else None


def _decode_message(tree: object, allowance: int = TEXT_BYTES_ALWAYS) -> Message:
    if not isinstance(tree, dict):
        raise PayloadError(f"Invalid request data type: {_shown(tree)}; {_EXPECTED}")
    meta = _decode_meta(tree)
    if "data" in tree:
        return _decode_data(tree["data"], meta, allowance)
    if "jsonData" in tree:
        check_depth(tree["jsonData"])
        return Message(PayloadType.JSON, tree["jsonData"], meta=meta)
    if "strData" in tree:  # its type is not checked, as in the original
        check_depth(tree["strData"])
        return Message(PayloadType.TEXT, tree["strData"], meta=meta)
    if "binData" in tree:
        return Message(PayloadType.BINARY, decode_base64(tree["binData"]), meta=meta)
    raise PayloadError(f"Invalid request data type: {_shown(tree)}; {_EXPECTED}")


def _shown(tree: object) -> str:
    """What was sent, in a form that is short however long it is."""
    if isinstance(tree, dict):
        return f"an object with the keys {sorted(map(str, tree))[:10]}" if tree else "{}"
    return f"a list of {len(tree)}" if isinstance(tree, list) else repr(tree)[:100]


def _decode_meta(tree: dict[str, Any]) -> dict[str, Any] | None:
    if "meta" not in tree:
        return None
    meta = tree["meta"]
    if not isinstance(meta, dict):
        raise PayloadError("meta is not an object")
    for key, kind, wanted in _META_MEMBERS:
        if meta.get(key) and not isinstance(meta[key], kind):
            raise PayloadError(f"meta.{key} is not {wanted}")
    check_depth(meta)
    return meta


def _decode_data(data: object, meta: dict[str, Any] | None, allowance: int) -> Message:
    if not isinstance(data, dict):
        raise PayloadError(f"data is {_shown(data)}, not an object; {_EXPECTED}")
    names = data.get("names", [])
    if names:
        if not isinstance(names, list):
            raise PayloadError("data.names is not a list")
        check_depth(names)
    if "tensor" in data:
        return Message(PayloadType.TENSOR, _decode_tensor(data["tensor"]), names, meta)
    if "ndarray" in data:
        return Message(PayloadType.NDARRAY, array_from_nested(data["ndarray"], allowance), names, meta)
    if "tftensor" in data:
        from seldon_spec.protocols.seldon_v1.json_proto import (
            tftensor_from_tree,  # not at the top: few need protobuf here
        )

        return Message(PayloadType.TFTENSOR, tftensor_from_tree(data["tftensor"], allowance), names, meta)
    if data.keys() - {"names"}:
        raise PayloadError(f"data holds no ndarray, tensor or tftensor: {_shown(data)}; {_EXPECTED}")
    return Message(PayloadType.NDARRAY, np.array([]), names, meta)


def _decode_tensor(tensor: object) -> Array:
    if not isinstance(tensor, dict):
        raise PayloadError("data.tensor is not an object")
    for key in ("shape", "values"):
        if key not in tensor:
            raise PayloadError(f"data.tensor has no {key}")
    return array_from_tensor(tensor["values"], tensor["shape"], may_infer=True)
