"""Replacement for ``seldon_core.proto.prediction_pb2``: the messages, in the default descriptor pool of protobuf.

In that pool they can contain messages of ``google.protobuf`` and tensors of TensorFlow. If TensorFlow is installed, its
tensor is used; else one with another name and the same encoding, so that TensorFlow can be imported later.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from google.protobuf import any_pb2, empty_pb2, struct_pb2
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import Default, DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from seldon_spec.protocols.seldon_v1.proto import FILE, PACKAGE, POOL, read_descriptor_set

_STANDARD = (any_pb2, empty_pb2, struct_pb2)
"""Imported to register them in the default pool."""

_TENSOR_FILE = "tensor.proto"
_TENSORFLOW_FILE = "tensorflow/core/framework/tensor.proto"
_TENSORFLOW = ".tensorflow."
_OWN_PACKAGE = "seldon_spec.compat.tensorflow"
_OWN_FOLDER = "seldon_spec/compat"


def _register() -> Any:
    """Return the file descriptor: in the default pool, or in ours if that has other messages with these names."""
    files = {file.name: file for file in read_descriptor_set().file}
    try:
        return _register_in(Default(), files)
    except TypeError:  # the class contains its own generated module
        return POOL.FindFileByName(FILE)


def _register_in(pool: DescriptorPool, files: dict[str, FileDescriptorProto]) -> Any:
    prediction, tensor = files[FILE], files[_TENSOR_FILE]
    name = _TENSORFLOW_FILE
    if not _has_tensorflow():
        _move_tensor(prediction, tensor)
        name = tensor.name
        pool.AddSerializedFile(tensor.SerializeToString())
    prediction.name = f"{_OWN_FOLDER}/{FILE}"
    prediction.dependency[list(prediction.dependency).index(_TENSOR_FILE)] = name
    pool.AddSerializedFile(prediction.SerializeToString())
    return pool.FindFileByName(prediction.name)


def _has_tensorflow() -> bool:
    if find_spec("tensorflow") is None:
        return False
    try:
        import_module("tensorflow.core.framework.tensor_pb2")
    except ImportError:
        return False
    return True


def _move_tensor(prediction: FileDescriptorProto, tensor: FileDescriptorProto) -> None:
    tensor.name, tensor.package = f"{_OWN_FOLDER}/{_TENSOR_FILE}", _OWN_PACKAGE
    for message in (*prediction.message_type, *tensor.message_type):
        _rename_types(message)


def _rename_types(message: DescriptorProto) -> None:
    for field in message.field:
        if field.type_name.startswith(_TENSORFLOW):
            field.type_name = f".{_OWN_PACKAGE}.{field.type_name.removeprefix(_TENSORFLOW)}"
    for nested in message.nested_type:
        _rename_types(nested)


DESCRIPTOR = _register()
_MESSAGES = {name: GetMessageClass(descriptor) for name, descriptor in DESCRIPTOR.message_types_by_name.items()}
globals().update(_MESSAGES)
__all__ = ["DESCRIPTOR", *sorted(_MESSAGES)]

assert DESCRIPTOR.package == PACKAGE


def __getattr__(name: str) -> Any:  # for type checkers: the messages are created at run time
    raise AttributeError(f"{PACKAGE} has no message {name!r}")
