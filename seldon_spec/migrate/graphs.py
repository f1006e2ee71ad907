"""A folder with the classes of several units: the graph of a SeldonDeployment, and its components."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from seldon_spec.config.checks.class_source import NoModule, read_class
from seldon_spec.config.graph import list_components
from seldon_spec.config.graph_steps import is_label
from seldon_spec.config.graph_text import shorten_graph
from seldon_spec.config.layers.environment import generic_variable
from seldon_spec.config.model import SPEC_FILE, ServiceType
from seldon_spec.config.paths import is_file, leaves
from seldon_spec.errors import FieldPath
from seldon_spec.migrate.candidates import VARIABLE, Candidate, Gathered, Rank
from seldon_spec.migrate.class_name import find_class
from seldon_spec.migrate.deployment import read_unit, read_variables
from seldon_spec.migrate.deployment_keys import UnitPlace, read_deployment
from seldon_spec.migrate.manifest import SELDON, Resource
from seldon_spec.migrate.resolve import resolve
from seldon_spec.migrate.seldon_steps import Names, NotAGraph, read_predictors
from seldon_spec.migrate.units import Unit
from seldon_spec.migrate.variables import add_annotation

_CLASS_NAMES = ("MODEL_NAME", generic_variable(("class_name",)))
_OF_COMPONENT = ("replicas", "resources")
"""The keys of ``deployment`` that are not moved to the graph if all components have the same value."""


@dataclass(frozen=True, slots=True)
class GraphUnits:
    """The units of one resource whose classes are in the folder, by the names of their components."""

    resource: Resource
    components: dict[str, Unit]
    names: Names


def find_graph(folder: Path, units: Sequence[Unit]) -> GraphUnits | None:
    """Return the units of a graph whose classes are all in the folder; None if it is the folder of one class."""
    resources = list({id(unit.resource): unit.resource for unit in units}.values())
    if len(resources) != 1 or resources[0].kind != SELDON or len(units) < 2:
        return None
    components: dict[str, Unit] = {}
    names: dict[tuple[str, str], str] = {}
    for unit in units:
        if unit.is_built_in():
            continue
        if unit.is_prepackaged() or not has_class(folder, unit):
            return None
        name = unit.name
        if name in components and not _are_equal(folder, components[name], unit):
            name = f"{unit.name}-{unit.predictor}"
        components.setdefault(name, unit)
        names[unit.predictor, unit.name] = name
    if len(components) < 2 or not all(map(is_label, components)):
        return None
    return GraphUnits(resources[0], components, names)


def has_class(folder: Path, unit: Unit) -> bool:
    """Return whether the folder has the class of a unit, or a subfolder with its spec."""
    if _has_folder(folder, unit.name):
        return True
    class_name = unit.variable(*_CLASS_NAMES)
    if not class_name:
        return False
    found = read_class(folder, class_name)
    return not isinstance(found, NoModule) or len(found.homes) == 1


def _has_folder(folder: Path, name: str) -> bool:
    file = folder / name / SPEC_FILE
    return is_label(name) and is_file(file) and not leaves(folder, file)


def _are_equal(folder: Path, one: Unit, other: Unit) -> bool:
    return _settings(folder, one) == _settings(folder, other)


def _settings(folder: Path, unit: Unit) -> list[tuple[FieldPath, Any]]:
    gathered = Gathered()
    read_unit(unit, gathered)
    read_deployment(unit, (), gathered, UnitPlace(folder, "", {unit.name}))
    return [(candidate.path, candidate.value) for candidate in gathered.candidates]


def add_graph(folder: Path, found: GraphUnits, resources: Sequence[Resource], gathered: Gathered) -> bool:
    """Add a graph and its components; return whether steps can express it.

    Args:
        folder: the migrated folder.
        found: the units of the graph.
        resources: of all manifests.
        gathered: receives the settings.
    """
    predictors = found.resource.tree.get("spec", "predictors")
    assert predictors is not None
    try:
        step = read_predictors(predictors.items(), found.names)
    except NotAGraph as error:
        gathered.leave_out(error.tree.position(), "the graph", error.reason)
        return False
    whole = _read_whole(found)
    parts = {name: _read_part(folder, found, name, resources) for name in list_components(step)}
    for name, part in parts.items():
        _find_home(folder, found.components[name].name, part)
    lifted = _lift(whole, parts)
    types = {name: _find_type(part) for name, part in parts.items()}
    graph = predictors.items()[0].get("graph") or predictors
    value = shorten_graph(step, types)
    gathered.add(("graph",), value, graph.position(), "graph of the predictor", Rank.DEPLOYMENT)
    gathered.extend(whole)
    gathered.candidates += lifted
    for name, part in parts.items():
        chosen = [(path, choice.candidate) for path, choice in resolve(part.candidates).items()]
        part.candidates = [replace(candidate, path=("components", name, *path)) for path, candidate in chosen]
        gathered.extend(part)
    return True


def _read_whole(found: GraphUnits) -> Gathered:
    """Return the settings of the graph: its name, and the variables of the executor, which ``--all`` puts there."""
    whole = Gathered()
    name = found.resource.tree.get("metadata", "name")
    if name is not None:
        whole.add(("name",), name.text(), name.position(), "metadata.name", Rank.DEPLOYMENT)
    for tree in next(iter(found.components.values())).annotations():
        for key, value in tree.entries():
            add_annotation(whole, key, value.text(), value.position())
    if found.resource.is_ours:
        predictors = found.resource.tree.get("spec", "predictors")
        for predictor in predictors.items() if predictors else ():
            variables = predictor.get("svcOrchSpec", "env")
            read_variables(variables.items() if variables else [], whole)
    return whole


def _read_part(folder: Path, found: GraphUnits, name: str, resources: Sequence[Resource]) -> Gathered:
    """Return the settings of a component; its own name is that of the graph's step."""
    unit, part = found.components[name], Gathered()
    read_unit(unit, part)
    part.candidates = [each for each in part.candidates if not _is_of_whole(each)]
    names = {each.name for each in found.components.values()}
    read_deployment(unit, resources, part, UnitPlace(folder, found.resource.name, names))
    return part


