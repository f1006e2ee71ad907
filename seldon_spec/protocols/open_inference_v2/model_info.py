"""The served model, as requests and responses name it."""

from __future__ import annotations

from seldon_spec.config.model import ServiceType, Spec
from seldon_spec.errors import OriginKind
from seldon_spec.protocols.open_inference_v2.codec import ModelInfo


def make_model_info(spec: Spec) -> ModelInfo:
    """Return the model of a spec."""
    is_explicit = spec.origin("unit", "has_metrics_in_response").kind is not OriginKind.DEFAULT
    return ModelInfo(
        name=spec.name,
        version=spec.version,
        inputs=spec.inputs,
        outputs=spec.outputs,
        aliases=frozenset() if spec.unit.id is None else frozenset({spec.unit.id}),
        takes_any_name=spec.service_type in (ServiceType.ROUTER, ServiceType.COMBINER),
        shows_metrics=spec.unit.has_metrics_in_response and is_explicit,
    )
