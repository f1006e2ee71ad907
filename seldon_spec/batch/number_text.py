"""Requests and responses of Seldon's protocol whose numbers are copied as text.

A row of a CSV file is, without its brackets, a row of a JSON array; so is a row of the response. Text that is neither
read into numbers nor written again is three times as fast, and keeps every digit.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from seldon_spec.batch.predictions import Predictions
from seldon_spec.inference.arrays import Array
from seldon_spec.protocols.json_numbers import NotPlain, read_array

_ARRAY = b'"ndarray":['
_NUMBER = b"0123456789.-+eE"


def write_request(names: Sequence[str], rows: Sequence[bytes]) -> bytes:
    """Return a request.

    Args:
        names: of the columns; empty: none.
        rows: each the JSON text of numbers, separated by commas.
    """
    head = b'{"data":{"names":%b,"ndarray":[[' % orjson.dumps(list(names)) if names else b'{"data":{"ndarray":[['
    return b"%b%b]]}}" % (head, b"],[".join(rows))


def read_rows(rows: Sequence[bytes]) -> Array | None:
    """Return the array of rows; None: they are no JSON, or have no common length.

    Args:
        rows: each the JSON text of numbers, separated by commas.
    """
    text = b"[[%b]]}" % b"],[".join(rows)
    try:
        return read_array(memoryview(text), 0)[0]
    except (NotPlain, ValueError, TypeError, RuntimeError):
        return None


def read_response(body: bytes, count: int) -> Predictions | None:
    """Return the predictions of a response; None: it has another form than an array of numbers with a row for each.

    Args:
        body: of the response.
        count: how many rows the request has.
    """
    start = body.find(_ARRAY) + len(_ARRAY)
    if start < len(_ARRAY):
        return None
    is_flat = body[start : start + 1] != b"["
    # the last brackets may be those of another member: then the text is not one of numbers
    end = body.find(b"]", start) if is_flat else body.rfind(b"]]") + 1
    if end < start:
        return None
    text = body[start:end] if is_flat else body[start + 1 : end - 1]
    marks = text.translate(None, _NUMBER)
    row = b"" if is_flat else marks.partition(b"]")[0]
    if not text or b",," in text or row.strip(b",") or marks != (b"," if is_flat else b"],[").join([row] * count):
        return None
    names = _read_names(body[: start - 1], body[end + 1 :])
    if names is None:
        return None
    if is_flat:
        return Predictions(names, None, texts=text.split(b","))
    texts = text.split(b"],[")
    return Predictions(names, len(row) + 1, texts=texts) if all(texts) else None


def _read_names(head: bytes, tail: bytes) -> list[str] | None:
    """Return the names of the columns; None: the array was not that of the message, or its names are no text.

    Args:
        head: the text of the message before the array.
        tail: the text behind it.
    """
    try:
        data = orjson.loads(b"%bnull%b" % (head, tail))["data"]
        names = data.get("names", []) if data["ndarray"] is None else None
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return None
    return names if isinstance(names, list) and all(isinstance(name, str) for name in names) else None
