"""Named tensors as the X and the names that a method with ``X, names`` takes; elements of BYTES as Python has them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from seldon_spec.errors import PayloadError
from seldon_spec.inference.arrays import Array, fill_masked, is_masked, own_array
from seldon_spec.inference.component.tables import Table, make_pandas
from seldon_spec.inference.contents import DECODERS, decode_text
from seldon_spec.inference.datatypes import widen_bf16
from seldon_spec.inference.message import AggregateMessage, Message, PayloadType, Tensor, TensorMessage, join_messages

logger = logging.getLogger(__name__)

_logged: set[str] = set()


def tensors_to_array(message: Message) -> Message:
    """Return a message of tensors, or several joined, as the methods of a class get it.

    Returns:
        X is the array of a single tensor, with the message's names. Several tensors of shape [N] or [N, 1] are the
        columns of one array of their common type, an array of objects if one of them holds anything but numbers and
        truth values; the names are theirs. Any other tensors, or content type ``dict``, are a dict of arrays by name;
        content type ``pd`` is a DataFrame, and ``json`` of a single element is the value. Elements of BYTES without a
        content type are text if all of a tensor are UTF-8, else bytes. Arrays may be read-only.

    Raises:
        PayloadError: elements are not what their content type says, or the tensors are not columns of a table.
        ComponentFailed: pandas is missing.
    """
    if isinstance(message, AggregateMessage):
        return join_messages([tensors_to_array(part) for part in message.parts])
    if message.payload_type is not PayloadType.TENSORS:
        return message
    tensors: list[Tensor] = message.payload
    content_type = message.content_type if isinstance(message, TensorMessage) else None
    payload_type, names = PayloadType.ARRAY, message.names
    if content_type == "pd":
        payload: Any = make_pandas(table_of_tensors(tensors, names), "content_type pd")
        names = [str(column) for column in payload.columns]
    elif len(tensors) == 1 and content_type is None:
        payload = decode_elements(tensors[0])
        if type(payload) is not np.ndarray:
            payload = fill_masked(payload)
        if tensors[0].content_type == "json" and payload.size == 1:
            payload_type, payload = PayloadType.JSON, payload.reshape(-1)[0]
    else:
        names = [tensor.name for tensor in tensors]
        arrays = [decode_elements(tensor) for tensor in tensors]
        if arrays and content_type is None and _are_columns(arrays):
            payload = _join_columns(arrays)
        else:
            payload_type, payload = PayloadType.JSON, dict(zip(names, arrays, strict=True))
    return Message(payload_type, payload, names, message.meta, message.encoding)


def own_payload(message: Message) -> Message:
    """Make the arrays of a message writable and aligned, by copies of those that are not; return the message."""
    payload = message.payload
    if isinstance(payload, np.ndarray):
        message.payload = own_array(payload)
    elif isinstance(payload, dict):
        for name, value in payload.items():
            if isinstance(value, np.ndarray):
                payload[name] = own_array(value)
    return message


def _are_columns(arrays: list[Array]) -> bool:
    return len({len(array) if array.ndim else -1 for array in arrays}) == 1 and all(
        array.ndim == 1 or (array.ndim == 2 and array.shape[1] == 1) for array in arrays
    )


def _join_columns(arrays: list[Array]) -> Array:
    is_numeric = all(array.dtype.kind in "biufc" for array in arrays)
    if not is_numeric:
        arrays = [_mask_to_none(array) if is_masked(array) else array for array in arrays]
    columns = [fill_masked(array).reshape(-1) for array in arrays]
    table: Array = np.empty((len(columns[0]), len(columns)), np.result_type(*columns) if is_numeric else object)
    for index, column in enumerate(columns):
        table[:, index] = column
    return table


def _mask_to_none(array: Array) -> Array:
    values: Array = np.ma.getdata(array).astype(object)
    values[np.ma.getmaskarray(array)] = None
    return values


def table_of_tensors(tensors: Sequence[Tensor], names: list[str]) -> Table:
    """Return a table with a column for each tensor, or with the columns of a single tensor.

    Args:
        tensors: several of shape [N] or [N, 1], or one of shape [N, M].
        names: of the columns of a single tensor; empty: they have none.

    Raises:
        PayloadError: the tensors have other shapes, or elements are not what their content type says.
    """
    arrays = [widen_bf16(tensor.array) if tensor.datatype == "BF16" else decode_elements(tensor) for tensor in tensors]
    if len(arrays) == 1 and arrays[0].ndim == 2 and arrays[0].shape[1] != 1:
        return Table(names, arrays[0], is_typed=True)
    if not arrays or not _are_columns(arrays):
        raise PayloadError("a table requires inputs of shape [N] or [N, 1] with the same N, or one of shape [N, M]")
    if len(arrays) > 1 or len(names) != 1:
        names = [tensor.name for tensor in tensors]
    return Table(names, [array.reshape(-1) for array in arrays], is_typed=True)


def decode_elements(tensor: Tensor, *, prefers_text: bool = True) -> Array:
    """Return the array of a tensor, with the elements of BYTES as its content type says.

    Args:
        tensor: elements of BYTES are ``bytes``.
        prefers_text: whether elements without a content type are converted to text if all of them are UTF-8.

    Raises:
        PayloadError: an element is not what the content type says.
    """
    array: Array = tensor.array
    if array.dtype.kind != "O":
        return array
    decode = DECODERS.get(tensor.content_type or "")
    if decode is not None:
        try:
            return _convert(array, decode)
        except (ValueError, RecursionError) as error:
            raise PayloadError(
                f"input {tensor.name!r:.100}: an element is not of content_type {tensor.content_type}: {error}"
            ) from error
    if tensor.content_type == "bytes" or not prefers_text:
        return array
    try:
        return _convert(array, decode_text)
    except UnicodeDecodeError:
        if tensor.name not in _logged and len(_logged) < 100:
            _logged.add(tensor.name)
            logger.warning(
                "input %r has elements that are not UTF-8: the class gets bytes instead of text; content_type bytes or"
                " str decides it (logged once)",
                tensor.name[:100],
            )
        return array


def _convert(array: Array, decode: Callable[[Any], Any]) -> Array:
    elements = [None if element is None else decode(element) for element in array.ravel().tolist()]
    # unlike an assignment, it keeps an element that is a list
    return np.fromiter(elements, dtype=object, count=len(elements)).reshape(array.shape)
