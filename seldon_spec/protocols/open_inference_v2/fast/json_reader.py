"""The text of a request to a JSON value, by ``json`` or by faster parsers where the result is the same.

``read_plain`` is the reference. simdjson reads long lists of numbers without a Python object for each number.
"""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import orjson

from seldon_spec.errors import PayloadError
from seldon_spec.inference.arrays import Array
from seldon_spec.protocols.json_numbers import SHORT_BYTES, NotPlain, Text, is_orjson_exact, read_array
from seldon_spec.protocols.open_inference_v2.request import MAX_TENSORS

_DATA = re.compile(rb'"data"[ \t\r\n]*:[ \t\r\n]*(?=\[[ \t\r\n]*[\[\-0-9])')
_MAX_FAILURES = 4
_FLOATS = frozenset({"FP16", "BF16", "FP32", "FP64"})
_INTEGERS = frozenset({"INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"})


def read_json(wire: Text) -> Any:
    """Parse a request; a list of numbers in ``data`` of an input may be an array.

    Returns:
        The result of ``read_plain``, but for these arrays: of int64 or float64, writable, of one dimension, or of two
        that are the shape of the input.

    Raises:
        PayloadError: it is no JSON.
    """
    if isinstance(wire, str):
        return read_plain(wire)
    if len(wire) > SHORT_BYTES:
        tree = read_with_arrays(memoryview(wire))
        if tree is not None:
            return tree
    text = bytes(wire)
    try:
        return orjson.loads(text) if is_orjson_exact(text) else read_plain(text)
    except ValueError:  # json accepts more: NaN, half surrogate pairs, a byte order mark
        return read_plain(text)


def read_plain(wire: Text) -> Any:
    """Parse a text in UTF-8; integers are whole, NaN and Infinity may be bare words.

    Raises:
        PayloadError: it is no JSON.
    """
    try:
        return json.loads(_decode(wire))
    except RecursionError as error:
        raise PayloadError("the body is not JSON that can be read: it is nested too deeply") from error
    except ValueError as error:  # not in its encoding, no JSON, or an integer of thousands of digits
        raise PayloadError(f"the body is not JSON: {error}") from error


def _decode(wire: Text) -> str:
    return wire if isinstance(wire, str) else str(wire, "utf-8-sig")


def read_with_arrays(view: memoryview) -> Any:
    """Return the result of ``read_plain``, with arrays as the ``data`` of inputs; None if there are none."""
    arrays: list[Array] = []
    pieces: list[memoryview | bytes] = []
    start = at = failures = 0
    while (found := _DATA.search(view, at)) is not None:
        at = found.end()
        try:
            array, end = read_array(view, at)
        except (NotPlain, ValueError, TypeError, RuntimeError):  # the latter three are raised by the parsers
            failures += 1
            if failures > _MAX_FAILURES:  # each may have read the whole rest of the text
                return None
            continue
        if len(arrays) == MAX_TENSORS:  # each copies a piece of the text
            return None
        pieces += (view[start:at], b"NaN")
        arrays.append(array)
        start = at = end
    if not arrays:
        return None
    pieces.append(view[start:])
    try:
        return _read_around(b"".join(pieces), arrays)
    except (NotPlain, ValueError, RecursionError):
        return None


def _read_around(text: bytes, arrays: list[Array]) -> Any:
    """Return the request with the arrays in place of the texts that they were read from.

    Each text is replaced by NaN. If there are as many NaN as arrays, each of them the ``data`` of an input, then the
    replaced texts were values, and no repeated member overrides them.
    """
    rest = iter(arrays)

    def fill(_name: str) -> Array:
        array = next(rest, None)
        if array is None:
            raise NotPlain
        return array

    tree = json.loads(_decode(text), parse_constant=fill)
    inputs = tree.get("inputs") if isinstance(tree, dict) else None
    if not isinstance(inputs, list):
        raise NotPlain
    placed = [entry for entry in inputs if isinstance(entry, dict) and isinstance(entry.get("data"), np.ndarray)]
    if len(placed) != len(arrays) or not all(map(_fits, placed)):
        raise NotPlain
    return tree


def _fits(entry: dict[str, Any]) -> bool:
    """Return whether the reference makes the same array of an input."""
    array, datatype = entry["data"], str(entry.get("datatype"))
    if datatype not in _FLOATS and (datatype not in _INTEGERS or array.dtype.kind == "f"):
        return False  # among floats, a large integer may have been rounded
    if array.ndim == 2:
        if list(array.shape) != entry.get("shape"):
            return False
        entry["data"] = array.reshape(-1)
    return True
