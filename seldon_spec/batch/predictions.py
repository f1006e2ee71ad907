"""The predictions for the rows of one request."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson

from seldon_spec.inference.arrays import Array

PREDICTION = "prediction"
"""The column of the output for predictions without names, with a number behind it if there are several."""

_DEFAULT_NAME = re.compile(r"t:\d+")
"""What Seldon's protocol names columns that have no names."""


class NotByRow(ValueError):
    """A response has no prediction for each row of its request."""


class Predictions:
    """A prediction for each row.

    Args:
        names: of the values of a prediction; empty: they have none.
        width: how many values a prediction has; None: it is one value.
        texts: each prediction as the JSON text of numbers, separated by commas; None: from ``values``.
        values: an array with a row for each prediction, or a list of predictions; None: from ``texts``.
    """

    __slots__ = ("_texts", "_values", "names", "width")

    def __init__(
        self,
        names: Sequence[str],
        width: int | None,
        texts: list[bytes] | None = None,
        values: Array | list[Any] | None = None,
    ) -> None:
        self.names = list(names) if width is not None and len(names) == width and not _are_default(names) else []
        if width is None and len(names) == 1 and not _are_default(names):
            self.names = list(names)
        self.width = width
        self._texts = texts
        self._values = values

    def __len__(self) -> int:
        found = self._texts if self._values is None else self._values
        return 0 if found is None else len(found)

    def to_texts(self, missing: bytes = b"null") -> list[bytes] | None:
        """Return each prediction as the JSON text of numbers, separated by commas; None: they are no numbers.

        Args:
            missing: the text for NaN and infinity, which JSON does not have.
        """
        if self._texts is None and isinstance(self._values, np.ndarray) and self._values.dtype.kind in "iuf":
            return _write_numbers(self._values, missing)
        return self._texts

    def to_array(self) -> Array | None:
        """Return the predictions as an array of numbers with a row for each; None: they are no numbers."""
        if isinstance(self._values, np.ndarray):
            return self._values if self._values.dtype.kind in "iufb" else None
        if self._texts is not None:
            return np.array(orjson.loads(b"[[" + b"],[".join(self._texts) + b"]]"))
        array = np.array(self._values) if self._values else None
        return array if array is not None and array.dtype.kind in "iufb" else None

    def to_records(self) -> list[list[Any]]:
        """Return the values of each prediction: numbers, text, truth values, None, lists or objects."""
        if self._values is None:
            return list(orjson.loads(b"[[" + b"],[".join(self._texts or ()) + b"]]")) if self._texts else []
        values = self._values.tolist() if isinstance(self._values, np.ndarray) else self._values
        return [[_to_json(value)] for value in values] if self.width is None else [_to_json(row) for row in values]

    def list_columns(self, taken: Sequence[str]) -> list[str]:
        """Return the names of the columns of the output.

        Args:
            taken: the names of the columns of the input; a prediction with such a name gets another.
        """
        width = 1 if self.width is None else self.width
        names = self.names or [PREDICTION if width == 1 else f"{PREDICTION}_{index}" for index in range(width)]
        found: list[str] = []
        for name in names:
            unique = name if name not in taken and name not in found else f"{PREDICTION}_{name}"
            while unique in taken or unique in found:
                unique += "_"
            found.append(unique)
        return found


def read_value(value: Any, names: Sequence[str], count: int) -> Predictions:
    """Return the predictions of a response.

    Args:
        value: of the response: an array, a list, text, bytes or any other JSON value.
        names: of its columns.
        count: how many rows the request has; the response to one row may be anything.

    Raises:
        NotByRow: there is no prediction for each row.
    """
    if isinstance(value, np.ndarray) and value.ndim and len(value) == count:
        if value.ndim == 1:
            return Predictions(names, None, values=value)
        if value.ndim == 2:
            return Predictions(names, value.shape[1], values=value)
        return Predictions((), None, values=value.tolist())
    if isinstance(value, (list, tuple)) and len(value) == count:
        rows = list(value)
        widths = {len(row) if isinstance(row, (list, tuple)) else None for row in rows}
        if len(widths) == 1 and (width := widths.pop()) is not None:
            return Predictions(names, width, values=rows)
        return Predictions(names, None, values=rows)
    if count == 1:
        return Predictions(names, None, values=[value])
    raise NotByRow(f"the response has {_describe(value)} for {count} rows")


def _are_default(names: Sequence[str]) -> bool:
    return all(_DEFAULT_NAME.fullmatch(name) for name in names)


def _write_numbers(array: Array, missing: bytes) -> list[bytes]:
    """Return each row of an array of one or two dimensions as the JSON text of its numbers."""
    if not array.size:
        return [b""] * len(array)
    plain = (
        array if array.dtype.itemsize in (4, 8) else array.astype(np.float64 if array.dtype.kind == "f" else np.int64)
    )
    text = orjson.dumps(np.ascontiguousarray(plain), option=orjson.OPT_SERIALIZE_NUMPY).replace(b"null", missing)
    return text[1:-1].split(b",") if array.ndim == 1 else text[2:-2].split(b"],[")


def _to_json(value: Any) -> Any:
    """Return a value with JSON's types: arrays as lists, bytes as base64."""
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    if isinstance(value, np.ndarray):
        return _to_json(value.tolist())
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (list, tuple)):
        return [_to_json(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _to_json(item) for key, item in value.items()}
    return value


def _describe(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of shape {list(value.shape)}"
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)} values"
    return f"one value of type {type(value).__name__}"
