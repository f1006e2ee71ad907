"""The text of a request to a JSON value: by ``json``, or more quickly where the outcome is certain to be the same.

``read_plain`` is the rule. A short text is read by orjson, unless it holds what orjson reads in another way. In a long
one the array of numbers, if there is one, is read without a Python object for each number; the rest by ``json``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import orjson

from seldon_spec.errors import PayloadError
from seldon_spec.inference.arrays import Array

Text: TypeAlias = "bytes | bytearray | memoryview | str"

SHORT_BYTES = 4096
"""Up to this length lists of numbers cost less than the way around them."""

_PIECE_BYTES = 1 << 18  # what is parsed at once, so that no parser ever holds much memory
_HEAD_BYTES = 1 << 16  # how far into a text the array is looked for

_MOST_OPENINGS = (
    500  # a text with more brackets may be nested more deeply than json's limit, which orjson does not share
)
_LONGEST_EXACT = 18  # digits; orjson makes floats of integers beyond 64 bits
_DIGITS_AS_ZERO = bytes(0x30 if 0x30 <= byte <= 0x39 else byte for byte in range(256))
_LONG_INTEGER = re.compile(rb"(?<![.\d])\d{19}")

_ARRAY = re.compile(rb'"(?:ndarray|values)"[ \t\r\n]*:[ \t\r\n]*(?=\[)')
_TABLE = re.compile(rb"\[[ \t\r\n]*\[")
_NUMBER_BYTES = b"0123456789+-.eE \t\r\n"
_LONG_ROW_BYTES = 256


class _NotPlain(Exception):
    """The text is left to ``read_plain``."""


def read_plain(wire: Text) -> Any:
    """Parse a text in UTF-8, UTF-16 or UTF-32; integers are whole, NaN and Infinity may be bare words.

    Raises:
        PayloadError: it is no JSON.
    """
    try:
        return json.loads(_decode(wire))
    except RecursionError as error:
        raise PayloadError("Can't find JSON in data: it is nested too deeply") from error
    except ValueError as error:  # not in its encoding, no JSON, or an integer of thousands of digits
        raise PayloadError(f"Can't find JSON in data: {error}") from error


def read_short(wire: Text) -> Any:
    """What ``read_plain`` gives, for a text of a few thousand characters.

    Raises:
        PayloadError: it is no JSON.
    """
    try:
        text = wire.encode() if isinstance(wire, str) else bytes(wire)
        return orjson.loads(text) if _is_read_alike(text) else read_plain(wire)
    except ValueError:  # json takes more: NaN, half surrogate pairs, a byte order mark
        return read_plain(wire)


def _is_read_alike(text: bytes) -> bool:
    if b"0" * (_LONGEST_EXACT + 1) in text.translate(_DIGITS_AS_ZERO) and _LONG_INTEGER.search(text):
        return False
    return text.count(b"[") + text.count(b"{") <= _MOST_OPENINGS


def _decode(wire: Text) -> str:
    if isinstance(wire, str):
        return wire
    return str(wire, json.detect_encoding(bytes(wire[:4])))


def read_with_array(wire: Text) -> Any:
    """What ``read_plain`` gives, but with an array of numbers where ``data.ndarray`` or ``data.tensor.values`` stands.

    Args:
        wire: a message; a long one, or this is no gain.

    Returns:
        The message. The array is writable, of the type that ``numpy.array`` gives to the list. None: there is no array
        of one or two dimensions that holds numbers and nothing else, or the text is no JSON.
    """
    if isinstance(wire, str):
        return None
    view = memoryview(wire)
    found = _ARRAY.search(view, 0, _HEAD_BYTES)
    if found is None:
        return None
    try:
        array, end = _read_array(view, found.end())
        return _read_around(view, found.end(), end, array)
    except (_NotPlain, ValueError, TypeError, RuntimeError):  # the latter three are the parsers'
        return None


def _read_around(view: memoryview, start: int, end: int, array: Array) -> Any:
    """The message with the array in the place of the text that it was read from.

    The text is replaced by a NaN. If that is the only one in the message, and stands where the contract has the array,
    then nothing was replaced that was no value, or that another member of the same name stands above.
    """
    holes: list[str] = []

    def fill(name: str) -> Array:
        holes.append(name)
        return array

    tree = json.loads(_decode(b"".join((view[:start], b"NaN", view[end:]))), parse_constant=fill)
    data = tree.get("data") if isinstance(tree, dict) else None
    if len(holes) != 1 or not isinstance(data, dict):
        raise _NotPlain
    tensor = data.get("tensor")
    if data.get("ndarray") is not array and not (isinstance(tensor, dict) and tensor.get("values") is array):
        raise _NotPlain
    return tree


def _read_array(view: memoryview, start: int) -> tuple[Array, int]:
    """The array whose text begins at a place, and where that text ends."""
    from simdjson import Parser  # not at the top: a server that is sent short messages needs it not

    is_table = _TABLE.match(view, start) is not None
    parser, width, end = Parser(), 0, start
    numbers = _Numbers((len(view) - start) // 2)  # a number and what follows it are two characters at least
    for text, place in _cut(view, start + 1, is_table=is_table):
        rows, part = _read_numbers(parser, text)
        if is_table:
            width = width or len(rows[0])
            count = width * _count_rows(rows, text, width)
        else:  # a list without lists, for it ends with the first bracket
            count = _count(text, b",") + 1
        del rows  # the parser takes nothing new as long as somebody has what it has read
        if part.size != count:  # simdjson takes empty lists, and has nothing for them
            raise _NotPlain
        numbers.add(part)
        end = place
    flat = numbers.finish()
    return flat.reshape(-1, width) if is_table else flat, end


class _Numbers:
    """Numbers that come in pieces, in one block; integers as long as there are no others.

    The block is made with the second piece, for the most that there can be: what is never written to takes no memory,
    and the rest is given back at the end.
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
            kind = np.result_type(part, self._block)
            earlier, self._block = self._block, np.empty(self._most, kind)
            self._block[:before] = earlier[:before]
        self._block[before : self._count] = part

    def finish(self) -> Array:
        """The numbers, in a block of their own."""
        if self._block.size == self._count:
            return np.array(self._block)
        self._block.resize(self._count, refcheck=False)
        return self._block


