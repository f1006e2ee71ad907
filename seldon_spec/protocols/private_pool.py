"""Descriptor pools of protocols, apart from protobuf's default pool.

In the default pool a name can be registered once, and a package in the user's environment may register a protocol's
names there. There is no generated code: ``scripts/make_proto.py`` writes a descriptor set that every protobuf runtime
from 4.25 on can read.
"""

from __future__ import annotations

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool


def make_pool(descriptors: FileDescriptorSet) -> DescriptorPool:
    """Return a pool of the files of a descriptor set, in which imports come first."""
    pool = DescriptorPool()
    for file in descriptors.file:
        pool.AddSerializedFile(file.SerializeToString())
    return pool
