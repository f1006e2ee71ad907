"""What a method gets instead of an array: a table, images or bytes, by its annotation or the declared inputs.

A type is recognised by its module and name, so no library is imported for it.
"""

from __future__ import annotations

import logging
import types
import typing
from collections.abc import Mapping, Sequence
from enum import Enum
from inspect import Parameter, unwrap
from typing import Any

import numpy as np

from seldon_spec.config.contract import TensorSpec
from seldon_spec.errors import PayloadError
from seldon_spec.inference.arrays import Array, array_from_nested
from seldon_spec.inference.component.hooks import find_payload_parameter
from seldon_spec.inference.component.images import open_image
from seldon_spec.inference.component.tables import (
    Table,
    make_pandas,
    make_polars,
    read_column,
    read_rows,
)
from seldon_spec.inference.component.tensors import own_payload, table_of_tensors, tensors_to_array
from seldon_spec.inference.image_files import image_bytes, is_image_type
from seldon_spec.inference.message import KeepRows, Message, PayloadType, Tensor

logger = logging.getLogger(__name__)


class ArgumentType(Enum):
    """What a method gets as X where it is no array."""

    DATAFRAME = "pandas.DataFrame"
    POLARS = "polars.DataFrame"
    IMAGE = "PIL.Image.Image"
    IMAGES = "list[PIL.Image.Image]"
    BYTES = "bytes"
    BYTES_LIST = "list[bytes]"


TABLES = frozenset({ArgumentType.DATAFRAME, ArgumentType.POLARS})

_DECLARED = {"dataframe": ArgumentType.DATAFRAME, "polars": ArgumentType.POLARS}
_TYPES = {
    ("pandas", "DataFrame"): ArgumentType.DATAFRAME,
    ("polars", "DataFrame"): ArgumentType.POLARS,
    ("PIL", "Image"): ArgumentType.IMAGE,
    ("builtins", "bytes"): ArgumentType.BYTES,
}
_TEXTS = {
    "pd.DataFrame": ArgumentType.DATAFRAME,
    "pandas.DataFrame": ArgumentType.DATAFRAME,
    "pl.DataFrame": ArgumentType.POLARS,
    "polars.DataFrame": ArgumentType.POLARS,
    "PIL.Image.Image": ArgumentType.IMAGE,
    "Image.Image": ArgumentType.IMAGE,
    "bytes": ArgumentType.BYTES,
}
"""Annotations as text, where the name cannot be evaluated: it is imported for type checkers only."""

_LISTS = {ArgumentType.IMAGE: ArgumentType.IMAGES, ArgumentType.BYTES: ArgumentType.BYTES_LIST}
_LIST_ORIGINS = (list, Sequence)
_LIST_NAMES = frozenset({"list", "List", "Sequence"})
_ONE_ELEMENT = frozenset({ArgumentType.IMAGE, ArgumentType.BYTES})
_OF_IMAGES = frozenset({ArgumentType.IMAGE, ArgumentType.IMAGES})
_DEFAULT_INPUT = "input-0"
_MAX_GAPS = 10_000


def find_argument(user: object, name: str, inputs: Sequence[TensorSpec]) -> ArgumentType | None:
    """Return what a method gets as X; None: an array, or it has no such parameter.

    Args:
        user: the object.
        name: of the method, which the object has.
        inputs: as declared; their ``as`` counts where the annotation says nothing.
    """
    found = _find_annotated(user, name)
    if found is not None:
        return found
    declared = {_DECLARED.get(spec.as_ or "") for spec in inputs} - {None}
    return declared.pop() if len(declared) == 1 else None


def _find_annotated(user: object, name: str) -> ArgumentType | None:
    parameter = find_payload_parameter(user, name)
    if parameter is None or parameter.annotation is Parameter.empty:
        return None
    annotation: Any = parameter.annotation
    method = getattr(user, name)
    namespace = getattr(unwrap(method), "__globals__", {})
    alone = types.SimpleNamespace(__annotations__={"x": annotation})  # others may name what is not defined
    try:
        annotation = typing.get_type_hints(alone, namespace)["x"]
    except Exception:  # a name that is imported for type checkers only
        logger.debug("the annotation %r of %s cannot be evaluated", annotation, name, exc_info=True)
    return _find_type(annotation)


