"""Arrays of numbers between numpy and the bytes of a SeldonMessage, without the protobuf library.

Only what protobuf's own writers produce is read: each member once, numbers packed, lengths in their shortest form. For
anything else the result is None, and protobuf reads or refuses it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from io import BytesIO
from typing import Any, TypeAlias

import numpy as np

from seldon_spec.inference.arrays import Array, array_from_tensor, cached_by_width, default_names, own_array
from seldon_spec.inference.message import Message, PayloadType
from seldon_spec.protocols.protobuf_wire import (
    SHORT_BYTES,
    KnownHeads,
    NotPlain,
    iter_members,
    read_varint,
    write_varint,
)
from seldon_spec.protocols.seldon_v1.array_encoding import ArrayEncoding

Wire: TypeAlias = bytes | memoryview

# A member's tag: its field number times 8, plus 2 for values with a length.
_META, _DATA = 0x12, 0x1A  # of a SeldonMessage
_NAME, _TENSOR, _NDARRAY = 0x0A, 0x12, 0x1A  # of DefaultData
_SHAPE, _VALUES = 0x0A, 0x12  # of a Tensor
_PUID = 0x0A  # of Meta

_MARK = b"\x0a\x09\x11"  # precedes each double in a ListValue: a Value of 9 bytes, its number_value
_NUMBER = _MARK + bytes(8)

_BLOCK_BYTES = 1 << 18  # of a ListValue, processed at once
_FEW = SHORT_BYTES // 8

_heads: KnownHeads[tuple[tuple[str, ...], tuple[int, ...]]] = KnownHeads()
"""The names and the shape of messages that hold a tensor and no ``meta``."""


def read_message(wire: Wire, read_meta: Callable[[Wire], dict[str, Any]]) -> Message | None:
    """Read a SeldonMessage that holds a tensor, or a list of numbers or of rows of numbers.

    Args:
        wire: the message.
        read_meta: reads a Meta; called before the array is read.

    Returns:
        The message; its array is writable, and a view of the message only if that is. None: it holds anything else.

    Raises:
        PayloadError: the tensor's shape does not fit its values.
    """
    known = _heads.find(wire)
    if known is not None:
        start, (names, shape) = known
        values = np.frombuffer(wire, "<f8", -1, start).astype(np.float64)
        return Message(PayloadType.ARRAY, values.reshape(shape), list(names), {}, ArrayEncoding.TENSOR)
    try:
        members = _read_members(wire, 0, len(wire))
        meta = wire[slice(*members.pop(_META, (0, 0)))]
        data = members.pop(_DATA, None)
        if data is None or members:
            return None
        return _read_data(wire, *data, _read_meta(meta, read_meta), keeps_head=not meta)
    except (
        NotPlain,
        IndexError,
        UnicodeDecodeError,
    ):  # IndexError: the end is missing; UnicodeDecodeError: a name is no text
        return None


def _read_meta(meta: Wire, read_meta: Callable[[Wire], dict[str, Any]]) -> dict[str, Any]:
    if not meta:
        return {}
    if meta[0] == _PUID and meta[1] == len(meta) - 2 <= 0x7F:  # nothing but the puid, as the executor sends it
        return {"puid": bytes(meta[2:]).decode()} if meta[1] else {}
    return read_meta(meta)


def _read_members(wire: Wire, at: int, end: int) -> dict[int, tuple[int, int]]:
    """Return start and end of each member by its tag; a repeated member is refused."""
    members: dict[int, tuple[int, int]] = {}
    for tag, start, stop, _ in iter_members(wire, at, end):
        if tag in members:
            raise NotPlain
        members[tag] = start, stop
    return members


def _read_data(wire: Wire, at: int, end: int, meta: dict[str, Any], *, keeps_head: bool) -> Message:
    names: list[str] = []
    place: tuple[int, int, int] | None = None
    for tag, start, stop, _ in iter_members(wire, at, end):
        if tag == _NAME:
            names.append(bytes(wire[start:stop]).decode())
        elif tag in (_TENSOR, _NDARRAY) and place is None:
            place = tag, start, stop
        else:
            raise NotPlain
    if place is None:
        raise NotPlain
    if place[0] == _TENSOR:
        array, first = _read_tensor(wire, *place[1:])
        if keeps_head and first + array.nbytes == len(wire):
            _heads.add(wire, first, (tuple(names), array.shape))
        return Message(PayloadType.ARRAY, array, names, meta, ArrayEncoding.TENSOR)
    return Message(PayloadType.ARRAY, _read_list(wire, *place[1:]), names, meta, ArrayEncoding.NDARRAY)


def _read_tensor(wire: Wire, at: int, end: int) -> tuple[Array, int]:
    """Return the array of a Tensor, and the position of its values."""
    members = _read_members(wire, at, end)
    if members.keys() != {_SHAPE, _VALUES}:
        raise NotPlain
    shape = _read_shape(wire, *members[_SHAPE])
    start, stop = members[_VALUES]
    count, rest = divmod(stop - start, 8)
    if rest or not count or not shape:
        raise NotPlain
    values = own_array(np.frombuffer(wire, "<f8", count, start)).astype(np.float64, copy=False)
    return array_from_tensor(values, shape, may_infer=False), start


def _read_shape(wire: Wire, at: int, end: int) -> list[int]:
    shape: list[int] = []
    while at < end:
        size, at = read_varint(wire, at)
        shape.append(size)
    if at > end:
        raise NotPlain
    return shape


def _read_list(wire: Wire, at: int, end: int) -> Array:
    if bytes(wire[at : min(end, at + len(_MARK))]) == _MARK:
        return _read_rows(wire, at, end, _NUMBER, 1).reshape(-1)
    _, start = read_varint(wire, at + 1)  # after the tags of the first Value, and of its list
    size, _ = read_varint(wire, start + 1)
    width = size // len(_NUMBER)
    if not 0 < size <= end - at or not width:
        raise NotPlain
    return _read_rows(wire, at, end, _row(width), width)


def _read_rows(wire: Wire, at: int, end: int, row: bytes, width: int) -> Array:
    """Read the numbers of rows that all have the form of ``row``.

    The rows are written again and compared with the input, which verifies every byte between the numbers.
    """
    count, rest = divmod(end - at, len(row))
    if rest or not count:
        raise NotPlain
    array = np.empty((count, width))
    for first, part in _blocks(array, row):
        start = at + first * len(row)
        sent = bytes(wire[start : start + len(part) * len(row)])
        part[...] = _numbers_in(sent, part.shape, row)
        if _write_rows(part, row) != sent:
            raise NotPlain
    return array


def _blocks(array: Array, row: bytes) -> Iterator[tuple[int, Array]]:
    """Yield blocks of rows of limited size, each with the index of its first row."""
    step = max(1, _BLOCK_BYTES // len(row))
    for first in range(0, len(array), step):
        yield first, array[first : first + step]


def _numbers_in(text: bytes | bytearray, shape: tuple[int, ...], row: bytes) -> Array:
    """Return a view of the doubles in the bytes of rows."""
    before = len(row) - shape[1] * len(_NUMBER) + len(_MARK)
    numbers: Array = np.ndarray(shape, "<f8", text, before, (len(row), len(_NUMBER)))
    return numbers


def _write_rows(array: Array, row: bytes) -> bytearray:
    text = bytearray(row) * len(array)
    if array.size:
        _numbers_in(text, array.shape, row)[...] = array
    return text


@cached_by_width
def _row(width: int) -> bytes:
    """Return a row of zeros as a Value in a ListValue."""
    numbers = _NUMBER * width
    listed = b"\x32" + write_varint(len(numbers)) + numbers
    return b"\x0a" + write_varint(len(listed)) + listed


def write_message(message: Message, write_meta: Callable[[dict[str, Any] | None], bytes]) -> Sequence[Wire] | None:
    """Write an array of numbers as the SeldonMessage that protobuf writes.

    Args:
        message: any message; the encoding of an array is set.
        write_meta: encodes its ``meta``.

    Returns:
        The parts of the bytes; None: it is no tensor and no list of numbers or of rows of numbers.
    """
    array, encoding = message.payload, message.encoding
    if type(array) is not np.ndarray or encoding is ArrayEncoding.TFTENSOR:  # a subclass may have a mask
        return None
    if array.dtype.kind not in "iuf" or array.itemsize > 8:
        return None
    if encoding is ArrayEncoding.TENSOR and message.has_default_names and not message.meta and 0 < array.size <= _FEW:
        return [_tensor_head(array.shape, len(message.names)) + array.astype("<f8", copy=False).tobytes()]
    names = _write_names(message)
    if names is None:
        return None
    if encoding is ArrayEncoding.TENSOR:
        head, values = write_tensor(array)
        start = _write_start(write_meta(message.meta), names, b"\x12", len(head) + values.nbytes)
        return [start, head, values]
    if array.ndim > 2:
        return None
    row = _row(array.shape[1]) if array.ndim == 2 else _NUMBER
    table = array if array.ndim == 2 else array.reshape(-1, 1)
    start = _write_start(write_meta(message.meta), names, b"\x1a", len(table) * len(row))
    if len(table) * len(row) <= _BLOCK_BYTES:
        return [start + _write_rows(table, row)]
    text = BytesIO()  # returns its bytes without a copy
    text.write(start)
    for _, part in _blocks(table, row):
        text.write(_write_rows(part, row))
    return [text.getvalue()]


def _write_start(meta: bytes, names: bytes, tag: bytes, size: int) -> bytes:
    """Return a SeldonMessage up to the content of its array, which has a tag in DefaultData and a size."""
    data = names + tag + write_varint(size)
    return b"".join((b"\x12", write_varint(len(meta)), meta, b"\x1a", write_varint(len(data) + size), data))


@lru_cache(maxsize=256)
def _tensor_head(shape: tuple[int, ...], width: int) -> bytes:
    """Return a SeldonMessage with default names and without ``meta``, up to the values of its tensor."""
    head, values = write_tensor(np.zeros(shape))
    return _write_start(b"", _default_names(width), b"\x12", len(head) + values.nbytes) + head


def write_tensor(array: Array) -> tuple[bytes, memoryview]:
    """Return a Tensor in two parts, to save a copy: what precedes the values, and the values as bytes."""
    values = array.astype("<f8", order="C", copy=False)
    shape = b"".join(map(write_varint, array.shape))
    head = b"\x0a" + write_varint(len(shape)) + shape if shape else b""
    content = values.reshape(-1).view(np.uint8).data
    return (head + b"\x12" + write_varint(len(content)) if values.size else head), content


def _write_names(message: Message) -> bytes | None:
    """Encode the columns' names; return None for what is no list, or text that has no form in UTF-8."""
    if message.has_default_names:
        return _default_names(len(message.names))
    try:
        return _encode_names(message.names) if type(message.names) in (list, tuple) else None
    except UnicodeEncodeError:
        return None


@cached_by_width
def _default_names(width: int) -> bytes:
    return _encode_names(default_names(width))


def _encode_names(names: Iterable[Any]) -> bytes:
    texts = (str(name).encode() for name in names)
    return b"".join(b"\x0a" + write_varint(len(text)) + text for text in texts)
