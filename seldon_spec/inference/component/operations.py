"""The operations of a service type."""

from __future__ import annotations

from collections.abc import Container

from seldon_spec.config.model import ServiceType
from seldon_spec.inference.message import Operation

SCORED = frozenset({Operation.PREDICT, Operation.TRANSFORM_INPUT})
"""The operations of an outlier detector that call its scores."""


def find_main(service_type: ServiceType, hooks: Container[Operation]) -> Operation | None:
    """Return the operation of a request that names none; None: routers and combiners have none.

    Args:
        service_type: of the component.
        hooks: the operations that the class has a hook for.
    """
    if service_type is ServiceType.MODEL:
        return Operation.PREDICT
    if service_type is ServiceType.TRANSFORMER:
        has_only_output = Operation.TRANSFORM_INPUT not in hooks and Operation.TRANSFORM_OUTPUT in hooks
        return Operation.TRANSFORM_OUTPUT if has_only_output else Operation.TRANSFORM_INPUT
    if service_type is ServiceType.OUTLIER_DETECTOR:
        return Operation.PREDICT if Operation.PREDICT in hooks else Operation.TRANSFORM_INPUT
    return None


def find_validated(service_type: ServiceType, main: Operation | None) -> frozenset[Operation]:
    """Return the operations whose requests hold the declared inputs."""
    if service_type is ServiceType.OUTLIER_DETECTOR:
        return SCORED
    if service_type is ServiceType.ROUTER:
        return frozenset({Operation.ROUTE})
    return frozenset() if main is None else frozenset({main})
