"""A response message as JSON; orjson writes the numbers where its result equals that of ``json``.

Only the spelling of a number may differ, such as ``1e16`` for ``1e+16``.
"""

from __future__ import annotations

import base64
from functools import lru_cache
from json.encoder import encode_basestring, encode_basestring_ascii
from typing import Any

import numpy as np
import orjson

from seldon_spec.errors import ResultError
from seldon_spec.inference.arrays import Array, cached_by_width, default_names
from seldon_spec.inference.message import Message, PayloadType
from seldon_spec.protocols.json_style import JsonStyle, write_json, write_part
from seldon_spec.protocols.seldon_v1.array_encoding import ArrayEncoding

_TEXT = frozenset({str})
_NUMBERS = frozenset("iuf")
_AS_LISTS = frozenset({ArrayEncoding.NDARRAY, ArrayEncoding.TENSOR})
_FEW = 32  # for so few numbers Python is faster than numpy


def write_message(message: Message, style: JsonStyle) -> bytes:
    """Write a message in a style, with a final line break (contract section 4.2).

    Args:
        message: the encoding of an array is set.
        style: the style.

    Raises:
        ResultError: something in it has no form in JSON.
    """
    return _write_numbers(message, style) or write_plain(message, style)


def write_plain(message: Message, style: JsonStyle) -> bytes:
    """Write the same as ``write_message``, number by number.

    Raises:
        ResultError: something in it has no form in JSON.
    """
    return write_json({**_payload_member(message), "meta": message.meta or {}}, style)


def _payload_member(message: Message) -> dict[str, Any]:
    """Return the one payload member of the message; within ``data`` the payload comes before its names."""
    payload = message.payload
    if message.payload_type is PayloadType.ARRAY:
        if message.encoding is ArrayEncoding.TENSOR:
            tensor = {"shape": list(payload.shape), "values": payload.ravel().tolist()}
            return {"data": {"tensor": tensor, "names": message.names}}
        if message.encoding is ArrayEncoding.NDARRAY:
            rows = payload.tolist() if message.original is None else message.original
            return {"data": {"ndarray": rows, "names": message.names}}
        from seldon_spec.protocols.seldon_v1.json_proto import (
            tftensor_to_tree,  # not at the top: most responses need no protobuf
        )

        return {"data": {"tftensor": tftensor_to_tree(payload), "names": message.names}}
    if message.payload_type is PayloadType.JSON:
        return {"jsonData": payload}
    if message.payload_type is PayloadType.TEXT:
        return {"strData": payload}
    if message.payload_type is PayloadType.BINARY:
        return {"binData": base64.b64encode(payload).decode("ascii")}
    # the original's REST has no customData in either direction
    raise ResultError("Unknown data type returned as payload: a google.protobuf.Any has no form on REST")


def _write_numbers(message: Message, style: JsonStyle) -> bytes | None:
    """Write an array of finite numbers in one line; return None for any other message."""
    array = message.payload
    if type(array) is not np.ndarray or array.dtype.kind not in _NUMBERS or not array.ndim or style.indent is not None:
        return None  # a subclass of ndarray may have a mask
    if 0 < array.size <= _FEW and message.has_default_names and not message.meta and message.encoding in _AS_LISTS:
        return _write_few(array, message, style)
    if message.encoding is ArrayEncoding.NDARRAY:
        member = "ndarray"
    elif message.encoding is ArrayEncoding.TENSOR:
        member = "tensor"
    else:
        return None
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return None
    names = orjson.Fragment(_write_names(message, style))
    numbers, options = _numbers(message)
    data = {"names": names, member: numbers} if style.sort_keys else {member: numbers, "names": names}
    meta: Any = message.meta or {}
    if meta:
        meta = orjson.Fragment(_write_texts(meta, style, levels=2) or write_part(meta, style))
    try:
        return orjson.dumps({"data": data, "meta": meta}, option=options | orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # a number of a type that orjson does not know
        return None


def _write_few(array: Array, message: Message, style: JsonStyle) -> bytes | None:
    """Write an array of few numbers without ``meta``, as most responses are; None: a number is not finite."""
    value: Any = array.tolist() if message.original is None else message.original
    if message.encoding is ArrayEncoding.TENSOR:
        value = {"shape": array.shape, "values": array.ravel().tolist()}
    try:
        text = orjson.dumps(value)
    except TypeError:  # a number of a type that orjson does not know
        return None
    if b"null" in text:  # orjson's form of NaN and infinity
        return None
    start, end = _frame(message.encoding, len(message.names), style.sort_keys)
    return b"".join((start, text, end))


@lru_cache(maxsize=256)
def _frame(encoding: ArrayEncoding, width: int, is_sorted: bool) -> tuple[bytes, bytes]:  # noqa: FBT001 - a cached function is faster with positions
    """Return the text before and after the value of a message with default names and without ``meta``."""
    names, member = b'"names":' + _default_names_text(width), b'"%s":' % encoding.value.encode()
    if is_sorted:
        return b'{"data":{' + names + b"," + member, b'},"meta":{}}\n'
    return b'{"data":{' + member, b"," + names + b'},"meta":{}}\n'


def _numbers(message: Message) -> tuple[Any, int]:
    """Return the value for orjson, and its options."""
    array = message.payload
    if not array.dtype.isnative:  # orjson 3.9 writes the bytes unswapped
        array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype.kind == "f" and array.itemsize < 8:  # with the digits of a double, as Python writes it
        array = array.astype(np.float64)
    if message.encoding is ArrayEncoding.TENSOR:
        return {"shape": array.shape, "values": array.ravel()}, orjson.OPT_SERIALIZE_NUMPY
    if message.original is not None:  # without OPT_SERIALIZE_NUMPY: orjson shortens the digits of numpy's scalars
        return message.original, 0
    return np.ascontiguousarray(array), orjson.OPT_SERIALIZE_NUMPY


def _write_texts(tree: dict[str, Any], style: JsonStyle, levels: int) -> bytes | None:
    """Write an object that holds nothing but text, as the usual ``meta`` does; return None for any other."""
    if not levels or not _TEXT.issuperset(map(type, tree)):
        return None
    members = []
    for key in sorted(tree) if style.sort_keys else tree:
        value = tree[key]
        if type(value) is str:
            text: bytes | None = _quote(value, style)
        else:
            text = _write_texts(value, style, levels - 1) if type(value) is dict else None
        if text is None:
            return None
        members.append(_quote(key, style) + b":" + text)
    return b"{" + b",".join(members) + b"}"


def _quote(text: str, style: JsonStyle) -> bytes:
    quoted = encode_basestring_ascii(text) if style.ascii else encode_basestring(text)
    return quoted.encode("utf-8", "backslashreplace")


def _write_names(message: Message, style: JsonStyle) -> bytes:
    if message.has_default_names:
        return _default_names_text(len(message.names))
    return write_part(message.names, style)


@cached_by_width
def _default_names_text(width: int) -> bytes:
    return orjson.dumps(default_names(width))
