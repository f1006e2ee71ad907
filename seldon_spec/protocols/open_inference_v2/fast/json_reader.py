"""The text of a request to a JSON value, by ``json`` or by faster parsers where the result is the same.

``read_plain`` is the reference. simdjson reads long lists of numbers without a Python object for each number.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

import numpy as np
import orjson

from seldon_spec.errors import PayloadError
from seldon_spec.inference.arrays import Array
from seldon_spec.inference.datatypes import Datatype, find_datatype
from seldon_spec.inference.message import KeepRows, Tensor
from seldon_spec.protocols.json_numbers import SHORT_BYTES, NotPlain, Text, is_orjson_exact, read_array
from seldon_spec.protocols.open_inference_v2.request import MAX_TENSORS, InferOptions, read_infer_request
from seldon_spec.protocols.open_inference_v2.values import WrongValues, read_values

_DATA = re.compile(rb'"data"[ \t\r\n]*:[ \t\r\n]*(?=\[[ \t\r\n]*[\[\-0-9])')
_MAX_FAILURES = 4
_DATA_KEY = b'"data":'
_PLAIN_MEMBERS = {"name", "shape", "datatype", "data"}
_MOST_KNOWN = 64
_FLOATS = frozenset({"FP16", "BF16", "FP32", "FP64"})
_INTEGERS = frozenset({"INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"})


class _KnownRequest(NamedTuple):
    """What was read from a request of one input around the numbers, and the text after them."""

    end: bytes
    name: str
    datatype: Datatype
    shape: list[int]
    options: InferOptions


_known: dict[bytes, _KnownRequest] = {}
"""By the text up to the numbers: the requests of a client often differ in nothing but these."""


def read_request(wire: Text, model_name: str | None, keeps_rows: KeepRows) -> tuple[list[Tensor], InferOptions]:
    """Read an inference request without binary data; see ``read_infer_request``.

    Raises:
        PayloadError: it is no JSON, or malformed.
    """
    if len(wire) > SHORT_BYTES or isinstance(wire, (str, memoryview)):
        return read_infer_request(read_json(wire), b"", model_name, keeps_rows=keeps_rows)
    start = wire.find(_DATA_KEY) + len(_DATA_KEY)
    known = _known.get(bytes(wire[:start]))
    if known is not None and known.options.model_name == (model_name or "") and wire.endswith(known.end):
        text = bytes(wire[start : len(wire) - len(known.end)])
        try:
            values = orjson.loads(text) if is_orjson_exact(text) else None
            array = read_values(known.datatype, known.shape, values, known.name)
        except (ValueError, WrongValues, PayloadError):  # the text is not a list, or the request is reported below
            pass
        else:
            return [Tensor(known.name, array, known.datatype.name)], known.options
    tree = read_json(wire)
    tensors, options = read_infer_request(tree, b"", model_name, keeps_rows=keeps_rows)
    if len(tensors) == 1 and tree.keys() == {"inputs"} and tree["inputs"][0].keys() == _PLAIN_MEMBERS:
        _keep_known(bytes(wire), start, tree["inputs"][0], tensors[0], options)
    return tensors, options


def _keep_known(wire: bytes, start: int, entry: dict[str, Any], tensor: Tensor, options: InferOptions) -> None:
    """Keep what surrounds the numbers of a request of one input, if any value in their place is its data."""
    end = wire.rfind(b"]", start, wire.rfind(b"]")) + 1
    try:
        tree = orjson.loads(b"".join((wire[:start], b"null", wire[end:])))
    except ValueError:  # the text between is no value
        return
    is_same = tree == {"inputs": [{**entry, "data": None}]} and all(
        type(size) is int
        for size in tree["inputs"][0]["shape"]  # 1 is equal to true
    )
    if is_same and is_orjson_exact(wire):
        if len(_known) >= _MOST_KNOWN:  # two threads may have added at once
            _known.clear()
        _known[wire[:start]] = _KnownRequest(
            wire[end:], tensor.name, find_datatype(tensor.datatype), entry["shape"], options
        )


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
