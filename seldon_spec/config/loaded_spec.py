"""A spec and its components with all layers merged, before the values are converted to their types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from seldon_spec.config.graph import Step
from seldon_spec.config.graph_uses import Role, make_role
from seldon_spec.config.layered_spec import LayeredSpec
from seldon_spec.config.model import ServiceType
from seldon_spec.errors import Diagnostic, Origin


@dataclass(slots=True)
class LoadedComponent:
    """A component of a graph: its entry, and its spec unless only a URL is known."""

    entry: Mapping[str, Any]
    service_type: ServiceType
    loaded: LoadedSpec | None
    has_feedback: bool
    is_misdescribed: bool = False
    """Whether its service type is invalid, which is reported already."""

    @property
    def role(self) -> Role:
        """What the steps that name the component depend on."""
        if self.loaded is None:
            return Role(self.service_type)
        layered = self.loaded.layered
        if layered.values.get(("graph",)) is not None:
            return Role(self.service_type, frozenset({"predict"}), step_names=self.loaded.step_names)
        if self.loaded.has_model:
            return Role(self.service_type, frozenset({"predict", "transform_input"}))
        parameters = layered.values.get(("parameters",)) or {}
        return make_role(self.service_type, layered.class_source, parameters)


@dataclass(slots=True)
class LoadedSpec:
    """A spec whose rules are checked.

    Attributes:
        steps: of a graph; None: it is a class, or its graph has errors.
        components: of a graph, in call order.
        step_names: of the steps with branches, those of nested graphs too.
        environment: the variables that it sets in the process, with their origins.
        references: the variables and files of its references, and of those of components in its process.
        findings: of the rules of the spec alone.
        is_served: whether it is a component that is served alone.
    """

    layered: LayeredSpec
    steps: Step | None = None
    components: dict[str, LoadedComponent] = field(default_factory=dict)
    step_names: frozenset[str] = frozenset()
    environment: dict[str, tuple[Any, Origin]] = field(default_factory=dict)
    references: frozenset[str] = frozenset()
    findings: list[Diagnostic] = field(default_factory=list)
    is_served: bool = False

    @property
    def has_model(self) -> bool:
        """Whether it is a model file."""
        return self.layered.values.get(("model",)) is not None