def _find_type(annotation: Any) -> ArgumentType | None:
    if isinstance(annotation, str):
        return _find_type_of_text(annotation)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return _only_type([_find_type(argument) for argument in arguments if argument is not type(None)])
    if origin in _LIST_ORIGINS:
        return _list_of(_find_type(arguments[0]))
    if not isinstance(annotation, type):
        return None
    return _TYPES.get((annotation.__module__.partition(".")[0], annotation.__name__))


def _find_type_of_text(text: str) -> ArgumentType | None:
    members = [member.strip() for member in text.split("|")]
    if len(members) > 1:
        return _only_type([_find_type_of_text(member) for member in members if member != "None"])
    outer, bracket, inner = members[0].partition("[")
    if not bracket:
        return _TEXTS.get(outer)
    found = _find_type_of_text(inner.rstrip().removesuffix("]"))
    outer = outer.strip().rpartition(".")[2]
    if outer == "Optional":
        return found
    return _list_of(found) if outer in _LIST_NAMES else None


def _only_type(found: Sequence[ArgumentType | None]) -> ArgumentType | None:
    return found[0] if len(set(found)) == 1 else None


def _list_of(element: ArgumentType | None) -> ArgumentType | None:
    return None if element is None else _LISTS.get(element)


class Arguments:
    """What the methods of an object get as X, found once.

    Args:
        user: the object.
        names: of the methods; the object need not have all of them.
        inputs: as declared.

    Attributes:
        kinds: by the name of the method; those that get an array are not in it.
        keeps_rows: when a message has to keep its rows for these methods.
    """

    def __init__(self, user: object, names: Sequence[str], inputs: Sequence[TensorSpec]) -> None:
        found = {name: find_argument(user, name, inputs) for name in names if hasattr(user, name)}
        self.kinds = {name: kind for name, kind in found.items() if kind is not None}
        self._inputs = tuple(inputs)
        self.keeps_rows = KeepRows.NEVER
        if not TABLES.isdisjoint(self.kinds.values()):
            self.keeps_rows = KeepRows.IF_MIXED if inputs else KeepRows.ALWAYS

    def make(self, name: str, message: Message) -> Message:
        """Return the message that a method gets for that of a request, which is not changed.

        Raises:
            PayloadError: the request holds no such argument.
            ComponentFailed: a library is missing.
        """
        kind = self.kinds.get(name)
        if kind is not None:
            return make_argument(kind, message, self._inputs)
        return own_payload(tensors_to_array(message)) if message.payload_type is PayloadType.TENSORS else message


def make_argument(kind: ArgumentType, message: Message, inputs: Sequence[TensorSpec]) -> Message:
    """Return the message that a method gets for that of a request, which is not changed.

    Args:
        kind: what the method gets; it is the payload.
        message: of the request; arrays that the declared inputs were applied to keep their types.
        inputs: as declared.

    Raises:
        PayloadError: the request holds no table, or not the images that the method takes.
        ComponentFailed: a library is missing.
    """
    if kind in TABLES:
        frame = _make_frame(kind, _read_table(message, inputs))
        names = [str(name) for name in frame.columns]
        return Message(PayloadType.ARRAY, frame, names, message.meta, message.encoding)
    elements, name = _read_elements(kind, message, inputs)
    if kind in _OF_IMAGES:
        elements = [open_image(element, name, index) for index, element in enumerate(elements)]
    payload = elements[0] if kind in _ONE_ELEMENT else elements
    return Message(PayloadType.BINARY, payload, message.names, message.meta, message.encoding)


def make_table_of(tensor: Tensor, columns: Sequence[str], as_: str = "dataframe") -> Any:
    """Return a tensor of rows as a table.

    Args:
        tensor: of one or two dimensions.
        columns: the names of its columns; empty: it has none.
        as_: ``dataframe`` or ``polars``.

    Raises:
        PayloadError: it has no rows.
        ComponentFailed: the library is missing.
    """
    return _make_frame(_DECLARED[as_], table_of_tensors([tensor], list(columns)))


def _make_frame(kind: ArgumentType, table: Table) -> Any:
    return make_pandas(table) if kind is ArgumentType.DATAFRAME else make_polars(table)


# Tables


