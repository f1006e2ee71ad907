"""The text of a request to a JSON value, by ``json`` or by faster parsers where the result is the same.

``read_plain`` is the reference. orjson reads a short text, unless it holds what orjson reads differently. In a long
text simdjson reads the array of numbers without a Python object for each number, and ``json`` the rest.
"""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from seldon_spec.errors import PayloadError
from seldon_spec.inference.arrays import Array
from seldon_spec.protocols.json_numbers import NotPlain, Text, decode_text, is_orjson_exact, read_array

_HEAD_BYTES = 1 << 16  # in which the start of the array is searched

_ARRAY = re.compile(rb'"(?:ndarray|values)"[ \t\r\n]*:[ \t\r\n]*(?=\[)')


def read_plain(wire: Text) -> Any:
    """Parse a text in UTF-8, UTF-16 or UTF-32; integers are whole, NaN and Infinity may be bare words.

    Raises:
        PayloadError: it is no JSON.
    """
    try:
        return json.loads(decode_text(wire))
    except RecursionError as error:
        raise PayloadError("Can't find JSON in data: it is nested too deeply") from error
    except ValueError as error:  # not in its encoding, no JSON, or an integer of thousands of digits
        raise PayloadError(f"Can't find JSON in data: {error}") from error


def read_short(wire: Text) -> Any:
    """Return the result of ``read_plain``, for a text of a few thousand characters.

    Raises:
        PayloadError: it is no JSON.
    """
    try:
        text = wire.encode() if isinstance(wire, str) else bytes(wire)
        return orjson.loads(text) if is_orjson_exact(text) else read_plain(wire)
    except ValueError:  # json accepts more: NaN, half surrogate pairs, a byte order mark
        return read_plain(wire)


def read_with_array(wire: Text) -> Any:
    """Return the result of ``read_plain``, with an array as the value of ``data.ndarray`` or ``data.tensor.values``.

    Args:
        wire: a message; for a short one this is slower.

    Returns:
        The message. The array is writable, of the type that ``numpy.array`` has for the list. None: there is no array
        of one or two dimensions that holds numbers and nothing else, or the text is no JSON.
    """
    if isinstance(wire, str):
        return None
    view = memoryview(wire)
    found = _ARRAY.search(view, 0, _HEAD_BYTES)
    if found is None:
        return None
    try:
        array, end = read_array(view, found.end())
        return _read_around(view, found.end(), end, array)
    except (NotPlain, ValueError, TypeError, RuntimeError):  # the latter three are raised by the parsers
        return None


def _read_around(view: memoryview, start: int, end: int, array: Array) -> Any:
    """Return the message with the array in place of the text that it was read from.

    The text is replaced by NaN. If that is the only NaN in the message, and the value of one of the two members, then
    the replaced text was a value, and no repeated member overrides it.
    """
    replaced: list[str] = []

    def fill(name: str) -> Array:
        replaced.append(name)
        return array

    tree = json.loads(decode_text(b"".join((view[:start], b"NaN", view[end:]))), parse_constant=fill)
    data = tree.get("data") if isinstance(tree, dict) else None
    if len(replaced) != 1 or not isinstance(data, dict):
        raise NotPlain
    tensor = data.get("tensor")
    if data.get("ndarray") is not array and not (isinstance(tensor, dict) and tensor.get("values") is array):
        raise NotPlain
    return tree
