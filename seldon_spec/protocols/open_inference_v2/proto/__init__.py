"""The protocol's messages, in a private descriptor pool: tritonclient and kserve register theirs in the default one."""

from __future__ import annotations

from importlib import resources
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message_factory import GetMessageClass

from seldon_spec.protocols.private_pool import make_pool

FILE = "open_inference.proto"
PACKAGE = "inference"


def read_descriptor_set() -> FileDescriptorSet:
    """Return the descriptor set of the schema, which ``scripts/make_proto.py`` writes."""
    return FileDescriptorSet.FromString((resources.files(__name__) / "open_inference.binpb").read_bytes())


POOL = make_pool(read_descriptor_set())


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
