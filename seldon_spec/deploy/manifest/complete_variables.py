"""All variables of a container; in a complete manifest, also those that repeat what the image contains."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from seldon_spec.config.build_spec import plain
from seldon_spec.config.graph_text import shorten_graph
from seldon_spec.config.layers.environment import generic_variable
from seldon_spec.config.model import SPEC_FILE, ComponentSpec, SecretRef, Spec
from seldon_spec.deploy.manifest.tree import Tree
from seldon_spec.deploy.manifest.variables import (
    build_all_variables,
    build_plain_variables,
    build_variables,
    has_literal,
    list_values,
    to_text,
)
from seldon_spec.deploy.manifest.workload import Workload
from seldon_spec.errors import FieldPath, OriginKind

_WHOLE = ("parameters", "environment", "graph")
"""The keys whose variables have a part of a mapping, or the graph in another form, unless the manifest is complete."""


def build_environment(workload: Workload, *, drains: bool, is_complete: bool) -> list[Tree]:
    """Return the variables of the container of a workload.

    Args:
        workload: of the container.
        drains: whether to set a delay of the shutdown if the spec has none.
        is_complete: whether to repeat each value that the image contains too.
    """
    variables = build_variables(workload, drains=drains)
    if not is_complete:
        return variables
    others = [
        *build_plain_variables(workload),
        *build_graph_variables(workload),
        *build_all_variables(workload, frozenset()),
        *build_reference_variable(workload),
    ]
    parameters = generic_variable(("parameters",))
    has_parameters = any(each["name"] == parameters for each in others)  # without a literal secret
    whole = {workload.variable((key,)) for key in _WHOLE} - (set() if has_parameters else {parameters})
    kept = [each for each in variables if each["name"] not in whole]
    known = {each["name"] for each in kept}
    return [*kept, *(each for each in others if each["name"] not in known)]


def build_graph_variables(workload: Workload) -> list[Tree]:
    """Return the steps and the components of a graph as two variables, without literal secrets."""
    spec = workload.spec
    if spec.graph is None:
        return []
    values = {"graph": _describe_graph(spec), "components": _describe_components(spec)}
    return [
        {"name": workload.variable((key,)), "value": workload.with_origin(to_text(value), key)}
        for key, value in values.items()
        if value
    ]


def build_reference_variable(workload: Workload) -> list[Tree]:
    """Return one variable with the references of ``environment``, whose names may differ from their variables."""
    references = {k: plain(v) for k, v in workload.spec.environment.items() if isinstance(v, SecretRef)}
    if not references:
        return []
    return [
        {"name": generic_variable(("environment",)), "value": workload.with_origin(to_text(references), "environment")}
    ]


def _describe_graph(spec: Spec) -> Any:
    assert spec.graph is not None
    return shorten_graph(spec.graph, {name: each.service_type for name, each in spec.components.items()})


def _describe_components(spec: Spec) -> dict[str, Any]:
    entries = {name: _describe_component(name, each, spec) for name, each in spec.components.items()}
    return {name: entry for name, entry in entries.items() if entry}


def _describe_component(name: str, component: ComponentSpec, graph: Spec) -> dict[str, Any]:
    """Return the entry of a component; what its own file has stays there."""
    own = component.spec
    entry: dict[str, Any] = {}
    if component.url is not None:
        details = {"timeout_seconds": component.timeout_seconds, "token": plain(component.token), "ca": component.ca}
        entry = {"url": component.url, **{key: value for key, value in details.items() if value is not None}}
        if own is None:
            return {**entry, "service_type": component.service_type.value}
    assert own is not None
    is_here = (os.path.realpath(own.folder), own.file) == (os.path.realpath(graph.folder), graph.file)
    if not is_here:
        path = os.path.relpath(own.folder if own.file == SPEC_FILE else own.folder / own.file, graph.folder)
        entry |= {} if path == name else {"path": path}
    for at, value in _list_settings(own, graph, is_here=is_here):
        section = entry
        for key in at[:-1]:
            section = section.setdefault(key, {})
        section[at[-1]] = value
    if is_here and own.graph is not None:
        entry["graph"] = _describe_graph(own)
        entry["components"] = _describe_components(own)
    return entry


def _list_settings(own: Spec, graph: Spec, *, is_here: bool) -> Iterator[tuple[FieldPath, Any]]:
    """Yield the values of an entry: those that are set, apart from the image of the graph and the component's file."""
    image = dict(list_values(graph))
    values = [*list_values(own), *((("environment", name), plain(each)) for name, each in own.environment.items())]
    for path, value in values:
        is_of_graph = path[0] == "image" and image.get(path) == value
        if not is_of_graph and (is_here or _is_in_entry(own, path)) and not has_literal(path, value):
            yield path, value


def _is_in_entry(own: Spec, path: FieldPath) -> bool:
    """Return whether a value of a component with a file of its own is set elsewhere: in the entry or by a variable."""
    origins = [origin for at, origin in own.origins.items() if at[: len(path)] == path]
    file = str(own.folder / own.file)
    return any(each.kind is not OriginKind.FILE or (each.position and each.position.file != file) for each in origins)