def _is_of_whole(candidate: Candidate) -> bool:
    """Return whether a candidate of a unit is not the component's: the name of its step, or a limit of all requests."""
    is_name = candidate.path == ("name",) and candidate.label == "graph.name"
    return is_name or (candidate.path[0] == "server" and candidate.label.startswith("annotation "))


def _find_home(folder: Path, name: str, part: Gathered) -> None:
    """Correct the module of the class of a component; a component with a folder of its own has it there."""
    named = resolve(part.candidates).get(("class_name",))
    if _has_folder(folder, name):
        part.candidates = [each for each in part.candidates if each.path != ("class_name",)]
    elif named is not None:
        find_class(folder, named.candidate, part)


def _find_type(part: Gathered) -> ServiceType:
    choice = resolve(part.candidates).get(("service_type",))
    return ServiceType(choice.candidate.value) if choice else ServiceType.MODEL


def _lift(whole: Gathered, parts: dict[str, Gathered]) -> list[Candidate]:
    """Move to the graph what all components have from it, and return it.

    That is the deployment, except for the number and the resources of pods, and the variables. Values that the graph
    has already are removed from the components.
    """
    chosen = [resolve(part.candidates) for part in parts.values()]
    first = chosen[0]
    known = {path: choice.candidate.value for path, choice in resolve(whole.candidates).items()}
    lifted: dict[FieldPath, Candidate] = {}
    for path, choice in first.items():
        is_common = all(path in each and each[path].candidate.value == choice.candidate.value for each in chosen)
        if is_common and path not in known and _may_lift(path):
            lifted[path] = choice.candidate
    for part in parts.values():
        part.candidates = [
            each for each in part.candidates if _field(each) not in lifted and not _is_of_graph(each, known)
        ]
    return list(lifted.values())


def _field(candidate: Candidate) -> FieldPath:
    path = candidate.path
    return ("environment", path[1]) if path[0] == VARIABLE else path


def _may_lift(path: FieldPath) -> bool:
    if path[0] == "deployment":
        return path[1] not in _OF_COMPONENT
    return path[0] == "environment"


def _is_of_graph(candidate: Candidate, known: dict[FieldPath, Any]) -> bool:
    """Return whether the container of a component has a value from the graph: a variable, or a part of the image."""
    path = _field(candidate)
    if path not in known or path[0] not in ("environment", "image"):
        return False
    is_reference = isinstance(candidate.value, dict) and isinstance(known[path], dict) and path[0] == "environment"
    return candidate.value == known[path] or is_reference
