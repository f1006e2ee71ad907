"""What the gRPC port offers, whichever engine serves it: the methods, and the services that are told of.

Source: contract section 1.3; grpc.health.v1 is ours.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, text_format

from seldon_spec.errors import UnsupportedVerb
from seldon_spec.payload.message import Verb
from seldon_spec.proto import PACKAGE, POOL

METHODS: dict[str, dict[str, Verb | None]] = {
    "Generic": {
        "TransformInput": Verb.TRANSFORM_INPUT,
        "TransformOutput": Verb.TRANSFORM_OUTPUT,
        "Route": Verb.ROUTE,
        "Aggregate": Verb.AGGREGATE,
        "SendFeedback": Verb.FEEDBACK,
    },
    "Model": {"Predict": Verb.PREDICT, "SendFeedback": Verb.FEEDBACK, "Metadata": Verb.METADATA},
    "Router": {"Route": Verb.ROUTE, "SendFeedback": Verb.FEEDBACK},
    "Transformer": {"TransformInput": Verb.TRANSFORM_INPUT},
    "OutputTransformer": {"TransformOutput": Verb.TRANSFORM_OUTPUT},
    "Combiner": {"Aggregate": Verb.AGGREGATE},
    "Seldon": {
        "Predict": Verb.PREDICT,
        "SendFeedback": Verb.FEEDBACK,
        "ModelMetadata": Verb.METADATA,
        "GraphMetadata": None,
    },
}
"""The verb of each method, by service, whatever the service type; None: a component alone cannot answer it."""

SERVICES = tuple(f"{PACKAGE}.{service}" for service in METHODS)
"""The services that can be healthy; the empty name stands for all of them."""

HEALTH_SERVICE = "grpc.health.v1.Health"
REFLECTION_SERVICES = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
"""The same service under the name that it has now, and under its first one, which older clients use."""


def refuse_graph_metadata() -> UnsupportedVerb:
    """What a method without a verb is answered with."""
    return UnsupportedVerb("GraphMetadata not available on the Model level.")


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
