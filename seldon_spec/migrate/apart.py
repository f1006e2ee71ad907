"""A graph whose components have Deployments of their own: what ``manifest`` renders with ``deployment.apart``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from seldon_spec.deploy.manifest.tree import subtract
from seldon_spec.migrate.candidates import Candidate, Gathered, Rank
from seldon_spec.migrate.deployment import read_unit
from seldon_spec.migrate.deployment_keys import UnitPlace, read_deployment
from seldon_spec.migrate.manifest import DEPLOYMENT, Resource
from seldon_spec.migrate.resolve import Choice, resolve
from seldon_spec.migrate.unit_spec import build_unit_spec
from seldon_spec.migrate.units import Unit

_PART_OF = "app.kubernetes.io/part-of"
_OF_GRAPH = ("namespace", "monitoring", "network_policy")
"""The keys of ``deployment`` that a graph has for its components."""


@dataclass(frozen=True, slots=True)
class Apart:
    """The Deployment of the front end, and those of components by name."""

    front: Unit
    parts: Mapping[str, Unit]


def find_apart(units: Sequence[Unit]) -> Apart | None:
    """Return the Deployments of the only graph among the units; None if there is no such graph."""
    ours = [unit for unit in units if unit.is_ours and unit.resource.kind == DEPLOYMENT]
    fronts = [unit for unit in ours if _find_graph(unit) == unit.name]
    if len(fronts) != 1 or len(ours) < 2 or len(ours) < len(units):
        return None
    (front,) = fronts
    prefix = f"{front.name}-"
    parts = {unit.name.removeprefix(prefix): unit for unit in ours if unit is not front}
    are_parts = all(unit.name.startswith(prefix) and _find_graph(unit) == front.name for unit in parts.values())
    return Apart(front, parts) if are_parts else None


def _find_graph(unit: Unit) -> str:
    return unit.resource.tree.text("metadata", "labels", _PART_OF)


def add_apart(folder: Path, apart: Apart, resources: Sequence[Resource], gathered: Gathered) -> None:
    """Add the settings of the front end, and the section ``deployment`` of each component."""
    front = Gathered()
    read_unit(apart.front, front)
    read_deployment(apart.front, resources, front, UnitPlace(folder, apart=apart.parts.keys()))
    generated = {("components", name, key) for name in apart.parts for key in ("url", "token")}
    front.candidates = [each for each in front.candidates if each.path[:3] not in generated]
    position = apart.front.resource.tree.position()
    label = "a Deployment for each component"
    front.add(("deployment", "apart"), value=True, position=position, label=label, rank=Rank.DEPLOYMENT)
    gathered.extend(front)
    known = resolve(front.candidates)
    user = build_unit_spec(front.candidates, apart.front.name, folder).image.user
    for name, unit in apart.parts.items():
        part = Gathered()
        read_unit(unit, part)
        read_deployment(unit, resources, part, UnitPlace(folder, apart.front.name, user=user))
        own = [_without_graph(choice.candidate, known) for choice in resolve(part.candidates).values()]
        part.candidates = [replace(each, path=("components", name, *each.path)) for each in own if each is not None]
        gathered.extend(part)


def _without_graph(candidate: Candidate, known: Mapping[tuple[str, ...], Choice]) -> Candidate | None:
    """Return a key of ``deployment`` without what the component has from the graph; None if nothing is left."""
    path = candidate.path
    if path[0] != "deployment" or path[1] in _OF_GRAPH:
        return None
    whole = known.get(path)
    if whole is None or path[1] in ("image", "replicas", "resources"):
        return candidate
    if whole.candidate.value == candidate.value:
        return None
    if path[1] != "pod":
        return candidate
    value = subtract(candidate.value, whole.candidate.value)
    return replace(candidate, value=value) if value else None
