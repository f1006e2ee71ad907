"""The protocol's messages, as classes in a descriptor pool of our own.

The pool is private so that an installed ``seldon_core`` or ``tensorflow`` can register the names ``seldon.protos.*``
and ``tensorflow.*`` in the same process. The descriptor set is compiled with grpcio-tools 1.62.3 (libprotoc 25.1).
"""

from __future__ import annotations

from importlib import resources
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message_factory import GetMessageClass

from seldon_spec.protocols.private_pool import make_pool

FILE = "prediction.proto"
PACKAGE = "seldon.protos"


def read_descriptor_set() -> FileDescriptorSet:
    """Return the descriptor set of the schema and of the files that it imports, imports first."""
    return FileDescriptorSet.FromString((resources.files(__name__) / "prediction.binpb").read_bytes())


POOL = make_pool(read_descriptor_set())


def message_class(name: str) -> Any:
    """Return the class of a message by its full name; protobuf creates it at run time, without a static type.

    Raises:
        KeyError: the pool has no message of that name.
    """
    return GetMessageClass(POOL.FindMessageTypeByName(name))


SeldonMessage = message_class(f"{PACKAGE}.SeldonMessage")
SeldonMessageList = message_class(f"{PACKAGE}.SeldonMessageList")
SeldonModelMetadata = message_class(f"{PACKAGE}.SeldonModelMetadata")
Feedback = message_class(f"{PACKAGE}.Feedback")
Tensor = message_class(f"{PACKAGE}.Tensor")
TensorProto = message_class("tensorflow.TensorProto")
TensorShape = message_class("tensorflow.TensorShapeProto")
Metric = message_class(f"{PACKAGE}.Metric")
Value = message_class("google.protobuf.Value")
ListValue = message_class("google.protobuf.ListValue")
