"""What a file of ONNX says of itself: the versions that it needs, and the files with its weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from seldon_spec.config.model_files.protobuf import Field, MessageReader, NotProtobuf

_IR_VERSION, _GRAPH, _OPSET = 1, 7, 8
_INITIALIZER, _EXTERNAL_DATA = 5, 13
_NODE, _NODE_OUTPUT, _NODE_TYPE, _NODE_ATTRIBUTE = 1, 2, 4, 5
_INTEGERS, _STRINGS = 8, 9
_OLDEST_IR = 3
"""Of 2017. A SavedModel of TensorFlow begins with the same field, whose value is 1."""

_MAX_FILES = 10_000
_MAX_NAME_BYTES = 4096

_RUNTIMES = (
    ("1.17", 20, 9),
    ("1.18", 21, 10),
    ("1.21", 22, 10),
    ("1.23", 23, 11),
    ("1.24", 25, 13),
    ("1.25", 26, 13),
    ("1.32", 28, 14),
)
"""Releases of ONNX Runtime with the newest version of the operators and of the file format that each can load."""


@dataclass(slots=True)
class OnnxFacts:
    """What a file of ONNX says of itself.

    Attributes:
        ir_version: of the file format.
        opset: of the operators; 0: it uses none of ONNX itself.
        files: the paths of the files with its weights, relative to its folder.
    """

    ir_version: int = 0
    opset: int = 0
    files: list[str] = field(default_factory=list)

    @property
    def runtime(self) -> str | None:
        """The oldest release of ONNX Runtime that can load it; None: an old one can, or none that is known."""
        fitting = [
            release for release, opset, ir_version in _RUNTIMES if self.opset <= opset and self.ir_version <= ir_version
        ]
        return fitting[0] if fitting and fitting[0] != _RUNTIMES[0][0] else None


def scan_onnx(path: Path, size: int) -> OnnxFacts | None:
    """Read a file of ONNX; None if it is none, or is not complete.

    Args:
        path: of a regular file.
        size: in bytes.
    """
    facts, has_graph = OnnxFacts(), False
    with path.open("rb") as stream:
        reader = MessageReader(stream, size)
        try:
            for each in reader.read():
                if each.number == _IR_VERSION and not each.is_bytes:
                    facts.ir_version = each.value
                elif each.number == _GRAPH and each.is_bytes:
                    has_graph = True
                    facts.files += _list_files(reader, each)
                elif each.number == _OPSET and each.is_bytes:
                    facts.opset = max(facts.opset, _read_opset(reader, each))
                if facts.ir_version < _OLDEST_IR:  # its first field
                    return None
        except NotProtobuf:
            return None
    return facts if has_graph else None


def _read_opset(reader: MessageReader, entry: Field) -> int:
    """Return the version of an entry for the operators of ONNX itself; 0 for those of any other domain."""
    domain, version = "", 0
    for each in reader.read(entry.start, entry.end):
        if each.number == 1:
            domain = reader.read_text(each, _MAX_NAME_BYTES)
        elif each.number == 2:
            version = each.value
    return version if domain in ("", "ai.onnx") else 0


def _list_files(reader: MessageReader, graph: Field) -> list[str]:
    """Return the files of the weights of a graph: the field external_data of its initializers."""
    found: dict[str, None] = {}
    for tensor in reader.read(graph.start, graph.end):
        if tensor.number != _INITIALIZER or not tensor.is_bytes:
            continue
        for entry in reader.read(tensor.start, tensor.end):
            if entry.number == _EXTERNAL_DATA and entry.is_bytes:
                parts = {part.number: part for part in reader.read(entry.start, entry.end)}
                if parts.keys() >= {1, 2} and reader.read_text(parts[1], _MAX_NAME_BYTES) == "location":
                    found[reader.read_text(parts[2], _MAX_NAME_BYTES)] = None
                    if len(found) > _MAX_FILES:
                        raise NotProtobuf
    return list(found)


def read_classes(path: Path, size: int) -> dict[str, list[int] | list[str]]:
    """Return the classes of the outputs that hold a dictionary for each row, which the operator ZipMap makes.

    Args:
        path: of a file of ONNX.
        size: in bytes.
    """
    found: dict[str, list[int] | list[str]] = {}
    with path.open("rb") as stream:
        reader = MessageReader(stream, size)
        try:
            graphs = [each for each in reader.read() if each.number == _GRAPH and each.is_bytes]
            for graph in graphs:
                for node in reader.read(graph.start, graph.end):
                    if node.number == _NODE and node.is_bytes:
                        found |= _read_zipmap(reader, node)
        except NotProtobuf:
            return found
    return found


def _read_zipmap(reader: MessageReader, node: Field) -> dict[str, list[int] | list[str]]:
    """Return the name and the classes of the output of a node; nothing of one with another operator."""
    parts = list(reader.read(node.start, node.end))
    types = [reader.read_text(each, _MAX_NAME_BYTES) for each in parts if each.number == _NODE_TYPE]
    if types != ["ZipMap"]:
        return {}
    outputs = [reader.read_text(each, _MAX_NAME_BYTES) for each in parts if each.number == _NODE_OUTPUT]
    integers: list[int] = []
    strings: list[str] = []
    for attribute in (each for each in parts if each.number == _NODE_ATTRIBUTE):
        for value in reader.read(attribute.start, attribute.end):
            if value.number == _INTEGERS:
                integers += reader.read_integers(value)
            elif value.number == _STRINGS:
                strings.append(reader.read_text(value, _MAX_NAME_BYTES))
    classes: list[int] | list[str] = strings or integers
    return {name: classes for name in outputs[:1] if classes}
