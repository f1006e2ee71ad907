"""What the gRPC port offers, whichever engine serves it: the methods, and the services that are told of.

Source: contract section 1.3; grpc.health.v1 is ours.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, text_format

from seldon_spec.errors import UnsupportedOperation
from seldon_spec.inference.message import Operation
from seldon_spec.protocols.seldon_v1.proto import PACKAGE, POOL

METHODS: dict[str, dict[str, Operation | None]] = {
    "Generic": {
        "TransformInput": Operation.TRANSFORM_INPUT,
        "TransformOutput": Operation.TRANSFORM_OUTPUT,
        "Route": Operation.ROUTE,
        "Aggregate": Operation.AGGREGATE,
        "SendFeedback": Operation.FEEDBACK,
    },
    "Model": {"Predict": Operation.PREDICT, "SendFeedback": Operation.FEEDBACK, "Metadata": Operation.METADATA},
    "Router": {"Route": Operation.ROUTE, "SendFeedback": Operation.FEEDBACK},
    "Transformer": {"TransformInput": Operation.TRANSFORM_INPUT},
    "OutputTransformer": {"TransformOutput": Operation.TRANSFORM_OUTPUT},
    "Combiner": {"Aggregate": Operation.AGGREGATE},
    "Seldon": {
        "Predict": Operation.PREDICT,
        "SendFeedback": Operation.FEEDBACK,
        "ModelMetadata": Operation.METADATA,
        "GraphMetadata": None,
    },
}
"""The operation of each method, by service, whatever the service type; None: a component alone cannot answer it."""

SERVICES = tuple(f"{PACKAGE}.{service}" for service in METHODS)
"""The services that can be healthy; the empty name stands for all of them."""

HEALTH_SERVICE = "grpc.health.v1.Health"
REFLECTION_SERVICES = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
"""The same service under the name that it has now, and under its first one, which older clients use."""


def refuse_graph_metadata() -> UnsupportedOperation:
    """What a method without an operation is answered with."""
    return UnsupportedOperation("GraphMetadata not available on the Model level.")


class DescriptorPools:
    """Our descriptor pool, then protobuf's default one, which has the health service, then the one of reflection v1."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def find(*args: Any) -> Any:
            for pool in (POOL, descriptor_pool.Default()):
                with contextlib.suppress(KeyError):
                    return getattr(pool, name)(*args)
            return getattr(_reflection_v1_pool(), name)(*args)

        return find


@cache
def _reflection_v1_pool() -> descriptor_pool.DescriptorPool:
    """Describe reflection v1, which grpc_reflection does not have: only the package's name differs from v1alpha."""
    from grpc_reflection.v1alpha import reflection_pb2

    proto = descriptor_pb2.FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(proto)
    renamed = text_format.MessageToString(proto).replace("v1alpha", "v1")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(text_format.Parse(renamed, descriptor_pb2.FileDescriptorProto()))
    return pool