def _read_table(message: Message, inputs: Sequence[TensorSpec]) -> Table:
    payload = message.payload
    if message.payload_type is PayloadType.TENSORS:
        return table_of_tensors(payload, list(message.names))
    if message.payload_type is PayloadType.JSON:
        return _table_of_json(payload)
    if message.payload_type is PayloadType.ARRAY:
        return _table_of_rows(message, inputs)
    raise PayloadError(f"the model takes a table, and the request holds {message.payload_type.value}")


def _table_of_rows(message: Message, inputs: Sequence[TensorSpec]) -> Table:
    array: Array = message.payload
    names = [str(name) for name in message.names] if isinstance(message.names, (str, list, tuple)) else []
    if array.ndim == 1 and not array.size:  # no rows
        names = names or _column_names(inputs)
        return Table(names, [np.empty(0, dtype=object) for _ in names])
    if array.ndim != 2:
        raise PayloadError(f"the model takes a table of rows, and the array has the shape {list(array.shape)}")
    width = array.shape[1]
    if names and len(names) != width:
        raise PayloadError(f"the request has {len(names)} names of columns, and {width} values in a row")
    if not names and len(_column_names(inputs)) == width:
        names = _column_names(inputs)
    if message.rows:
        return Table(names, read_rows(message.rows))
    if array.dtype.kind in "OU":
        return Table(names, [read_column(column.tolist()) for column in array.T])
    return Table(names, array)


def _table_of_json(tree: Any) -> Table:
    """Return the table of an object with a list for each column, or of a list with an object for each row."""
    if isinstance(tree, dict) and all(isinstance(column, list) for column in tree.values()):
        if len(set(map(len, tree.values()))) > 1:
            raise PayloadError("the columns of jsonData differ in length")
        return Table(list(tree), [read_column(column) for column in tree.values()])
    if isinstance(tree, list) and all(isinstance(row, dict) for row in tree):
        names = list(dict.fromkeys(name for row in tree for name in row))
        if len(names) * len(tree) > 10 * sum(map(len, tree)) + _MAX_GAPS:
            raise PayloadError("the objects of jsonData have different keys: they are no rows of a table")
        return Table(names, [read_column([row.get(name) for row in tree]) for name in names])
    raise PayloadError(
        "the model takes a table: jsonData is a list of objects, or an object with a list for each column"
    )


def _column_names(inputs: Sequence[TensorSpec]) -> list[str]:
    return inputs[0].column_names if len(inputs) == 1 else [spec.name for spec in inputs]


# Images and bytes


def _read_elements(kind: ArgumentType, message: Message, inputs: Sequence[TensorSpec]) -> tuple[list[bytes], str]:
    """Return the elements that a method takes, and the name of the input."""
    name, content_type = _DEFAULT_INPUT, None
    if len(inputs) == 1:
        name, content_type = inputs[0].name, inputs[0].content_type
    payload: Any = message.payload
    if message.payload_type is PayloadType.TENSORS:
        if len(payload) != 1:
            raise PayloadError(f"the model takes one input; found {len(payload)}")
        tensor: Tensor = payload[0]
        name, payload = tensor.name, tensor.array
        if not is_image_type(content_type):
            content_type = tensor.content_type
    elif message.payload_type is PayloadType.JSON:
        payload = array_from_nested(payload)
    elements = payload.ravel().tolist() if isinstance(payload, np.ndarray) else [payload]
    if kind in _ONE_ELEMENT and len(elements) != 1:
        what = "image" if kind is ArgumentType.IMAGE or is_image_type(content_type) else "element"
        raise PayloadError(f"the model takes one {what} per request; found {len(elements)}")
    if kind in _OF_IMAGES or is_image_type(content_type):
        return [image_bytes(element, name, index) for index, element in enumerate(elements)], name
    return [_to_bytes(element, name, index) for index, element in enumerate(elements)], name


def _to_bytes(element: object, name: str, index: int) -> bytes:
    if isinstance(element, bytes):
        return element
    if isinstance(element, str):
        return element.encode("utf-8", "surrogatepass")
    raise PayloadError(f"input {name}: element {index} is not bytes or text, but {_describe(element)}")


def _describe(element: object) -> str:
    if isinstance(element, Mapping):
        return "an object"
    return "missing" if element is None else f"a {type(element).__name__}"
