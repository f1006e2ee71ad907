"""Messages as protobuf's JSON and back, with NaN and infinite numbers, which ``json_format`` refuses in a Value."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor

ERRORS = (json_format.Error, ValueError, TypeError, AttributeError, RecursionError, SystemError)
"""What protobuf raises for what it cannot read or write; the last one for half a surrogate pair in a key."""

_FLOATS = (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT)
_VALUE = "google.protobuf.Value"
_STANDARD = "google.protobuf."
_NUMBERS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_MARK = "\ue000seldon-spec \ue000"  # before the name of a number, in the place of that number
_MARKED = {_MARK + name: number for name, number in _NUMBERS.items()}


def message_to_tree(message: Any, *, is_bare: bool = False) -> Any:
    """Return a message as a JSON value.

    Args:
        message: of any descriptor pool.
        is_bare: whether numbers that are not finite stay numbers; else they are texts such as ``"NaN"``.

    Raises:
        Exception: one of ERRORS: it has no such form.
    """
    try:
        tree = json_format.MessageToDict(message)
    except (json_format.Error, ValueError):
        marked = type(message)()
        marked.CopyFrom(message)
        for value in _values_in(marked):
            if value.WhichOneof("kind") == "number_value" and not math.isfinite(value.number_value):
                value.string_value = _MARK + _name_of(value.number_value)
        tree = json_format.MessageToDict(marked)
        unmark: Callable[[str], Any] = _MARKED.get if is_bare else lambda text: text.removeprefix(_MARK)
        tree = _map_leaves(tree, lambda leaf: unmark(leaf) if isinstance(leaf, str) and leaf in _MARKED else leaf)
    return _convert_floats(tree, message.DESCRIPTOR, _number_of) if is_bare else tree


def tree_to_message(tree: Any, message: Any) -> Any:
    """Fill an empty message from a JSON value, in which numbers that are not finite may be numbers or texts.

    Returns:
        The message itself.

    Raises:
        Exception: one of ERRORS: it is no such message.
    """
    try:
        return json_format.ParseDict(tree, message)
    except json_format.ParseError:
        marked = _map_leaves(_convert_floats(tree, message.DESCRIPTOR, _name_if_infinite), _mark)
        if marked == tree:
            raise
    message.Clear()
    json_format.ParseDict(marked, message)
    for value in _values_in(message):
        if value.WhichOneof("kind") == "string_value" and value.string_value in _MARKED:
            value.number_value = _MARKED[value.string_value]
    return message


def _values_in(message: Any) -> Iterator[Any]:
    """Every ``google.protobuf.Value`` within a message, itself included."""
    if message.DESCRIPTOR.full_name == _VALUE:
        yield message
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if hasattr(value, "DESCRIPTOR"):
            yield from _values_in(value)
        else:
            for item in value.values() if hasattr(value, "values") and hasattr(value, "items") else value:
                if hasattr(item, "DESCRIPTOR"):
                    yield from _values_in(item)


def _convert_floats(tree: Any, descriptor: Any, convert: Callable[[Any], Any]) -> Any:
    """Return a message's tree with the leaves of its floating-point fields converted."""
    if isinstance(tree, list):
        return [_convert_floats(item, descriptor, convert) for item in tree]
    if not isinstance(tree, dict) or descriptor.full_name.startswith(_STANDARD):
        return tree
    fields = {name: field for field in descriptor.fields for name in (field.json_name, field.name)}
    converted = dict(tree)
    for name in fields.keys() & tree.keys():
        field = fields[name]
        if field.type in _FLOATS:
            converted[name] = _map_leaves(tree[name], convert)
        elif field.message_type is not None and not field.message_type.GetOptions().map_entry:
            converted[name] = _convert_floats(tree[name], field.message_type, convert)
    return converted


def _map_leaves(tree: Any, convert: Callable[[Any], Any]) -> Any:
    if isinstance(tree, dict):
        return {key: _map_leaves(item, convert) for key, item in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [_map_leaves(item, convert) for item in tree]
    return convert(tree)


def _name_of(number: float) -> str:
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _name_if_infinite(leaf: Any) -> Any:
    return _name_of(leaf) if isinstance(leaf, float) and not math.isfinite(leaf) else leaf


def _mark(leaf: Any) -> Any:
    return _MARK + _name_of(leaf) if isinstance(leaf, float) and not math.isfinite(leaf) else leaf


def _number_of(leaf: Any) -> Any:
    return _NUMBERS.get(leaf, leaf) if isinstance(leaf, str) else leaf
