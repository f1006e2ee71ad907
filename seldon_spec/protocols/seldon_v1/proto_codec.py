"""The gRPC wire: a SeldonMessage as protobuf bytes.

Every number is a double here (a tensor's values, and a ListValue's), and a ListValue holds no lone scalar.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError

from seldon_spec.errors import PayloadError, ResultError, UnwritableResult
from seldon_spec.inference.arrays import TEXT_BYTES_ALWAYS, Array, array_from_nested, array_from_tensor, fill_masked
from seldon_spec.inference.component.response import ResponseMessage, build_response_message
from seldon_spec.inference.json_default import new_name, plain_value
from seldon_spec.inference.message import (
    WITHOUT_BODY,
    EncodedResponse,
    FeedbackMessage,
    LazyBody,
    Message,
    Operation,
    PayloadType,
    RawResult,
    Request,
    Result,
    Transport,
)
from seldon_spec.protocols.seldon_v1.aggregate_request import join_messages
from seldon_spec.protocols.seldon_v1.fast.proto import Wire, read_message, write_message, write_tensor
from seldon_spec.protocols.seldon_v1.proto import (
    PACKAGE,
    Feedback,
    SeldonMessage,
    SeldonMessageList,
    SeldonModelMetadata,
    message_class,
)
from seldon_spec.protocols.seldon_v1.raw_messages import (
    is_proto,
    name_method,
    read_metric,
    split_metrics,
    to_users_type,
)
from seldon_spec.protocols.seldon_v1.tftensor import decode_tftensor, encode_tftensor

_UNPARSABLE = (DecodeError, ValueError, RecursionError)
"""What protobuf raises for bytes that are no message; the latter two are its Python implementation's."""

_UNWRITABLE = (TypeError, ValueError, OverflowError, RecursionError)
"""What protobuf raises for a value that a field does not take."""

_Meta = message_class(f"{PACKAGE}.Meta")

_TYPES: dict[Operation, Any] = {Operation.AGGREGATE: SeldonMessageList, Operation.FEEDBACK: Feedback}
"""What an operation is asked with, where that is no SeldonMessage."""


class ProtoCodec:
    """Bytes of protobuf to a message, and a result to bytes of protobuf."""

    transport = Transport.GRPC

    def decode(self, operation: Operation, wire: Any) -> Request:
        """Take a request; one that is a SeldonMessage is parsed only when it is asked for.

        Raises:
            PayloadError: the bytes are not the message that the operation takes.
        """
        if operation in WITHOUT_BODY:
            return Request(operation, None, self)
        if operation not in _TYPES:
            return Request(operation, LazyBody(wire, _parse_message), self)
        tree = _parse(_TYPES[operation], wire)
        return Request(operation, check_reward(tree) if operation is Operation.FEEDBACK else tree, self)

    def read_message(self, operation: Operation, tree: Any) -> Message:
        """Read a request (contract sections 4.1 and 4.3).

        Raises:
            PayloadError: it holds no payload, or one that is malformed.
        """
        if operation in WITHOUT_BODY:
            return Message(PayloadType.NOTHING, None)
        if operation is Operation.FEEDBACK:
            return read_feedback(tree)
        if operation is Operation.AGGREGATE:
            return join_messages(tree.seldonMessages, _read_message)
        return _read_unread(tree) if isinstance(tree, LazyBody) else _read_message(tree)

    def read_raw(self, operation: Operation, tree: Any) -> Any:  # noqa: ARG002 - every operation's message is one of protobuf
        """The request's own message of protobuf."""
        return to_users_type(tree.tree if isinstance(tree, LazyBody) else tree)

    def split_metrics(self, answer: Any) -> tuple[list[Any], Any]:
        """The metrics in a raw answer's ``meta``, and the same answer without them."""
        return split_metrics(answer)

    def name_method(self, answer: Any, method: str) -> Any:
        """A raw answer with the method among the tags of its metrics."""
        return name_method(answer, method)

    def encode(self, result: Result | RawResult, request: Request) -> EncodedResponse:
        """Write an answer (contract sections 4.2 and 4.3); ``meta`` is always set, be it empty.

        Metadata that are not what the contract allows are an empty message, as the executor expects it.

        Raises:
            ResultError: the class returned something that has no form in protobuf.
        """
        if isinstance(result, RawResult):
            return EncodedResponse(_encode_raw(result.answer))
        if request.operation is Operation.METADATA:
            return EncodedResponse(
                _parse_tree(result.payload or {}, SeldonModelMetadata()).SerializeToString(deterministic=True)
            )
        return EncodedResponse(write_answer(build_response_message(result, request.operation, request.message)))


def _encode_raw(answer: Any) -> bytes:
    if isinstance(answer, dict):
        answer = _parse_tree(answer, SeldonMessage())
    elif not is_proto(answer):
        raise ResultError(f"a raw hook answers with a SeldonMessage, not with {type(answer).__name__}")
    encoded: bytes = answer.SerializeToString()
    return encoded


