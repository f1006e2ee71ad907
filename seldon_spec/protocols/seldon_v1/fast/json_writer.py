"""A dressed result as JSON, its numbers by orjson where these come out as they would from ``json``.

Only the spelling of a number may differ, such as ``1e16`` for ``1e+16``.
"""

from __future__ import annotations

import base64
import math
from json.encoder import encode_basestring, encode_basestring_ascii
from typing import Any

import numpy as np
import orjson

from seldon_spec.errors import ResultError
from seldon_spec.inference.arrays import Array, default_names, kept_by_width
from seldon_spec.inference.component.response import ResponseMessage
from seldon_spec.inference.message import PayloadType
from seldon_spec.protocols.json_style import JsonStyle, write_json, write_part

_TEXT = frozenset({str})
_FEW = 32  # numbers that Python has looked at before numpy has begun


def write_answer(answer: ResponseMessage, style: JsonStyle) -> bytes:
    """Write an answer in a style, with a final line break (contract section 4.2).

    Raises:
        ResultError: something in it has no form in JSON.
    """
    return _write_numbers(answer, style) or write_plain(answer, style)


def write_plain(answer: ResponseMessage, style: JsonStyle) -> bytes:
    """What ``write_answer`` writes, number by number.

    Raises:
        ResultError: something in it has no form in JSON.
    """
    return write_json({**_member(answer), "meta": answer.meta}, style)


def _member(answer: ResponseMessage) -> dict[str, Any]:
    """The one payload member of the message; within ``data`` the payload stands before its names."""
    if answer.kind is PayloadType.TENSOR:
        tensor = {"shape": list(answer.payload.shape), "values": answer.payload.ravel().tolist()}
        return {"data": {"tensor": tensor, "names": answer.names}}
    if answer.kind is PayloadType.NDARRAY:
        rows = answer.payload.tolist() if answer.original is None else answer.original
        return {"data": {"ndarray": rows, "names": answer.names}}
    if answer.kind is PayloadType.TFTENSOR:
        from seldon_spec.protocols.seldon_v1.json_proto import (
            tftensor_to_tree,  # not at the top: few need protobuf here
        )

        return {"data": {"tftensor": tftensor_to_tree(answer.payload), "names": answer.names}}
    if answer.kind is PayloadType.CUSTOM:  # the original's REST knows no customData in either direction
        raise ResultError("Unknown data type returned as payload: a google.protobuf.Any has no form on REST")
    if answer.kind is PayloadType.BINARY:
        return {answer.kind.value: base64.b64encode(answer.payload).decode("ascii")}
    return {answer.kind.value: answer.payload}


def _write_numbers(answer: ResponseMessage, style: JsonStyle) -> bytes | None:
    """An answer of finite numbers in one line; None for any other."""
    if (
        style.indent is not None
        or answer.kind not in (PayloadType.TENSOR, PayloadType.NDARRAY)
        or not _is_finite(answer.payload)
    ):
        return None
    names = orjson.Fragment(_write_names(answer, style))
    numbers, options = _numbers(answer)
    data = (
        {"names": names, answer.kind.value: numbers}
        if style.sort_keys
        else {answer.kind.value: numbers, "names": names}
    )
    meta = answer.meta and orjson.Fragment(_write_texts(answer.meta, style, levels=2) or write_part(answer.meta, style))
    try:
        return orjson.dumps({"data": data, "meta": meta}, option=options | orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # a number of a type that orjson does not know
        return None


def _is_finite(array: Array) -> bool:
    """Whether an array has numbers, and each of them a form in JSON; a single one is no list for orjson."""
    if array.ndim == 0 or array.dtype.kind not in "iuf" or type(array) is not np.ndarray:  # it may have a mask
        return False
    if array.size <= _FEW:
        return all(map(math.isfinite, array.ravel().tolist()))
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())


def _numbers(answer: ResponseMessage) -> tuple[Any, int]:
    """What orjson shall write, and how."""
    array = answer.payload
    if not array.dtype.isnative:  # orjson 3.9 writes the bytes as if they were
        array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype.kind == "f" and array.itemsize < 8:  # the double's digits are wanted, as Python has no other float
        array = array.astype(np.float64)
    if answer.kind is PayloadType.TENSOR:
        return {"shape": array.shape, "values": array.ravel()}, orjson.OPT_SERIALIZE_NUMPY
    if answer.original is not None:  # single values of numpy in a list are not for orjson, which shortens their digits
        return answer.original, 0
    return np.ascontiguousarray(array), orjson.OPT_SERIALIZE_NUMPY


def _write_texts(tree: dict[str, Any], style: JsonStyle, levels: int) -> bytes | None:
    """An object that holds nothing but text, as the usual ``meta`` does; None for any other."""
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


def _write_names(answer: ResponseMessage, style: JsonStyle) -> bytes:
    if answer.has_default_names:
        return _default_names_text(len(answer.names))
    return write_part(answer.names, style)


@kept_by_width
def _default_names_text(width: int) -> bytes:
    return orjson.dumps(default_names(width))
