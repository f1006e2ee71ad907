"""The units of a folder's manifests: what one container serves, with everything that describes it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from seldon_spec.config.layers.environment import generic_variable
from seldon_spec.migrate.candidates import Gathered
from seldon_spec.migrate.command import PROGRAM
from seldon_spec.migrate.manifest import DEPLOYMENT, INFERENCE_SERVICE, SELDON, Resource, Tree

_NO_IMPLEMENTATION = ("", "UNKNOWN_IMPLEMENTATION")
_BUILT_IN = ("RANDOM_ABTEST", "AVERAGE_COMBINER")
_SERVER_VARIABLE = re.compile(r"MODEL_NAME|SELDON_SPEC__.+")


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit of a graph, or the only one of a Deployment or an InferenceService.

    Attributes:
        resource: that describes the unit.
        graph: the unit's node in the graph; for a resource without a graph, the resource.
        predictor: the name of its predictor, which only a SeldonDeployment has.
        predictor_tree: of the predictor; for a Deployment, its ``spec``.
        template: the mapping with the metadata, the specification and the number of the pods.
        pod: the specification of its pods.
    """

    resource: Resource
    name: str
    graph: Tree
    predictor_tree: Tree
    predictor: str = ""
    template: Tree | None = None
    pod: Tree | None = None
    container: Tree | None = None

    @property
    def file(self) -> str:
        """The file, relative to the migrated folder."""
        return self.resource.file

    @property
    def is_ours(self) -> bool:
        """Whether ``seldon-spec manifest`` rendered it."""
        return self.resource.is_ours

    def __str__(self) -> str:
        return "/".join(part for part in (self.resource.name, self.predictor, self.name) if part)

    def is_prepackaged(self) -> bool:
        """Return whether the unit is a server or a function of Seldon instead of an image with a class."""
        return self.graph.text("implementation") not in _NO_IMPLEMENTATION

    def is_built_in(self) -> bool:
        """Return whether the unit is a function of Seldon that a step of a graph can replace."""
        return self.graph.text("implementation") in _BUILT_IN

    def variables(self) -> list[Tree]:
        """Return the variables of the container."""
        found = self.container.get("env") if self.container else None
        return found.items() if found else []

    def variable_name(self, variable: Tree) -> str:
        """Return the name of a variable; of a component's own graph, without its place in the graph around."""
        arguments = self.container.get("args") if self.container else None
        texts = [each.text() for each in arguments.items()] if arguments else []
        component = next((after for text, after in pairwise(texts) if text == "--component"), None)
        name = variable.text("name")
        around = generic_variable(("components", component, "")) if component else ""
        return generic_variable((name.removeprefix(around),)) if around and name.startswith(around) else name

    def variable(self, *names: str) -> str:
        """Return the text of the last variable with one of the names; empty if there is none."""
        found = [each.text("value") for each in self.variables() if self.variable_name(each) in names]
        return found[-1] if found else ""

    def annotations(self) -> list[Tree]:
        """Return the annotations of the pods and of the resources around them."""
        spec = self.resource.tree.get("spec")
        trees = (
            self.resource.tree.get("metadata", "annotations"),
            spec.get("annotations") if spec else None,
            self.predictor_tree.get("annotations"),
            self.template.get("metadata", "annotations") if self.template else None,
        )
        return [tree for tree in trees if tree is not None]

    def labels(self) -> list[Tree]:
        """Return the labels of the pods and of the resources around them; a predictor of ours has only its version."""
        is_version = self.is_ours and self.resource.kind == SELDON
        trees = (
            self.resource.tree.get("metadata", "labels"),
            None if is_version else self.predictor_tree.get("labels"),
            self.template.get("metadata", "labels") if self.template else None,
        )
        return [tree for tree in trees if tree is not None]


def list_units(resources: Sequence[Resource], gathered: Gathered) -> list[Unit]:
    """Return the units of SeldonDeployments; if there are none, those of Deployments and InferenceServices."""
    units: list[Unit] = []
    for resource in resources:
        if resource.kind == SELDON:
            found = list(_seldon_units(resource))
            units += found
            if not found:
                why = "no predictor has a graph, so there is nothing to migrate"
                gathered.leave_out(resource.tree.position(), SELDON, why)
    if units:
        return units
    makers = {DEPLOYMENT: _deployment_unit, INFERENCE_SERVICE: _service_unit}
    made = (makers[each.kind](each) for each in resources if each.kind in makers)
    return [unit for unit in made if unit is not None]


def _seldon_units(resource: Resource) -> Iterator[Unit]:
    predictors = resource.tree.get("spec", "predictors")
    for predictor in predictors.items() if predictors else ():
        containers = {container.text("name"): (spec, container) for spec, container in _containers(predictor)}
        for graph in walk_graph(predictor.get("graph")):
            name = graph.text("name")
            template, container = containers.get(name, (None, None))
            pod = template.get("spec") if template else None
            yield Unit(resource, name, graph, predictor, predictor.text("name"), template, pod, container)


def walk_graph(tree: Tree | None) -> Iterator[Tree]:
    """Yield a node of a graph, then its descendants; the parser limits the depth."""
    if tree is None:
        return
    yield tree
    children = tree.get("children")
    for child in children.items() if children else ():
        yield from walk_graph(child)


def _containers(predictor: Tree) -> Iterator[tuple[Tree, Tree]]:
    """Yield the containers of a predictor, each with the mapping that describes its pod."""
    specs = predictor.get("componentSpecs")
    listed = specs.items() if specs else []
    oldest = predictor.get("componentSpec")  # v1alpha1 has one instead of a list
    for spec in [*listed, *([oldest] if oldest else [])]:
        containers = spec.get("spec", "containers")
        yield from ((spec, container) for container in (containers.items() if containers else ()))


def _deployment_unit(resource: Resource) -> Unit | None:
    template = resource.tree.get("spec", "template")
    pod = template.get("spec") if template else None
    spec = resource.tree.get("spec")
    container = _find_server(resource, pod, "")
    if spec is None or container is None:
        return None
    return Unit(resource, resource.name, resource.tree, spec, "", template, pod, container)


def _service_unit(resource: Resource) -> Unit | None:
    predictor = resource.tree.get("spec", "predictor")
    container = _find_server(resource, predictor, "kserve-container")
    if predictor is None or container is None:
        return None
    return Unit(resource, resource.name, resource.tree, predictor, "", None, predictor, container)


def _find_server(resource: Resource, pod: Tree | None, name: str) -> Tree | None:
    """Return the container that runs this server or the old one; of a resource of ours, the named or the first one."""
    listed = pod.get("containers") if pod else None
    containers = listed.items() if listed else []
    if resource.is_ours:
        return next((each for each in containers if each.text("name") == name), containers[0] if containers else None)
    return next((each for each in containers if _runs_server(each)), None)


def _runs_server(container: Tree) -> bool:
    variables = container.get("env")
    if any(_SERVER_VARIABLE.fullmatch(each.text("name")) for each in (variables.items() if variables else ())):
        return True
    trees = [tree for key in ("command", "args") if (tree := container.get(key)) is not None]
    words = " ".join(word.text() for tree in trees for word in tree.items())
    return PROGRAM in words or "seldon-spec serve" in words
