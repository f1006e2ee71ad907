"""What the gRPC port offers, whichever engine serves it: the methods, and the services that are told of.

Source: contract section 1.3; grpc.health.v1 is ours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf import descriptor_pool

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
REFLECTION_SERVICE = "grpc.reflection.v1alpha.ServerReflection"


def refuse_graph_metadata() -> UnsupportedVerb:
    """What a method without a verb is answered with."""
    return UnsupportedVerb("GraphMetadata not available on the Model level.")


class BothPools:
    """Our descriptor pool, and behind it protobuf's own, where the health service is described."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def find(*args: Any) -> Any:
            try:
                return getattr(POOL, name)(*args)
            except KeyError:
                return getattr(descriptor_pool.Default(), name)(*args)

        return find
