"""The protocol's messages, as classes in a descriptor pool of their own: tritonclient and kserve both register them in
the default pool, where a name can be registered once.
"""

from __future__ import annotations

from importlib import resources
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

FILE = "open_inference.proto"
PACKAGE = "inference"


def read_descriptor_set() -> FileDescriptorSet:
    """Return the descriptor set of the schema, which ``scripts/make_proto.py`` writes."""
    return FileDescriptorSet.FromString((resources.files(__name__) / "open_inference.binpb").read_bytes())


def _make_pool() -> DescriptorPool:
    pool = DescriptorPool()
    for file in read_descriptor_set().file:
        pool.AddSerializedFile(file.SerializeToString())
    return pool


POOL = _make_pool()


def message_class(name: str) -> Any:
    """Return the class of a message by its name in the package.

    Raises:
        KeyError: the package has no message of that name.
    """
    return GetMessageClass(POOL.FindMessageTypeByName(f"{PACKAGE}.{name}"))


ModelInferRequest = message_class("ModelInferRequest")
ModelInferResponse = message_class("ModelInferResponse")
ModelStreamInferResponse = message_class("ModelStreamInferResponse")
InferTensorContents = message_class("InferTensorContents")
