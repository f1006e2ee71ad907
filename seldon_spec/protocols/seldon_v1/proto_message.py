"""A SeldonMessage in protobuf to a message and back (contract sections 4.1 to 4.3).

Every number is a double here (a tensor's values, and a ListValue's), and a ListValue holds no lone scalar.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from google.protobuf.any_pb2 import Any as AnyMessage

from seldon_spec.errors import PayloadError, UnwritableResult
from seldon_spec.inference.arrays import TEXT_BYTES_ALWAYS, Array, array_from_tensor, fill_masked
from seldon_spec.inference.json_default import new_name, plain_value
from seldon_spec.inference.message import FeedbackMessage, KeepRows, Message, PayloadType
from seldon_spec.protocols.seldon_v1.array_encoding import ArrayEncoding, read_ndarray
from seldon_spec.protocols.seldon_v1.fast.proto import Wire, write_message, write_tensor
from seldon_spec.protocols.seldon_v1.proto import PACKAGE, SeldonMessage, message_class
from seldon_spec.protocols.seldon_v1.raw_messages import read_metric
from seldon_spec.protocols.seldon_v1.tftensor import decode_tftensor, encode_tftensor

_UNWRITABLE = (TypeError, ValueError, OverflowError, RecursionError)
"""What protobuf raises for a value that a field does not accept."""

_Meta = message_class(f"{PACKAGE}.Meta")


def encode_message(message: Message) -> bytes:
    """Return the parts of ``encode_parts`` together."""
    return b"".join(encode_parts(message))


def encode_parts(message: Message) -> Sequence[Wire]:
    """Return a message as the bytes of a SeldonMessage, in parts: the same bytes for the same message.

    Args:
        message: the encoding of an array is set.

    Raises:
        ResultError: it has no form in protobuf.
    """
    return write_message(message, _encode_meta) or [encode_plain(message)]


def encode_plain(message: Message) -> bytes:
    """Return the same as ``encode_message``, by protobuf alone.

    Raises:
        ResultError: it has no form in protobuf.
    """
    encoded: bytes = build_message(message).SerializeToString(deterministic=True)  # maps in one order
    return encoded


def _encode_meta(meta: Mapping[str, Any] | None) -> bytes:
    if not meta:
        return b""
    target = _Meta()
    try:
        _set_meta(target, meta)
    except _UNWRITABLE as error:
        raise UnwritableResult(f"the result has no form in protobuf: {error}") from error
    encoded: bytes = target.SerializeToString(deterministic=True)
    return encoded


def build_message(message: Message) -> Any:
    """Return a message as a SeldonMessage.

    Raises:
        ResultError: it has no form in protobuf.
    """
    target = SeldonMessage()
    try:
        _set_meta(target.meta, message.meta or {})
        _set_payload(target, message)
    except _UNWRITABLE as error:
        raise UnwritableResult(f"the result has no form in protobuf: {error}") from error
    return target


def decode_meta(wire: Wire) -> dict[str, Any]:
    """Read the bytes of a Meta.

    Raises:
        DecodeError: they are none.
    """
    return _read_meta(_Meta.FromString(bytes(wire)))


def check_reward(feedback: Any) -> Any:
    """Return the Feedback if its reward can be recorded.

    Raises:
        PayloadError: the reward is not finite, which would make the sum of all rewards useless.
    """
    if not math.isfinite(feedback.reward):
        raise PayloadError(f"the reward {feedback.reward} is not a finite number")
    return feedback


def read_feedback(feedback: Any) -> FeedbackMessage:
    """Read a Feedback (contract section 4.3): it is protobuf on both transports, so its numbers are doubles.

    Raises:
        PayloadError: an array in it is malformed.
    """
    request = _read_array(feedback.request)
    return FeedbackMessage(
        request.payload_type,
        request.payload,
        request.names,
        _read_meta(feedback.request.meta),
        request.encoding,
        reward=feedback.reward,
        truth=_read_array(feedback.truth).payload,
        routing=dict(feedback.response.meta.routing),
    )


def _read_array(message: Any) -> Message:
    """Return the array in a part of feedback; an empty one if it holds anything else."""
    if message.WhichOneof("data_oneof") != "data":
        return Message(PayloadType.NOTHING, np.array([]))
    return _read_data(message.data, {}, TEXT_BYTES_ALWAYS, KeepRows.NEVER)


def read_message(message: Any, allowance: int = TEXT_BYTES_ALWAYS, keeps_rows: KeepRows = KeepRows.NEVER) -> Message:
    """Read a SeldonMessage.

    Args:
        message: of any descriptor pool.
        allowance: see ``array_from_nested``.
        keeps_rows: see ``Request``; numbers have one type in protobuf, so that their array holds what was sent.

    Raises:
        PayloadError: it holds no payload, or one that is malformed.
    """
    meta = _read_meta(message.meta) if message.HasField("meta") else {}
    member = message.WhichOneof("data_oneof")
    if member == "data":
        return _read_data(message.data, meta, allowance, keeps_rows)
    if member == "jsonData":
        return Message(PayloadType.JSON, _from_value(message.jsonData), meta=meta)
    if member == "strData":
        return Message(PayloadType.TEXT, message.strData, meta=meta)
    if member == "binData":
        return Message(PayloadType.BINARY, message.binData, meta=meta)
    if member == "customData":
        # the Any of protobuf's default pool, which the user's code imports
        return Message(PayloadType.CUSTOM, AnyMessage.FromString(message.customData.SerializeToString()), meta=meta)
    raise PayloadError("Invalid request data type: the message holds no payload")


def _read_meta(meta: Any) -> dict[str, Any]:
    """Return a Meta as JSON has it, without its empty members."""
    return {field.name: _META_MEMBERS[field.name](value) for field, value in meta.ListFields()}


_META_MEMBERS: dict[str, Callable[[Any], Any]] = {
    "puid": str,
    "tags": lambda tags: {key: _from_value(value) for key, value in tags.items()},
    "routing": dict,
    "requestPath": dict,
    "metrics": lambda metrics: [read_metric(metric) for metric in metrics],
}


def _read_data(data: Any, meta: dict[str, Any], allowance: int, keeps_rows: KeepRows) -> Message:
    names = list(data.names)
    member = data.WhichOneof("data_oneof")
    if member == "tensor":
        return Message(PayloadType.ARRAY, _read_tensor(data.tensor), names, meta, ArrayEncoding.TENSOR)
    if member == "ndarray":
        return read_ndarray(_from_list(data.ndarray), names, meta, allowance, keeps_rows)
    if member == "tftensor":
        return Message(
            PayloadType.ARRAY, decode_tftensor(data.tftensor, allowance), names, meta, ArrayEncoding.TFTENSOR
        )
    return Message(PayloadType.ARRAY, np.array([]), names, meta, ArrayEncoding.NDARRAY)


def _read_tensor(tensor: Any) -> Array:
    if not tensor.shape and tensor.values:  # protobuf does not distinguish an empty shape from none
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
    for key, value in meta.get("routing", {}).items():
        target.routing[key] = value


def _set_metric(target: Any, metric: Mapping[str, Any]) -> None:
    target.key = metric.get("key", "")
    target.type = metric.get("type", "COUNTER")
    target.value = float(metric.get("value", 0))
    for key, value in (metric.get("tags") or {}).items():
        target.tags[key] = value


def _set_payload(target: Any, message: Message) -> None:
    payload = message.payload
    if message.payload_type is PayloadType.ARRAY:
        target.data.names.extend(str(name) for name in (() if message.names is None else message.names))
        if message.encoding is ArrayEncoding.TENSOR:
            if np.iscomplexobj(payload):
                raise UnwritableResult("the result holds complex numbers")
            target.data.tensor.SetInParent()
            # many times faster than assigning each value as a Python float
            target.data.tensor.MergeFromString(b"".join(write_tensor(fill_masked(payload))))
        elif message.encoding is ArrayEncoding.NDARRAY:
            # a ListValue holds no lone scalar: an array without dimensions is sent as a list of one
            _set_list(target.data.ndarray, np.atleast_1d(payload).tolist())
        else:
            target.data.tftensor.CopyFrom(encode_tftensor(payload))
    elif message.payload_type is PayloadType.JSON:
        _set_value(target.jsonData, payload)
    elif message.payload_type is PayloadType.TEXT:
        target.strData = str(payload)
    elif message.payload_type is PayloadType.BINARY:
        target.binData = bytes(payload)
    else:
        target.customData.MergeFromString(payload.SerializeToString())
        target.customData.SetInParent()


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
