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
from seldon_spec.config.image_name import find_tag
from seldon_spec.config.layers.environment import generic_variable
from seldon_spec.config.model import SPEC_FILE, ServiceType
from seldon_spec.config.paths import is_file, leaves
from seldon_spec.errors import FieldPath
from seldon_spec.migrate.candidates import VARIABLE, Candidate, Gathered, Rank
from seldon_spec.migrate.class_name import find_class
from seldon_spec.migrate.deployment import read_unit, read_variables
from seldon_spec.migrate.deployment_keys import UnitPlace, is_part, read_deployment
from seldon_spec.migrate.manifest import SELDON, Resource
from seldon_spec.migrate.prepackaged import is_served, read_prepackaged
from seldon_spec.migrate.resolve import resolve
from seldon_spec.migrate.seldon_steps import Names, NotAGraph, read_predictors
from seldon_spec.migrate.unit_spec import build_unit_spec
from seldon_spec.migrate.units import Unit
from seldon_spec.migrate.variables import add_annotation

GRAPH = "the graph"
"""The name of a graph in what is left out."""

_CLASS_NAMES = ("MODEL_NAME", generic_variable(("class_name",)))
_DESCRIBED = (generic_variable(("class_name",)), generic_variable(("graph",)))
_GRAPH = generic_variable(("graph",))
_OF_COMPONENT = ("image", "replicas", "resources")
_MERGED = ("pod", "secrets", "service_account")
_OF_GRAPH = tuple(("deployment", key) for key in ("executor", "monitoring", "namespace", "network_policy"))
"""The keys of a component; those that a component may have from its graph; and those of the graph alone."""


@dataclass(frozen=True, slots=True)
class GraphUnits:
    """The units of one resource whose classes are in the folder, by the names of their components."""

    resource: Resource
    components: dict[str, Unit]
    names: Names


def find_graph(folder: Path, units: Sequence[Unit]) -> GraphUnits | None:
    """Return the units of a graph that all have a class in the folder, or a model file; None if it is no graph."""
    resources = list({id(unit.resource): unit.resource for unit in units}.values())
    if len(resources) != 1 or resources[0].kind != SELDON:
        return None
    components: dict[str, Unit] = {}
    names: dict[tuple[str, str], str] = {}
    for unit in units:
        if unit.is_built_in():
            continue
        if not (is_served(unit) if unit.is_prepackaged() else has_class(folder, unit)):
            return None
        name = unit.name
        is_same_container = name in components and components[name].predictor == unit.predictor
        if name in components and not is_same_container and not _are_equal(folder, components[name], unit):
            name = f"{unit.name}-{unit.predictor}"
        components.setdefault(name, unit)
        names[unit.predictor, unit.name] = name
    are_several = len(components) > 1 or is_graph(resources[0])
    if not are_several or not all(map(is_label, components)):
        return None
    return GraphUnits(resources[0], components, names)


def is_graph(resource: Resource) -> bool:
    """Return whether a manifest of ours describes a graph, perhaps of one component."""
    return resource.is_ours and resource.tree.text("metadata", "labels", "app.kubernetes.io/component") == "graph"


def has_class(folder: Path, unit: Unit) -> bool:
    """Return whether the folder has the class of a unit, or a subfolder with its spec."""
    if _has_folder(folder, unit.name) or (unit.is_ours and unit.variable(_GRAPH)):
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
    if is_served(unit):
        read_prepackaged(folder, unit, gathered)
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
        gathered.leave_out(error.tree.position(), GRAPH, error.reason)
        return False
    whole = _read_whole(found)
    units = {each.name for each in found.components.values()}
    user = build_unit_spec(whole.candidates, found.resource.name, folder).image.user
    parts = {
        name: _read_part(found, name, resources, UnitPlace(folder, found.resource.name, units, user=user))
        for name in list_components(step)
    }
    for name, part in parts.items():
        _find_home(folder, found.components[name].name, part)
    lifted = _lift(found, whole, parts)
    _add_image(folder, found, whole)
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


