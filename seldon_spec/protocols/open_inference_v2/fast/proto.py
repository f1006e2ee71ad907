"""Large contents of inference messages, read and written without copies by the protobuf library.

The library parses what is left of a request without them, and reads or refuses what it alone can read. Of contents
only the form of protobuf's own writers is read: lengths in their shortest form, numbers packed, each member once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from google.protobuf.message import DecodeError

from seldon_spec.errors import PayloadError
from seldon_spec.inference.arrays import own_array
from seldon_spec.inference.datatypes import BYTES, NAMES, Datatype, find_datatype
from seldon_spec.inference.message import Tensor
from seldon_spec.protocols.open_inference_v2.binary import Raw, write_binary
from seldon_spec.protocols.open_inference_v2.proto import InferTensorContents, ModelInferRequest
from seldon_spec.protocols.open_inference_v2.proto_message import (
    build_response,
    has_raw_only,
    make_tensor,
    read_request,
    set_contents,
    write_plain,
    write_raw,
)
from seldon_spec.protocols.open_inference_v2.request import MAX_TENSORS, InferOptions
from seldon_spec.protocols.protobuf_wire import SHORT_BYTES, KnownHeads, NotPlain, iter_members, write_varint

Parts: TypeAlias = "tuple[Any, Sequence[Raw], Sequence[Any] | None]"
"""A request, its raw contents, and the contents of each input; None: those that the request has."""

LONG_BYTES = 4096
"""From this length on the contents are cut out of a request or a response."""

# A member's tag: its field number times 8, plus 2 for values with a length.
_INPUT, _RAW = 0x2A, 0x3A  # of a ModelInferRequest
_CONTENTS = 0x2A  # of an InferInputTensor
_PACKED: dict[int, np.dtype[Any]] = {0x32: np.dtype("<f4"), 0x3A: np.dtype("<f8")}  # of an InferTensorContents
_WRITTEN = {"FP32": 0x32, "FP64": 0x3A, "BOOL": 0x0A}
_TYPED = {"FP32": 0x32, "FP64": 0x3A}
_FIXED = frozenset(NAMES) - {"BOOL", "BF16", BYTES.name}
"""The datatypes with typed contents, and those with raw contents, that are numbers of a fixed size and nothing else."""

_heads: KnownHeads[tuple[str, Datatype, tuple[int, ...], InferOptions]] = KnownHeads()
"""The name, the datatype and the shape of the tensor of requests that have one and no parameters, and their options."""

_UNPARSABLE = (DecodeError, ValueError, RecursionError)


def read_message(wire: Raw) -> tuple[list[Tensor], InferOptions]:
    """Read a ModelInferRequest; see ``read_request``.

    Raises:
        PayloadError: the bytes are not one, or it is malformed.
    """
    known = _heads.find(wire)
    if known is not None:
        start, (name, datatype, shape, options) = known
        array = np.frombuffer(wire, datatype.dtype, -1, start).reshape(shape)
        return [Tensor(name, array if options.is_binary else array.copy(), datatype.name)], options
    parts = parse_request(wire)
    tensors, options = read_request(*parts)
    if len(wire) <= SHORT_BYTES and len(tensors) == 1 and not (tensors[0].parameters or options.parameters):
        _keep_head(wire, tensors[0], options)
    return tensors, options


def _keep_head(wire: Raw, tensor: Tensor, options: InferOptions) -> None:
    """Keep the head of a request of one tensor, if the message ends with the numbers of the tensor."""
    datatype = find_datatype(tensor.datatype)
    start = len(wire) - tensor.array.nbytes
    tags: tuple[int, ...]
    if options.is_binary:
        tags = (_RAW,) if datatype.name in _FIXED else ()
    else:
        tags = (_INPUT, _CONTENTS, _TYPED[datatype.name]) if datatype.name in _TYPED else ()
    if tags and start < len(wire) and _find_last(wire, tags) == start:
        _heads.add(wire, start, (tensor.name, datatype, tensor.array.shape, options))


def _find_last(wire: Raw, tags: Sequence[int]) -> int | None:
    """Return the start of the last member, of the last member of it, and so on; None: they do not have these tags."""
    start, end = 0, len(wire)
    try:
        for tag in tags:
            *_, (last, start, end, _) = iter_members(wire, start, end)
            if last != tag or end != len(wire):
                return None
    except (NotPlain, IndexError, ValueError):  # ValueError: there are no members
        return None
    return start


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
        if first < last == end and (last - first) % dtype.itemsize == 0:
            return own_array(np.frombuffer(view[first:last], dtype))
    return InferTensorContents.FromString(bytes(view[start:end]))


def write_short(model_name: str, version: str | None, tensors: Sequence[Tensor], *, is_raw: bool) -> bytes | None:
    """Write a response without ID and parameters, if it has one output of few numbers; return None otherwise.

    Args:
        model_name, version, tensors: of the response.
        is_raw: see ``write_message``.
    """
    if len(tensors) != 1:
        return None
    tensor = tensors[0]
    datatype, array = tensor.datatype, tensor.array
    if tensor.parameters or datatype not in (_FIXED if is_raw else _TYPED) or not 0 < array.nbytes <= SHORT_BYTES:
        return None
    head = _response_head(model_name, version, tensor.name, datatype, array.shape, is_raw)
    return b"".join((head, write_binary(array, find_datatype(datatype))))


@lru_cache(maxsize=256)
def _response_head(
    model_name: str,
    version: str | None,
    name: str,
    datatype: str,
    shape: tuple[int, ...],
    is_raw: bool,  # noqa: FBT001 - a cached function is faster with positions
) -> bytes:
    """Return a response with one output, up to its numbers."""
    zeros = Tensor(name, np.zeros(shape, find_datatype(datatype).dtype), datatype)
    text = write_plain(build_response(model_name, version, None), [zeros], is_raw=is_raw)
    return text[: -zeros.array.nbytes]


def write_message(message: Any, tensors: Sequence[Tensor], *, is_raw: bool) -> Sequence[Raw]:
    """Write a request or a response, with typed contents if that is possible.

    Args:
        message: a ModelInferRequest or a ModelInferResponse without tensors.
        tensors: its inputs or outputs.
        is_raw: whether the contents have to be raw.

    Returns:
        The bytes that ``write_plain`` returns, in parts; large contents are not copied.

    Raises:
        UnwritableResult: a text has half of a surrogate pair.
    """
    if not is_raw and all(tensor.array.nbytes < LONG_BYTES or tensor.datatype not in _WRITTEN for tensor in tensors):
        return [write_plain(message, tensors, is_raw=False)]
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
    return parts