def _cut(view: memoryview, at: int, *, is_table: bool) -> Iterator[tuple[bytes, int]]:
    """Whole rows, or numbers, in pieces of a handy size, each with the place after it.

    Where a list is not as it should be the cuts may go wrong, but then the pieces are not what they should be either.
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
    raise _NotPlain


def _find_last(piece: bytes) -> int:
    """The bracket that closes a table: the last one before whatever comes after it; -1 if that is not here."""
    stops = [stop for stop in (piece.find(b'"'), piece.find(b"}")) if stop >= 0]
    return piece.rfind(b"]", 0, min(stops)) if stops else -1


def _count_rows(rows: Any, text: bytes, width: int) -> int:
    """How many rows a piece has, all of them lists of ``width`` values and of nothing deeper."""
    count = _count(text, b"[")
    if width < 1 or count != len(rows):
        raise _NotPlain
    if count * _LONG_ROW_BYTES < len(text):  # so few that each can be asked
        is_even = all(len(row) == width for row in rows)
    else:
        row = b"[" + b"," * (width - 1) + b"]"
        is_even = text.translate(None, _NUMBER_BYTES) == b",".join([row] * count)
    if not is_even:
        raise _NotPlain
    return count


def _count(text: bytes, mark: bytes) -> int:
    """How often a mark is in a text; many times quicker than ``text.count``, which looks at each byte by itself."""
    return int(np.count_nonzero(np.frombuffer(text, np.uint8) == ord(mark)))


def _read_numbers(parser: Any, text: bytes) -> tuple[Any, Array]:
    """A piece as the parser has it, and its numbers: whole ones as integers, as in numpy, and of a mixture floats.

    Raises:
        Exception: one of simdjson's; also for integers that only an array of objects can hold.
    """
    is_whole = not any(mark in text for mark in (b".", b"e", b"E"))
    values = parser.parse(b"[%b]" % text)
    numbers = values.as_buffer(of_type="i" if is_whole else "d")
    return values, np.frombuffer(numbers, np.int64 if is_whole else np.float64)
