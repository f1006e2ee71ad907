"""What a SavedModel of TensorFlow says of itself: its signatures, and the version that wrote it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from seldon_spec.config.model_files.protobuf import Field, MessageReader, NotProtobuf
from seldon_spec.config.paths import exists, is_folder

MARKER = "saved_model.pb"
DEFAULT_SIGNATURE = "serving_default"

_META_GRAPH = 2
_META_INFO, _SIGNATURE = 1, 5
_TAG, _TENSORFLOW_VERSION = 4, 5
_INPUT, _OUTPUT = 1, 2
_DTYPE, _SHAPE = 2, 3
_DIMENSION, _UNKNOWN_RANK = 2, 3
_KEY, _VALUE, _SIZE = 1, 2, 1

_SERVE = "serve"
_INTERNAL = "__saved_model_init_op"
_MAX_NAME_BYTES = 1024
_MAX_VERSIONS = 10_000
_NAME = re.compile(r"[^\s\x00-\x1f]{1,200}")
_VERSION = re.compile(r"[0-9][0-9A-Za-z.+!-]{0,63}")
_NUMBER = re.compile(r"[0-9]{1,18}")

_DATATYPES = {
    1: "FP32", 2: "FP64", 3: "INT32", 4: "UINT8", 5: "INT16", 6: "INT8", 7: "BYTES", 9: "INT64", 10: "BOOL",
    17: "UINT16", 19: "FP16", 22: "UINT32", 23: "UINT64",
}  # fmt: skip
"""The datatypes of the types of TensorFlow's ``DataType``; those of the others have none."""


@dataclass(frozen=True, slots=True)
class SignatureTensor:
    """An input or an output of a signature.

    Attributes:
        name: by which clients send or get it.
        datatype: None: no array of the protocols holds its type.
        shape: -1 for any size; None: any number of dimensions.
    """

    name: str
    datatype: str | None
    shape: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Signature:
    """A function of a SavedModel that can be called by name; its tensors are sorted by their names."""

    inputs: tuple[SignatureTensor, ...]
    outputs: tuple[SignatureTensor, ...]


@dataclass(slots=True)
class SavedModelFacts:
    """What a SavedModel says of itself.

    Attributes:
        version: of TensorFlow, which wrote it; None: it is not recorded.
        signatures: by name.
    """

    version: str | None = None
    signatures: dict[str, Signature] = field(default_factory=dict)


def find_saved_model(folder: Path) -> Path | None:
    """Return the folder with a SavedModel: this one, or the highest version in it, as for TensorFlow Serving."""
    if exists(folder / MARKER):
        return folder
    try:
        entries = list(islice(folder.iterdir(), _MAX_VERSIONS))
    except OSError:
        return None
    numbers = [each for each in entries if _NUMBER.fullmatch(each.name) and exists(each / MARKER)]
    return max((each for each in numbers if is_folder(each)), key=lambda each: int(each.name), default=None)


def read_saved_model(folder: Path) -> SavedModelFacts | None:
    """Read the signatures of a SavedModel that is to be served; None if there is none, or it is not complete.

    Args:
        folder: with ``saved_model.pb``.
    """
    path = folder / MARKER
    try:
        with path.open("rb") as stream:
            reader = MessageReader(stream, path.stat().st_size)
            graphs = [_read_graph(reader, each) for each in reader.read() if each.number == _META_GRAPH]
    except (OSError, NotProtobuf):
        return None
    return next((facts for facts, tags in graphs if _SERVE in tags), None)


def _read_graph(reader: MessageReader, graph: Field) -> tuple[SavedModelFacts, list[str]]:
    """Return the facts of a graph with its signatures, and its tags."""
    facts, tags = SavedModelFacts(), []
    for each in reader.read(graph.start, graph.end):
        if each.number == _META_INFO:
            for part in reader.read(each.start, each.end):
                if part.number == _TAG:
                    tags.append(reader.read_text(part, _MAX_NAME_BYTES))
                elif part.number == _TENSORFLOW_VERSION:
                    text = reader.read_text(part, _MAX_NAME_BYTES)
                    facts.version = text if _VERSION.fullmatch(text) else None
        elif each.number == _SIGNATURE:
            name, value = _read_entry(reader, each)
            if value is not None and name != _INTERNAL:
                facts.signatures[name] = _read_signature(reader, value)
    return facts, tags


def _read_entry(reader: MessageReader, entry: Field) -> tuple[str, Field | None]:
    """Return the key and the value of an entry of a map."""
    parts = {part.number: part for part in reader.read(entry.start, entry.end)}
    if _KEY not in parts:
        raise NotProtobuf
    name = reader.read_text(parts[_KEY], _MAX_NAME_BYTES)
    if not _NAME.fullmatch(name):
        raise NotProtobuf
    return name, parts.get(_VALUE)


def _read_signature(reader: MessageReader, value: Field) -> Signature:
    tensors: Mapping[int, list[SignatureTensor]] = {_INPUT: [], _OUTPUT: []}
    for each in reader.read(value.start, value.end):
        if each.number in tensors and each.is_bytes:
            name, info = _read_entry(reader, each)
            tensors[each.number].append(_read_tensor(reader, name, info))
    inputs, outputs = (sorted(tensors[number], key=lambda each: each.name) for number in (_INPUT, _OUTPUT))
    return Signature(tuple(inputs), tuple(outputs))


def _read_tensor(reader: MessageReader, name: str, info: Field | None) -> SignatureTensor:
    parts = {} if info is None else {part.number: part for part in reader.read(info.start, info.end)}
    dtype, shape = parts.get(_DTYPE), parts.get(_SHAPE)
    sizes = None if shape is None else list(_read_sizes(reader, shape))
    datatype = None if dtype is None else _DATATYPES.get(dtype.value)
    return SignatureTensor(name, datatype, None if sizes is None or None in sizes else tuple(map(int, sizes)))  # type: ignore[arg-type]


def _read_sizes(reader: MessageReader, shape: Field) -> Iterator[int | None]:
    """Yield the sizes of a shape, -1 for any size; None if the number of dimensions is unknown."""
    for each in reader.read(shape.start, shape.end):
        if each.number == _UNKNOWN_RANK and each.value:
            yield None
        elif each.number == _DIMENSION:
            parts = {part.number: part for part in reader.read(each.start, each.end)}
            size = reader.read_integers(parts[_SIZE])[0] if _SIZE in parts else 0
            yield max(size, -1)
