"""The served model, as requests and responses name it."""

from __future__ import annotations

from dataclasses import replace

from seldon_spec.config.model import ComponentSpec, ServiceType, Spec
from seldon_spec.errors import OriginKind
from seldon_spec.inference.served_spec import FindSpec
from seldon_spec.protocols.open_inference_v2.codec import ModelInfo


def make_model_info(spec: Spec, find_spec: FindSpec | None = None) -> ModelInfo:
    """Return the model of a spec; of a graph with its components.

    Args:
        spec: of the model.
        find_spec: see ``find_served_spec``.
    """
    is_explicit = spec.origin("unit", "has_metrics_in_response").kind is not OriginKind.DEFAULT
    return ModelInfo(
        name=spec.name,
        version=spec.version,
        inputs=spec.inputs,
        outputs=spec.outputs,
        aliases=frozenset() if spec.unit.id is None else frozenset({spec.unit.id}),
        takes_any_name=spec.service_type in (ServiceType.ROUTER, ServiceType.COMBINER),
        shows_metrics=spec.unit.has_metrics_in_response and is_explicit,
        components={
            name: _make_component_info(name, component, find_spec) for name, component in spec.components.items()
        },
        find_spec=find_spec,
    )


def _make_component_info(name: str, component: ComponentSpec, find_spec: FindSpec | None) -> ModelInfo:
    if component.spec is None:
        return ModelInfo(name)
    info = make_model_info(component.spec)
    find = None if find_spec is None else lambda: find_spec().components[name].spec
    return replace(info, name=name, aliases=frozenset(), takes_any_name=False, components={}, find_spec=find)