def _read_part(found: GraphUnits, name: str, resources: Sequence[Resource], place: UnitPlace) -> Gathered:
    """Return the settings of a component; its own name is that of the graph's step."""
    unit, part = found.components[name], Gathered()
    read_unit(unit, part)
    if is_served(unit):
        read_prepackaged(place.folder, unit, part)
    part.candidates = [each for each in part.candidates if not _is_of_whole(each)]
    read_deployment(unit, resources, part, place)
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


def _lift(found: GraphUnits, whole: Gathered, parts: dict[str, Gathered]) -> list[Candidate]:
    """Move to the graph what its components have from it, and return it.

    That is what the resource has itself, and values that all of several components have in common. Values that the
    graph has already are removed from the components.
    """
    chosen = [resolve(part.candidates) for part in parts.values()]
    known = {path: choice.candidate.value for path, choice in resolve(whole.candidates).items()}
    of_resource = _list_metadata(found.resource)
    is_described = any(unit.variable(*_DESCRIBED) for unit in found.components.values())
    lifted: dict[FieldPath, Candidate] = {}
    for path, choice in chosen[0].items():
        is_common = all(path in each and each[path].candidate.value == choice.candidate.value for each in chosen)
        is_shared = len(chosen) > 1 and _may_lift(path, found, is_described=is_described)
        if path not in known and (path[:2] in _OF_GRAPH or (is_common and is_shared)):
            lifted[path] = choice.candidate
    for part in parts.values():
        for candidate in part.candidates:
            if candidate.path in of_resource and of_resource[candidate.path] == candidate.value:
                lifted.setdefault(candidate.path, candidate)
        part.candidates = [each for each in part.candidates if not _is_of_graph(each, known, lifted)]
    return list(lifted.values())


def _list_metadata(resource: Resource) -> dict[FieldPath, Any]:
    """Return the labels and annotations of a resource by their keys in a spec."""
    trees = [(kind, resource.tree.get("metadata", kind)) for kind in ("labels", "annotations")]
    return {("deployment", kind, key): value.text() for kind, tree in trees if tree for key, value in tree.entries()}


def _field(candidate: Candidate) -> FieldPath:
    path = candidate.path
    return ("environment", path[1]) if path[0] == VARIABLE else path


def _add_image(folder: Path, found: GraphUnits, whole: Gathered) -> None:
    """Add the image of the graph, in which its components run unless they have images of their own."""
    images = [unit.container.get("image") for unit in found.components.values() if unit.container and is_part(unit)]
    image = images[0] if images else None
    spec = build_unit_spec(whole.candidates, found.resource.name, folder)
    if found.resource.is_ours and image is not None and image.text() != find_tag(spec):
        whole.add(("deployment", "image"), image.text(), image.position(), "image", Rank.DEPLOYMENT)


def _may_lift(path: FieldPath, found: GraphUnits, *, is_described: bool) -> bool:
    """Return whether a common value of components is one of the graph, unless the manifest shows that it is not."""
    if path[0] == "deployment":
        return path[1] in _MERGED if found.resource.is_ours else path[1] not in _OF_COMPONENT
    return path[0] == "environment" and not is_described


def _is_of_graph(candidate: Candidate, known: dict[FieldPath, Any], lifted: dict[FieldPath, Candidate]) -> bool:
    """Return whether a component has a value from the graph: a key of it, a variable, or a part of the image."""
    path = _field(candidate)
    if path in lifted:
        return path[:2] in _OF_GRAPH or candidate.value == lifted[path].value
    if path not in known or path[0] not in ("environment", "image"):
        return False
    is_reference = isinstance(candidate.value, dict) and isinstance(known[path], dict) and path[0] == "environment"
    return candidate.value == known[path] or is_reference
