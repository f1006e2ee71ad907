"""The style of JSON text, from Flask's settings, and the writer for responses and errors.

Flask 2.3 stopped reading these settings; they still take effect here (contract section 7.2).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from seldon_spec.config.model import FlaskSpec
from seldon_spec.errors import UnwritableResult
from seldon_spec.inference.json_default import plain_tree, plain_value


@dataclass(frozen=True, slots=True)
class JsonStyle:
    """The form of a JSON text.

    Attributes:
        sort_keys: whether the members of every object are sorted.
        ascii: whether other characters are written as escapes.
        indent: spaces a level; None for one line without spaces.
        mimetype: the media type of a response in this style.
    """

    sort_keys: bool = True
    ascii: bool = True
    indent: int | None = None
    mimetype: str = "application/json"

    @classmethod
    def from_flask(cls, flask: FlaskSpec) -> JsonStyle:
        """Return the style that Flask 2.2 would have read from these settings."""
        return cls(
            sort_keys=flask.JSON_SORT_KEYS,
            ascii=flask.JSON_AS_ASCII,
            indent=2 if flask.JSONIFY_PRETTYPRINT_REGULAR or flask.DEBUG else None,
            mimetype=flask.JSONIFY_MIMETYPE,
        )


@lru_cache(maxsize=8)
def _encoder(style: JsonStyle) -> json.JSONEncoder:
    return json.JSONEncoder(
        default=_plain_value,
        ensure_ascii=style.ascii,
        indent=style.indent,
        separators=(",", ":") if style.indent is None else (",", ": "),
        sort_keys=style.sort_keys,
    )


def _plain_value(value: object) -> Any:
    if isinstance(value, Iterator):  # it can be read only once, but the text may be written a second time
        raise TypeError("an iterator")
    return plain_value(value)


def write_json(value: object, style: JsonStyle) -> bytes:
    """Write a value in a style, with a final line break; NaN and Infinity are bare words (contract section 2.3).

    Raises:
        UnwritableResult: something in it has no form in JSON.
    """
    return write_part(value, style) + b"\n"


def write_part(value: object, style: JsonStyle) -> bytes:
    """Write a value without the line break: a part of a larger text in a style without indents.

    Raises:
        UnwritableResult: something in it has no form in JSON.
    """
    encoder = _encoder(style)
    try:
        try:
            text = encoder.encode(value)
        except TypeError:  # an iterator, or keys that are no text or cannot be sorted
            text = encoder.encode(plain_tree(value))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise UnwritableResult(str(error)) from error
    # half a surrogate pair has no UTF-8; Python's name for it is JSON's escape for it
    return text.encode("utf-8", "backslashreplace")
