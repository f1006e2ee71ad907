"""The Huffman code of HPACK (RFC 7541, appendix B) for printable ASCII, decoded byte by byte."""

from __future__ import annotations

from typing import Any

from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH

_PRINTABLE = range(0x20, 0x7F)
_ENDS = 256
"""The index in a row of whether a text may end there: the padding is less than a byte of ones."""

_ROW = 256
"""The index of the row in the steps of a node."""

_Row = list[Any]  # of pairs: the next row, and the text that a byte brings to its end; None: not printable
_Node = tuple[int, int]  # the bits of a code that have been read, as a number and their count


def _prefixes(symbol: int) -> list[_Node]:
    code, length = REQUEST_CODES[symbol], REQUEST_CODES_LENGTH[symbol]
    return [(code >> length - count, count) for count in range(length)]


_SYMBOLS: dict[_Node, bytes] = {
    (REQUEST_CODES[symbol], REQUEST_CODES_LENGTH[symbol]): bytes((symbol,)) for symbol in _PRINTABLE
}
_ROWS: dict[_Node, _Row] = {node: [] for symbol in _PRINTABLE for node in _prefixes(symbol)}
_STEPS: dict[_Node, list[Any]] = {node: [] for node in _ROWS}  # the same without the texts, which are not always needed
_VISIBLE: dict[_Node, list[Any]] = {node: [] for node in _ROWS}  # the steps of texts without spaces, and their ends
_NODES = {id(each): node for of_nodes in (_ROWS, _STEPS, _VISIBLE) for node, each in of_nodes.items()}
_TEXTS: dict[bytes, bytes] = {}


def _fill(empty: list[Any]) -> None:
    """Fill the row and the steps of a node, when one of them is needed for the first time; most never are.

    Each is filled at once, since several threads may call this.
    """
    start = _NODES[id(empty)]
    row: _Row = []
    steps: list[Any] = []
    visible: list[Any] = []
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
        steps.append(_STEPS.get((code, count)))
        visible.append(None if b" " in text else _VISIBLE.get((code, count)))
    code, count = start
    row.append(count < 8 and code == (1 << count) - 1)
    steps.append(_ROWS[start])
    visible.append(row[_ENDS])
    _ROWS[start][:], _STEPS[start][:], _VISIBLE[start][:] = row, steps, visible


_ROOT, _START, _VISIBLE_START = _ROWS[0, 0], _STEPS[0, 0], _VISIBLE[0, 0]
_fill(_ROOT)
_SPACE = 0x20
_SPACE_BITS = REQUEST_CODES[_SPACE] << 8 - REQUEST_CODES_LENGTH[_SPACE]
_SPACE_MASK = 0xFF << 8 - REQUEST_CODES_LENGTH[_SPACE] & 0xFF


def decode_plain(raw: bytes) -> bytes | None:
    """Return the text, which is printable ASCII; None if ``raw`` is not plain."""
    text = decode_printable(raw)
    return None if not text or text[0] == _SPACE or text[-1] == _SPACE else text


def decode_printable(raw: bytes) -> bytes | None:
    """Return the text; None if the code is malformed, or the text has a character that is not printable ASCII."""
    while True:
        step = _ROOT, b""
        try:
            text = b"".join([(step := step[0][byte])[1] for byte in raw])
            return text if step[0][_ENDS] else None
        except TypeError:  # None
            return None
        except IndexError:
            _fill(step[0])


def is_plain(raw: bytes) -> bool:
    """Return True if ``decode_printable`` gives a text that neither is empty nor begins or ends with a space."""
    if not raw or raw[0] & _SPACE_MASK == _SPACE_BITS:
        return False
    while True:
        row = _START
        try:
            for byte in raw[:-1]:
                row = row[byte]
            row = row[_ROW]
            row, text = row[raw[-1]]
            return row[_ENDS] and not text.endswith(b" ")
        except TypeError:  # None
            return False
        except IndexError:
            _fill(row)


def is_visible(raw: bytes) -> bool:
    """Return True if ``decode_printable`` gives a text that neither is empty nor has a space."""
    while True:
        row = _VISIBLE_START
        try:
            for byte in raw:
                row = row[byte]
            return bool(raw) and row[_ENDS]
        except TypeError:  # None
            return False
        except IndexError:
            _fill(row)
