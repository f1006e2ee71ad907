"""The components that the key ``graph`` names, and the properties of a component that its steps depend on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from seldon_spec.config.checks.class_body import ClassSource
from seldon_spec.config.graph import Method
from seldon_spec.config.model import ServiceType
from seldon_spec.errors import FieldPath

_COUNTS = ("n_branches", "n_children")
"""The parameters of a router that state the number of its branches."""


@dataclass(frozen=True, slots=True)
class Use:
    """A place of the graph that names a component; ``is_key``: the name is a key of ``split``."""

    name: str
    path: FieldPath
    is_key: bool = False


@dataclass(frozen=True, slots=True)
class Role:
    """The properties of a component that its steps depend on.

    Attributes:
        hooks: the names of the methods of its class; of a graph, only ``predict``; None: they are not known.
        branches: the parameter that states the number of branches of a router, and its value.
        step_names: of the graph that it is.
    """

    service_type: ServiceType
    hooks: frozenset[str] | None = None
    branches: tuple[str, Any] | None = None
    step_names: frozenset[str] = frozenset()


def make_role(service_type: ServiceType, source: object, parameters: Mapping[str, Any]) -> Role:
    """Return the role of a component with a class; ``source`` is the result of reading it."""
    hooks = source.hooks if isinstance(source, ClassSource) and source.is_whole else None
    branches = next(((key, parameters[key]) for key in _COUNTS if key in parameters), None)
    return Role(service_type, hooks, branches)


def find_uses(raw: object, path: FieldPath = ("graph",)) -> Iterator[Use]:
    """Yield every place that names a component, in call order; accepts trees that are no steps."""
    if isinstance(raw, str):
        yield Use(raw, path)
    elif isinstance(raw, list):
        for index, item in enumerate(raw):
            yield from find_uses(item, (*path, str(index)))
    elif isinstance(raw, dict):
        for key in ("route", *(method.value for method in Method), "split", "to", "of", "average", "combine", "shadow"):
            if key == "split" and isinstance(raw.get(key), dict):
                yield from (Use(name, (*path, key, name), is_key=True) for name in raw[key])
            elif key != "split" and key in raw:
                yield from find_uses(raw[key], (*path, key))
