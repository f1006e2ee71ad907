"""Requests and responses of Seldon's protocol whose numbers are copied as text.

A row of a CSV file is, without its brackets, a row of a JSON array; so is a row of the response. Text that is neither
read into numbers nor written again is three times as fast, and keeps every digit.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from seldon_spec.batch.predictions import Predictions

_START = b'{"data":{'
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


def read_response(body: bytes, count: int) -> Predictions | None:
    """Return the predictions of a response; None: it has another form than an array of numbers with a row for each.

    Args:
        body: of the response.
        count: how many rows the request has.
    """
    start = body.find(_ARRAY)
    names = _read_names(body[:start])
    if start < 0 or names is None:
        return None
    start += len(_ARRAY)
    is_flat = body[start : start + 1] != b"["
    end = body.rfind(
        b"]" if is_flat else b"]]"
    )  # of the meta, if that has such brackets: then the text is none of numbers
    text = body[start + (not is_flat) : end]
    rest = text.translate(None, _NUMBER)
    if is_flat:
        rows = text.split(b",")
        return (
            Predictions(names, None, texts=rows)
            if end >= start and rest == b"," * (count - 1) and len(rows) == count
            else None
        )
    width = rest.find(b"]") + 1 if count > 1 else len(rest) + 1
    if end < start or not text or b",," in text or rest + b"],[" != (b"," * (width - 1) + b"],[") * count:
        return None
    return Predictions(names, width, texts=text.split(b"],["))


def _read_names(head: bytes) -> list[str] | None:
    """Return the names before the array of a response; None: it begins with anything else."""
    if not head.startswith(_START):
        return None
    if head == _START:
        return []
    try:
        found = orjson.loads(head.removeprefix(b'{"data":').removesuffix(b",") + b"}")
    except orjson.JSONDecodeError:
        return None
    names = found.get("names")
    return list(map(str, names)) if set(found) == {"names"} and isinstance(names, list) else None
