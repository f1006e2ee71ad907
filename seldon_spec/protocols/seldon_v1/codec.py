"""What the JSON codec and the protobuf codec of the Seldon protocol share."""

from __future__ import annotations

import copy
import json
import math
from typing import Any, TypeVar

import numpy as np

from seldon_spec.config.contract import TensorSpec
from seldon_spec.inference.arrays import Array
from seldon_spec.inference.message import AggregateMessage, KeepRows, Message, Operation, PayloadType, join_messages
from seldon_spec.protocols.json_style import JsonStyle, write_part
from seldon_spec.protocols.seldon_v1 import raw_messages
from seldon_spec.protocols.seldon_v1.array_encoding import ArrayEncoding, set_encoding
from seldon_spec.protocols.seldon_v1.fast.json_writer import write_plain
from seldon_spec.protocols.seldon_v1.json_message import message_from_tree

C = TypeVar("C", bound="SeldonCodec")

_STYLE = JsonStyle()
_CONSTANT = frozenset({str, int, bool, type(None)})
_TEXT = frozenset({str})


class SeldonCodec:
    """The base class of the codecs."""

    protocol = "seldon-v1"
    has_tensors = False

    raw_to_tree = staticmethod(raw_messages.to_tree)
    split_metrics = staticmethod(raw_messages.split_metrics)
    add_method_tag = staticmethod(raw_messages.add_method_tag)
    add_routing = staticmethod(raw_messages.add_routing)

    def with_inputs(self: C, _inputs: tuple[TensorSpec, ...]) -> C:
        """Return the codec itself: only components know their inputs; see ``Codec.with_inputs``."""
        return self

    def receive(self, message: Message, keeps_rows: KeepRows = KeepRows.NEVER) -> Message:
        """Return a response message as JSON transfers it; see ``Codec.receive``.

        Integers are int64 and floats float64, unless the encoding keeps the type.

        Raises:
            PayloadError, ResultError: it has no form in JSON.
        """
        if isinstance(message, AggregateMessage):
            return join_messages([self.receive(part, keeps_rows) for part in message.parts])
        meta = _copy_meta(message.meta or {})
        if message.payload_type is PayloadType.CUSTOM:  # in protobuf only
            return Message(PayloadType.CUSTOM, copy.deepcopy(message.payload), meta=meta)
        if message.payload_type is not PayloadType.ARRAY:
            return message_from_tree(json.loads(write_plain(message, _STYLE)), keeps_rows=keeps_rows)
        encoding = set_encoding(message, Operation.PREDICT).encoding
        has_types = keeps_rows is KeepRows.ALWAYS and (message.original is not None or message.table is not None)
        array = None if encoding is ArrayEncoding.TFTENSOR or has_types else _copy_numbers(message.payload)
        if array is None or type(message.names) not in (list, tuple) or set(map(type, message.names)) - {str}:
            return message_from_tree(json.loads(write_plain(message, _STYLE)), keeps_rows=keeps_rows)
        return Message(PayloadType.ARRAY, array, list(message.names), meta, encoding)


def _copy_meta(meta: dict[str, Any]) -> Any:
    """Return a ``meta`` as JSON transfers it."""
    try:
        return _copy_plain(meta)
    except (TypeError, RecursionError):
        return json.loads(write_part(meta, _STYLE))


def _copy_plain(value: Any) -> Any:
    """Return a copy of a JSON value.

    Raises:
        TypeError: it has another type somewhere, or a number that JSON does not have.
    """
    kind = type(value)
    if kind in _CONSTANT or (kind is float and math.isfinite(value)):
        return value
    if kind is list:
        return [_copy_plain(item) for item in value]
    if kind is dict and not set(map(type, value)) - _TEXT:
        return {key: _copy_plain(item) for key, item in value.items()}
    raise TypeError


def _copy_numbers(array: Array) -> Array | None:
    """Return a writable copy of an array of numbers with the types that JSON has; None for any other array."""
    if type(array) is not np.ndarray or not array.size or array.itemsize > 8:
        return None
    if array.dtype.kind == "f":
        return array.astype(np.float64, order="C")
    if array.dtype.kind == "i" or (array.dtype.kind == "u" and array.itemsize < 8):
        return array.astype(np.int64, order="C")
    return None
