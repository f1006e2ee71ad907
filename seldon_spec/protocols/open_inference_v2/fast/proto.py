"""Large contents of inference messages, read and written without copies by the protobuf library.

The library parses what is left of a request without them, and reads or refuses what it alone can read. Of contents
only the form of protobuf's own writers is read: lengths in their shortest form, numbers packed, each member once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from google.protobuf.message import DecodeError

from seldon_spec.errors import PayloadError
from seldon_spec.inference.datatypes import find_datatype
from seldon_spec.inference.message import Tensor
from seldon_spec.protocols.open_inference_v2.binary import Raw, write_binary
from seldon_spec.protocols.open_inference_v2.proto import InferTensorContents, ModelInferRequest
from seldon_spec.protocols.open_inference_v2.proto_message import (
    has_raw_only,
    make_tensor,
    set_contents,
    write_plain,
    write_raw,
)
from seldon_spec.protocols.open_inference_v2.request import MAX_TENSORS
from seldon_spec.protocols.protobuf_wire import NotPlain, iter_members, write_varint

Parts: TypeAlias = "tuple[Any, Sequence[Raw], Sequence[Any] | None]"
"""A request, its raw contents, and the contents of each input; None: those that the request has."""

LONG_BYTES = 4096
"""From this length on the contents are cut out of a request or a response."""

# A member's tag: its field number times 8, plus 2 for values with a length.
_INPUT, _RAW = 0x2A, 0x3A  # of a ModelInferRequest
_CONTENTS = 0x2A  # of an InferInputTensor
_PACKED: dict[int, np.dtype[Any]] = {0x32: np.dtype("<f4"), 0x3A: np.dtype("<f8")}  # of an InferTensorContents
_WRITTEN = {"FP32": 0x32, "FP64": 0x3A, "BOOL": 0x0A}

_UNPARSABLE = (DecodeError, ValueError, RecursionError)


def parse_request(wire: Raw) -> Parts:
    """Parse a ModelInferRequest.

    Raises:
        PayloadError: the bytes are not one.
    """
    if len(wire) >= LONG_BYTES:
        try:
            return _split_request(memoryview(wire))
        except (NotPlain, IndexError, DecodeError):  # IndexError: the end is missing
            pass
    return parse_plain(wire)


def parse_plain(wire: Raw) -> Parts:
    """Parse a ModelInferRequest by the library alone.

    Raises:
        PayloadError: the bytes are not one.
    """
    try:
        request = ModelInferRequest.FromString(bytes(wire))
    except _UNPARSABLE as error:
        raise PayloadError(f"the request is not a ModelInferRequest: {error}") from error
    return request, request.raw_input_contents, None


def _split_request(view: memoryview) -> Parts:
    head: list[memoryview | bytes] = []
    raw: list[memoryview] = []
    contents: list[Any] = []
    kept = 0
    for tag, start, end, begin in iter_members(view, 0, len(view)):
        if len(raw) > MAX_TENSORS or len(contents) > MAX_TENSORS:  # the library reads so many faster
            raise NotPlain
        if tag == _RAW:
            head.append(view[kept:begin])
            raw.append(view[start:end])
            kept = end
        elif tag == _INPUT:
            head.append(view[kept:begin])
            entry, typed = _split_input(view, start, end)
            head += (b"\x2a", write_varint(len(entry)), entry)
            contents.append(typed)
            kept = end
    head.append(view[kept:])
    request = ModelInferRequest.FromString(b"".join(head))
    if len(request.inputs) != len(contents):
        raise NotPlain
    return request, raw, contents


def _split_input(view: memoryview, start: int, end: int) -> tuple[bytes | memoryview, Any]:
    """Return an input without its contents, and these: an array, an InferTensorContents, or None if there are none."""
    found: tuple[int, int, int] | None = None
    for tag, first, last, begin in iter_members(view, start, end):
        if tag == _CONTENTS:
            if found is not None:
                raise NotPlain
            found = begin, first, last
    if found is None:
        return view[start:end], None
    begin, first, last = found
    return b"".join((view[start:begin], view[last:end])), _read_contents(view, first, last)


def _read_contents(view: memoryview, start: int, end: int) -> Any:
    if end > start and view[start] in _PACKED:
        tag, first, last, _ = next(iter_members(view, start, end))
        dtype = _PACKED[tag]
        if last == end and (last - first) % dtype.itemsize == 0:
            return np.frombuffer(view[first:last], dtype).copy()
    return InferTensorContents.FromString(bytes(view[start:end]))


def write_message(message: Any, tensors: Sequence[Tensor], *, is_raw: bool) -> bytes:
    """Write a request or a response, with typed contents if that is possible.

    Args:
        message: a ModelInferRequest or a ModelInferResponse without tensors.
        tensors: its inputs or outputs.
        is_raw: whether the contents have to be raw.

    Returns:
        The bytes that ``write_plain`` returns.

    Raises:
        UnwritableResult: a text has half of a surrogate pair.
    """
    if not is_raw and all(tensor.array.nbytes < LONG_BYTES or tensor.datatype not in _WRITTEN for tensor in tensors):
        return write_plain(message, tensors, is_raw=False)
    if is_raw or has_raw_only(tensors):
        return write_raw(message, tensors)
    parts: list[Any] = [message.SerializeToString()]
    for tensor in tensors:
        tag = _WRITTEN.get(tensor.datatype or "")
        entry = make_tensor(message, tensor)
        if tag is None or not tensor.array.size:
            set_contents(entry, tensor)
            text = entry.SerializeToString()
            parts += (b"\x2a", write_varint(len(text)), text)
            continue
        text, values = entry.SerializeToString(), write_binary(tensor.array, find_datatype(tensor.datatype))
        packed = bytes((tag,)) + write_varint(len(values))
        before = b"".join((text, b"\x2a", write_varint(len(packed) + len(values)), packed))
        parts += (b"\x2a", write_varint(len(before) + len(values)), before, values)
    return b"".join(parts)
