"""Builds the user's object, and a component of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from seldon_spec.config.contract import TensorSpec
from seldon_spec.config.model import ServiceType, UnitSpec
from seldon_spec.errors import ComponentFailed
from seldon_spec.inference.component.adapter import Adapter
from seldon_spec.inference.component.described import read_contract
from seldon_spec.inference.component.differences import find_differences
from seldon_spec.inference.component.failure import user_code
from seldon_spec.inference.component.hooks import call_user, is_not_implemented
from seldon_spec.inference.component.metadata import call_init_metadata, complete_metadata
from seldon_spec.inference.contract.validation import Mode

logger = logging.getLogger(__name__)


def build_component(
    user_class: Callable[..., Any],
    parameters: Mapping[str, Any],
    unit: UnitSpec,
    service_type: ServiceType,
    inputs: Sequence[TensorSpec] = (),
    outputs: Sequence[TensorSpec] = (),
    platform: str | None = None,
    validate_requests: Mode = "reject",
    *,
    is_runtime: bool = False,
) -> Adapter:
    """Build the user's object, read its metadata, and load it.

    Args:
        user_class: the class, or another callable that makes the object.
        parameters: its keyword arguments.
        unit: what the operator sets for this component.
        service_type: an OUTLIER_DETECTOR also has its scores called.
        inputs, outputs: as declared, for the metadata and the hook ``infer``.
        platform: as declared, for the metadata.
        validate_requests: what happens to a request that does not match ``inputs``.
        is_runtime: whether the class is a runtime of this package, whose model describes the inputs and outputs that
            are not declared.

    Raises:
        ComponentFailed: the class raised.
    """
    with user_code():
        user = user_class(**parameters)
    own = call_init_metadata(user)
    if is_runtime:
        described = read_contract(user)
        inputs, outputs = inputs or described.inputs, outputs or described.outputs
    metadata = complete_metadata(own, unit, inputs, outputs, platform)
    _load(user)
    for difference in find_differences(user, own, inputs, outputs):
        logger.warning("%s: %s", type(user).__name__, difference)
    return Adapter(user, unit, service_type, metadata, inputs, outputs, validate_requests, is_runtime=is_runtime)


def _load(user: object) -> None:
    """Call ``load()`` if there is one; only NotImplementedError means that it is not implemented."""
    load = getattr(user, "load", None)
    if load is None:
        return
    try:
        call_user(load)
    except ComponentFailed as failure:
        if not isinstance(failure.__cause__, NotImplementedError) and not is_not_implemented(failure):
            raise
