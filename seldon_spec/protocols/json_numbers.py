"""Lists of numbers in JSON text to arrays, by simdjson: without a Python object for each number.

The result is that of ``json`` and ``numpy.array``; text that other parsers read differently is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np

from seldon_spec.inference.arrays import Array

Text: TypeAlias = "bytes | bytearray | memoryview | str"

SHORT_BYTES = 4096
"""Up to this length lists of numbers cost less than reading the array separately."""

_PIECE_BYTES = 1 << 18  # parsed at once, to limit the memory of a parser

_MOST_OPENINGS = 500  # a text with more brackets may exceed json's limit of nesting, which orjson does not have
_LONGEST_EXACT = 18  # digits; orjson makes floats of integers beyond 64 bits
_DIGITS_AS_ZERO = bytes(0x30 if 0x30 <= byte <= 0x39 else byte for byte in range(256))
_LONG_INTEGER = re.compile(rb"(?<![.\d])\d{19}")

_TABLE = re.compile(rb"\[[ \t\r\n]*\[")
_NUMBER_BYTES = b"0123456789+-.eE \t\r\n"
_LONG_ROW_BYTES = 256


class NotPlain(Exception):
    """Only ``json`` can read the text."""


def decode_text(wire: Text) -> str:
    """Return a JSON text in UTF-8, UTF-16 or UTF-32 as a string.

    Raises:
        ValueError: it is not in its encoding.
    """
    if isinstance(wire, str):
        return wire
    return str(wire, json.detect_encoding(bytes(wire[:4])))


def is_orjson_exact(text: bytes) -> bool:
    """Return whether orjson reads a text as ``json`` does, or refuses it."""
    if b"0" * (_LONGEST_EXACT + 1) in text.translate(_DIGITS_AS_ZERO) and _LONG_INTEGER.search(text):
        return False
    return len(text) <= _MOST_OPENINGS or text.count(b"[") + text.count(b"{") <= _MOST_OPENINGS


def read_array(view: memoryview, start: int) -> tuple[Array, int]:
    """Return the array whose text begins at a position, and the position after the text.

    Raises:
        Exception: NotPlain, ValueError, TypeError or RuntimeError: it is no list, or list of equally long lists, that
            holds numbers and nothing else.
    """
    from simdjson import Parser  # not at the top: short messages need no simdjson

    is_table = _TABLE.match(view, start) is not None
    parser, width, end = Parser(), 0, start
    numbers = _Numbers((len(view) - start) // 2)  # a number and its separator have at least two characters
    for text, place in _cut(view, start + 1, is_table=is_table):
        rows, part = _read_numbers(parser, text)
        if is_table:
            width = width or len(rows[0])
            count = width * _count_rows(rows, text, width)
        else:  # a list without lists: it ends with the first bracket
            count = _count(text, b",") + 1
        del rows  # the parser can be reused only without references to its last result
        if part.size != count:  # simdjson skips empty lists
            raise NotPlain
        numbers.add(part)
        end = place
    flat = numbers.finish()
    return flat.reshape(-1, width) if is_table else flat, end


class _Numbers:
    """Collects pieces of numbers in one array; of integers as long as there are no others.

    The array is allocated with the second piece, for the maximum count: pages that are never written take no memory,
    and the end is released at last.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._count = 0
        self._block: Array = np.empty(0, np.int64)

    def add(self, part: Array) -> None:
        before, self._count = self._count, self._count + part.size
        if not before:
            self._block = part
            return
        if self._count > self._block.size or part.dtype == np.float64 != self._block.dtype:
            dtype = np.result_type(part, self._block)
            earlier, self._block = self._block, np.empty(self._most, dtype)
            self._block[:before] = earlier[:before]
        self._block[before : self._count] = part

    def finish(self) -> Array:
        """Return the numbers as an array that owns its memory."""
        if self._block.size == self._count:
            return np.array(self._block)
        self._block.resize(self._count, refcheck=False)
        return self._block


def _cut(view: memoryview, at: int, *, is_table: bool) -> Iterator[tuple[bytes, int]]:
    """Yield pieces of whole rows, or numbers, of limited size, each with the position after it.

    If the list is malformed, a cut may be at a wrong position; then the pieces are malformed as well.
    """
    size = _PIECE_BYTES
    while at < len(view):
        piece = bytes(view[at : at + size])
        last = _find_last(piece) if is_table else piece.find(b"]")
        if last >= 0:
            yield piece[:last], at + last + 1
            return
        cut = piece.rfind(b",", 0, max(piece.rfind(b"["), 0) if is_table else None)
        if cut >= 0:
            yield piece[:cut], at + cut
            at += cut + 1
        elif at + size >= len(view):
            break
        else:  # a row that is longer than a piece
            size *= 2
    raise NotPlain


def _find_last(piece: bytes) -> int:
    """Return the position of the last bracket before the next member, which closes the table; -1 if it is absent."""
    stops = [stop for stop in (piece.find(b'"'), piece.find(b"}")) if stop >= 0]
    return piece.rfind(b"]", 0, min(stops)) if stops else -1


def _count_rows(rows: Any, text: bytes, width: int) -> int:
    """Return the count of rows in a piece; each has to be a list of ``width`` numbers."""
    count = _count(text, b"[")
    if width < 1 or count != len(rows):
        raise NotPlain
    if count * _LONG_ROW_BYTES < len(text):  # few rows: check each
        is_even = all(len(row) == width for row in rows)
    else:
        row = b"[" + b"," * (width - 1) + b"]"
        is_even = text.translate(None, _NUMBER_BYTES) == b",".join([row] * count)
    if not is_even:
        raise NotPlain
    return count


def _count(text: bytes, mark: bytes) -> int:
    """Return how often a byte is in a text; many times faster than ``text.count``."""
    return int(np.count_nonzero(np.frombuffer(text, np.uint8) == ord(mark)))


def _read_numbers(parser: Any, text: bytes) -> tuple[Any, Array]:
    """Return the parser's form of a piece, and its numbers: integers, or floats if one of them is a float.

    Raises:
        Exception: one of simdjson's; also for integers that only an array of objects can hold.
    """
    is_whole = not any(mark in text for mark in (b".", b"e", b"E"))
    values = parser.parse(b"[%b]" % text)
    numbers = values.as_buffer(of_type="i" if is_whole else "d")
    return values, np.frombuffer(numbers, np.int64 if is_whole else np.float64)