def _parse_tree(tree: Any, target: Any) -> Any:
    from seldon_spec.protocols.seldon_v1.proto import json_form  # not at the top: few answers are written by it

    try:
        return json_form.tree_to_message(tree, target)
    except json_form.ERRORS as error:
        raise UnwritableResult(f"the result has no form in protobuf: {error}") from error


def write_answer(answer: ResponseMessage) -> bytes:
    """A dressed result as the bytes of a SeldonMessage, the same ones for the same answer.

    Raises:
        ResultError: it has no form in protobuf.
    """
    return write_message(answer, _write_meta) or write_plain(answer)


def write_plain(answer: ResponseMessage) -> bytes:
    """What ``write_answer`` gives, by protobuf alone.

    Raises:
        ResultError: it has no form in protobuf.
    """
    encoded: bytes = build_message(answer).SerializeToString(deterministic=True)  # maps in one order
    return encoded


def _write_meta(meta: Mapping[str, Any]) -> bytes:
    if not meta:
        return b""
    target = _Meta()
    try:
        _set_meta(target, meta)
    except _UNWRITABLE as error:
        raise UnwritableResult(f"the result has no form in protobuf: {error}") from error
    encoded: bytes = target.SerializeToString(deterministic=True)
    return encoded


def build_message(answer: ResponseMessage) -> Any:
    """A dressed result as a SeldonMessage.

    Raises:
        ResultError: it has no form in protobuf.
    """
    message = SeldonMessage()
    try:
        _set_meta(message.meta, answer.meta)
        _set_member(message, answer)
    except _UNWRITABLE as error:
        raise UnwritableResult(f"the result has no form in protobuf: {error}") from error
    return message


def _parse_message(wire: Wire) -> Any:
    return _parse(SeldonMessage, wire)


def _read_unread(unread: LazyBody) -> Message:
    """The message, without protobuf's own form of it where that can be done without."""
    try:
        message = None if unread.wire is None else read_message(unread.wire, _read_meta)
    except _UNPARSABLE:  # the meta; let protobuf tell it of the whole
        message = None
    return _read_message(unread.tree) if message is None else message


def _read_meta(wire: Wire) -> dict[str, Any]:
    return _decode_meta(_Meta.FromString(bytes(wire)))


def _parse(kind: Any, wire: Wire) -> Any:
    try:
        return kind.FromString(bytes(wire))  # protobuf takes nothing else
    except _UNPARSABLE as error:
        raise PayloadError(f"the request is not a {kind.__name__}: {error}") from error


def check_reward(feedback: Any) -> Any:
    """The Feedback itself, if its reward can be counted.

    Raises:
        PayloadError: a reward that is not finite would spoil the sum of all rewards for good.
    """
    if not math.isfinite(feedback.reward):
        raise PayloadError(f"the reward {feedback.reward} is not a finite number")
    return feedback


def read_feedback(feedback: Any) -> FeedbackMessage:
    """Read a Feedback (contract section 4.3): both transports have it as protobuf, so its numbers are all doubles.

    Raises:
        PayloadError: an array in it is malformed.
    """
    kind, features, names = _read_array(feedback.request)
    return FeedbackMessage(
        kind,
        features,
        names,
        _decode_meta(feedback.request.meta),
        reward=feedback.reward,
        truth=_read_array(feedback.truth)[1],
        routing=dict(feedback.response.meta.routing),
    )


def _read_array(message: Any) -> tuple[PayloadType, Array, list[str]]:
    """The array in a part of feedback; an empty one where it holds something else."""
    if message.WhichOneof("data_oneof") != "data":
        return PayloadType.NOTHING, np.array([]), []
    read = _decode_data(message.data, {}, TEXT_BYTES_ALWAYS)
    return read.kind, read.payload, read.names


def _read_message(message: Any, allowance: int = TEXT_BYTES_ALWAYS) -> Message:
    meta = _decode_meta(message.meta) if message.HasField("meta") else {}
    member = message.WhichOneof("data_oneof")
    if member == "data":
        return _decode_data(message.data, meta, allowance)
    if member == "jsonData":
        return Message(PayloadType.JSON, _from_value(message.jsonData), meta=meta)
    if member == "strData":
        return Message(PayloadType.TEXT, message.strData, meta=meta)
    if member == "binData":
        return Message(PayloadType.BINARY, message.binData, meta=meta)
    if member == "customData":
        # handed over as the Any that the user's own protobuf code knows, not the one of our pool
        return Message(PayloadType.CUSTOM, AnyMessage.FromString(message.customData.SerializeToString()), meta=meta)
    raise PayloadError("Invalid request data type: the message holds no payload")


