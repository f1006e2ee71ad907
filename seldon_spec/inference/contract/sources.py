"""The values of an input as a request holds them, whatever the protocol and the type of the payload."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from seldon_spec.errors import PayloadError
from seldon_spec.inference.arrays import Array, flatten_nested
from seldon_spec.inference.contents import DECODERS
from seldon_spec.inference.contract.problems import Problems, show
from seldon_spec.inference.contract.rules import ValueRule
from seldon_spec.inference.datatypes import datatype_of, find_datatype
from seldon_spec.inference.image_files import is_image_type
from seldon_spec.inference.message import Message, PayloadType, Tensor


@dataclass(slots=True)
class Source:
    """Values of a request.

    Attributes:
        shape: of the values.
        values: flat, row-major: an array, or a list of JSON values.
        datatype: as sent; None: the protocol names none, so that the values decide.
        parameters, content_type: see ``Tensor``.
        is_single: whether it is one text or one file without a shape of its own.
    """

    shape: tuple[int, ...]
    values: Any
    datatype: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    content_type: str | None = None
    is_single: bool = False

    @property
    def is_exact(self) -> bool:
        """Whether the request names datatype and shape."""
        return self.datatype is not None

    def can_be(self, rule: ValueRule, *, casts_numbers: bool = False) -> bool:
        """Return whether the datatype is the rule's, or one whose values it can hold.

        Floats may be integers if values may be missing, because many clients have NaN only.

        Args:
            rule: of the input.
            casts_numbers: whether any numbers may be sent, so that the values decide.
        """
        name, wanted = self.datatype, rule.datatype
        if name is None or name == wanted.name:
            return True
        if name == "BF16":
            return wanted.name in ("FP32", "FP64")
        if "BYTES" in (name, wanted.name) or wanted.name == "BF16" or name == "BOOL":
            return False
        if casts_numbers and wanted.name != "BOOL":
            return True
        dtype = find_datatype(name).dtype
        if rule.optional and not rule.is_float and dtype.kind == "f":
            return True
        return bool(np.can_cast(dtype, wanted.dtype, "safe"))


def has_content(content_type: str | None, rule: ValueRule) -> bool:
    """Return whether elements of this content type can be those of the rule; files may be base64 on the way."""
    declared = rule.content_type
    if declared is None or content_type in (None, declared):
        return True
    if content_type == "base64":
        return declared == "bytes" or is_image_type(declared)
    return content_type not in DECODERS and content_type != "bytes" and not is_image_type(content_type)


def tensor_source(tensor: Tensor) -> Source:
    """Return the values of a tensor."""
    array: Array = tensor.array
    datatype = tensor.datatype or datatype_of(array, tensor.name).name
    flat: Any = array.reshape(-1)
    if tensor.wrong is not None and array.dtype == object:
        flat = flat.tolist()
    return Source(array.shape, flat, datatype, tensor.parameters, tensor.content_type)


def array_source(message: Message) -> Source | None:
    """Return the values of a message with one array, one text or one file; None for any other message."""
    payload = message.payload
    if message.payload_type in (PayloadType.TEXT, PayloadType.BINARY):
        return Source((), [payload], is_single=True)
    if message.rows is not None:
        shape, leaves, _ = flatten_nested(message.rows)
        return Source(shape, leaves)
    if isinstance(payload, np.ndarray):
        flat = payload.reshape(-1)
        return Source(payload.shape, flat if flat.dtype.kind in "biuf" else flat.tolist())
    return None


def column_sources(
    payload: object,
    find_known: Callable[[Collection[str]], Collection[str]],
    optional: Collection[str],
    problems: Problems,
    *,
    is_table: bool = True,
) -> dict[str, Source]:
    """Return the values of a JSON object with nested lists by name, or of objects with one value for each column.

    Args:
        payload: the value: an object of lists, an object that is one row, or a list of such rows.
        find_known: returns those of the names that are allowed, and adds a problem for each of the others.
        optional: the names whose value may be null.
        problems: get what else is wrong.
        is_table: whether the inputs are columns, so that rows are allowed.
    """
    if is_table and isinstance(payload, dict) and not any(isinstance(value, list) for value in payload.values()):
        payload = [payload] if any(value is not None for value in payload.values()) else payload
    if is_table and isinstance(payload, list) and payload and all(isinstance(row, dict) for row in payload):
        names = find_known(dict.fromkeys(name for row in payload for name in row))
        return {name: Source((len(payload),), [row.get(name) for row in payload]) for name in names}
    if not isinstance(payload, dict):
        problems.add(f"jsonData is {show(payload)}, not an object with a list for each input")
        return {}
    given = {name: value for name, value in payload.items() if value is not None or name not in optional}
    sources = {name: _nested_source(name, given[name], problems) for name in find_known(given)}
    return {name: source for name, source in sources.items() if source is not None}


def _nested_source(name: str, value: object, problems: Problems) -> Source | None:
    try:
        shape, leaves, _ = flatten_nested(value)
    except PayloadError as error:
        problems.add(f"input {name}: {error}")
        return None
    return Source(shape, leaves)
