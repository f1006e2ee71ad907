"""Huffman's code of HPACK (RFC 7541, appendix B) for printable ASCII, a byte at a time."""

from __future__ import annotations

from typing import Any

from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH

_PRINTABLE = range(0x20, 0x7F)
_ENDS = 256
"""The place in a row that says whether a text may end there: after less than a byte of ones, the padding."""

_Row = list[Any]  # of pairs: the next row, and the text that a byte brings to its end; None: not printable
_Node = tuple[int, int]  # the bits of a code that have been read, as a number and their count


def _prefixes(symbol: int) -> list[_Node]:
    code, length = REQUEST_CODES[symbol], REQUEST_CODES_LENGTH[symbol]
    return [(code >> length - count, count) for count in range(length)]


_SYMBOLS: dict[_Node, bytes] = {
    (REQUEST_CODES[symbol], REQUEST_CODES_LENGTH[symbol]): bytes((symbol,)) for symbol in _PRINTABLE
}
_ROWS: dict[_Node, _Row] = {node: [] for symbol in _PRINTABLE for node in _prefixes(symbol)}
_NODES = {id(row): node for node, row in _ROWS.items()}
_TEXTS: dict[bytes, bytes] = {}


def _fill(row: _Row) -> None:
    """Fill the row of a node, when it is needed for the first time: most never are."""
    start = _NODES[id(row)]
    for byte in range(256):
        (code, count), text = start, b""
        for shift in range(7, -1, -1):
            code, count = code << 1 | byte >> shift & 1, count + 1
            symbol = _SYMBOLS.get((code, count))
            if symbol is not None:
                text += symbol
                code = count = 0
        following = _ROWS.get((code, count))
        row.append(None if following is None else (following, _TEXTS.setdefault(text, text)))
    code, count = start
    row.append(count < 8 and code == (1 << count) - 1)


_ROOT = _ROWS[0, 0]
_fill(_ROOT)
_SPACE = REQUEST_CODES[0x20] << 8 - REQUEST_CODES_LENGTH[0x20], 0xFF << 8 - REQUEST_CODES_LENGTH[0x20] & 0xFF


def decode_plain(raw: bytes) -> bytes | None:
    """Return the text, which is printable ASCII; None if ``raw`` is not plain."""
    if not raw or raw[0] & _SPACE[1] == _SPACE[0]:
        return None
    text = decode_printable(raw)
    return None if text is None or text.endswith(b" ") else text


def decode_printable(raw: bytes) -> bytes | None:
    """Return the text; None if the code is malformed, or the text has a character that is not printable ASCII."""
    while True:
        row, parts = _ROOT, []
        try:
            for byte in raw:
                row, part = row[byte]
                parts.append(part)
            return b"".join(parts) if row[_ENDS] else None
        except TypeError:  # None
            return None
        except IndexError:
            _fill(row)


def is_plain(raw: bytes) -> bool:
    """Return True if ``decode_printable`` gives a text that neither is empty nor begins or ends with a space."""
    if not raw or raw[0] & _SPACE[1] == _SPACE[0]:
        return False
    while True:
        step = (_ROOT, b"")
        try:
            for byte in raw:
                step = step[0][byte]
            return step[0][_ENDS] and not step[1].endswith(b" ")
        except TypeError:  # None
            return False
        except IndexError:
            _fill(step[0])