def _decode_meta(meta: Any) -> dict[str, Any]:
    """The request's ``meta`` in the form that REST has, without its empty members."""
    return {field.name: _META_MEMBERS[field.name](value) for field, value in meta.ListFields()}


_META_MEMBERS: dict[str, Callable[[Any], Any]] = {
    "puid": str,
    "tags": lambda tags: {key: _from_value(value) for key, value in tags.items()},
    "routing": dict,
    "requestPath": dict,
    "metrics": lambda metrics: [read_metric(metric) for metric in metrics],
}


def _decode_data(data: Any, meta: dict[str, Any], allowance: int) -> Message:
    names = list(data.names)
    member = data.WhichOneof("data_oneof")
    if member == "tensor":
        return Message(PayloadType.TENSOR, _decode_tensor(data.tensor), names, meta)
    if member == "ndarray":
        return Message(PayloadType.NDARRAY, array_from_nested(_from_list(data.ndarray), allowance), names, meta)
    if member == "tftensor":
        return Message(PayloadType.TFTENSOR, decode_tftensor(data.tftensor, allowance), names, meta)
    return Message(PayloadType.NDARRAY, np.array([]), names, meta)


def _decode_tensor(tensor: Any) -> Array:
    if not tensor.shape and tensor.values:  # the wire cannot tell an empty shape from none
        raise PayloadError("data.tensor has no shape")
    values = np.array(tensor.values, dtype=np.float64)
    return array_from_tensor(values, list(tensor.shape) or [0], may_infer=False)


def _from_value(value: Any) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "list_value":
        return _from_list(value.list_value)
    if kind == "struct_value":
        return {key: _from_value(item) for key, item in value.struct_value.fields.items()}
    return None if kind is None or kind == "null_value" else getattr(value, kind)


def _from_list(items: Any) -> list[Any]:
    return [_from_value(item) for item in items.values]


def _set_meta(target: Any, meta: Mapping[str, Any]) -> None:
    target.SetInParent()
    if "puid" in meta:
        target.puid = str(meta["puid"])
    for key, value in meta.get("tags", {}).items():
        _set_value(target.tags[new_name(key, target.tags)], value)
    for metric in meta.get("metrics", ()):
        _set_metric(target.metrics.add(), metric)
    for key, value in meta.get("requestPath", {}).items():
        target.requestPath[key] = value


def _set_metric(target: Any, metric: Mapping[str, Any]) -> None:
    target.key = metric.get("key", "")
    target.type = metric.get("type", "COUNTER")
    target.value = float(metric.get("value", 0))
    for key, value in (metric.get("tags") or {}).items():
        target.tags[key] = value


def _set_member(target: Any, answer: ResponseMessage) -> None:
    if answer.kind is PayloadType.TENSOR:
        _set_names(target.data, answer.names)
        target.data.tensor.SetInParent()
        target.data.tensor.MergeFromString(_encode_tensor(answer.payload))
    elif answer.kind is PayloadType.NDARRAY:
        _set_names(target.data, answer.names)
        # a ListValue holds no lone scalar: an array of no dimension goes out as a list of one
        _set_list(target.data.ndarray, np.atleast_1d(answer.payload).tolist())
    elif answer.kind is PayloadType.TFTENSOR:
        _set_names(target.data, answer.names)
        target.data.tftensor.CopyFrom(encode_tftensor(answer.payload))
    elif answer.kind is PayloadType.JSON:
        _set_value(target.jsonData, answer.payload)
    elif answer.kind is PayloadType.TEXT:
        target.strData = str(answer.payload)
    elif answer.kind is PayloadType.BINARY:
        target.binData = bytes(answer.payload)
    else:
        target.customData.MergeFromString(answer.payload.SerializeToString())
        target.customData.SetInParent()


def _set_names(target: Any, names: Any) -> None:
    target.names.extend(str(name) for name in (() if names is None else names))


def _encode_tensor(array: Array) -> bytes:
    """A Tensor's bytes; many times quicker than handing protobuf each value as a Python float."""
    if np.iscomplexobj(array):
        raise UnwritableResult("the result holds complex numbers")
    return b"".join(write_tensor(fill_masked(array)))


def _set_list(target: Any, items: Iterable[Any]) -> None:
    target.SetInParent()
    for item in items:
        _set_value(target.values.add(), item)


def _set_value(target: Any, value: Any) -> None:
    if value is None:
        target.null_value = 0
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, (int, float)):
        target.number_value = float(value)
    elif isinstance(value, str):
        target.string_value = str(value)
    elif isinstance(value, dict):
        target.struct_value.SetInParent()
        fields = target.struct_value.fields
        for key, item in value.items():
            _set_value(fields[new_name(key, fields)], item)
    elif isinstance(value, (list, tuple)):
        _set_list(target.list_value, value)
    else:
        _set_value(target, plain_value(value))
