"""The variables of a container and the file in its image give the spec that a manifest was rendered from."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, assume, example, given, settings
from hypothesis import strategies as st

from seldon_spec.config.deployment import DeploymentSpec
from seldon_spec.config.loader import LoadOptions, load
from seldon_spec.config.model import ImageSpec, Spec, UnitSpec
from seldon_spec.deploy.manifest.render import build_documents, find_problems
from seldon_spec.deploy.manifest.target import Target
from seldon_spec.deploy.manifest.tree import to_plain
from seldon_spec.deploy.manifest.workload import Workload, list_components, list_workloads
from seldon_spec.errors import FieldPath, Severity
from tests.deploy.manifest_specs import LITERAL, SPECS, RandomSpec, graphs

Tree = Mapping[str, Any]


@dataclass(frozen=True)
class Container:
    """A container of a manifest: its arguments and its variables, as a process has them."""

    arguments: list[str]
    variables: Mapping[str, str]

    @property
    def own_variables(self) -> dict[str, str]:
        """The variables that do not name the predictor."""
        return {name: text for name, text in self.variables.items() if not name.startswith("PREDICTOR_")}


@pytest.fixture(scope="module")
def make_folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return lambda: tmp_path_factory.mktemp("spec")


# ----- containers

SECRET = "a secret $(HOME) ${HOME} $$"
ALWAYS_SECRET: Mapping[str, str] = defaultdict(lambda: SECRET)
"""The variables of the command that starts Compose's services."""


def expand(text: str, known: Mapping[str, str]) -> str:
    """Return a text as the kubelet expands it, where ``known`` are the variables before it.

    Source: Kubernetes, third_party/forked/golang/expansion, the documentation of ``EnvVar.value``.
    """

    def replace_one(match: re.Match[str]) -> str:
        return "$" if match[1] == "$" else known.get(match[1][1:-1], match[0])

    return re.sub(r"\$(\$|\([^)]*\))", replace_one, text)


def interpolate(text: str, known: Mapping[str, str]) -> str:
    """Return a text as Compose interpolates it; a variable of the manifest has to be known."""

    def replace_one(match: re.Match[str]) -> str:
        return "$" if match[1] == "$" else known[match[1][1:-1].partition(":?")[0]]

    return re.sub(r"\$(\$|\{[^}]*\}|[A-Za-z_][A-Za-z0-9_]*)", replace_one, text)


def read_container(container: Tree, more: Tree = MappingProxyType({})) -> Container:
    """Read a container of a pod; ``more`` are variables that an operator adds, where the manifest has none."""
    listed = [*container.get("env", ())]
    names = {each["name"] for each in listed}
    listed += [{"name": name, "value": value} for name, value in more.items() if name not in names]
    variables: dict[str, str] = {}
    for each in listed:
        is_secret = "valueFrom" in each
        variables[each["name"]] = SECRET if is_secret else expand(each["value"], variables)
    return Container([expand(each, variables) for each in container.get("args", ())], variables)


def read_deployments(trees: list[Tree]) -> Iterator[tuple[str, Container]]:
    for tree in trees:
        if tree["kind"] == "Deployment":
            [container] = tree["spec"]["template"]["spec"]["containers"]
            yield tree["metadata"]["name"], read_container(container)


def read_services(trees: list[Tree]) -> Iterator[tuple[str, Container]]:
    for tree in trees:
        if tree["kind"] == "InferenceService":
            [container] = tree["spec"]["predictor"]["containers"]
            yield tree["metadata"]["name"], read_container(container)


def read_compose(trees: list[Tree]) -> Iterator[tuple[str, Container]]:
    [tree] = trees
    for name, service in tree["services"].items():
        values = service.get("environment", {})
        assert all(isinstance(value, str) for value in values.values())
        variables = {key: interpolate(value, ALWAYS_SECRET) for key, value in values.items()}
        yield name, Container([interpolate(each, {}) for each in service.get("command", ())], variables)


def read_seldon(trees: list[Tree]) -> Iterator[tuple[str, Container]]:
    [deployment] = [tree for tree in trees if tree["kind"] == "SeldonDeployment"]
    for predictor in deployment["spec"]["predictors"]:
        units = {unit["name"]: unit for unit in walk_units(predictor["graph"])}
        for part in predictor["componentSpecs"]:
            [container] = part["spec"]["containers"]
            name = container["name"]
            yield (
                name,
                read_container(container, list_operator_variables(deployment, predictor, units[name], container)),
            )


def walk_units(unit: Tree) -> Iterator[Tree]:
    yield unit
    for child in unit.get("children", ()):
        yield from walk_units(child)


def list_operator_variables(deployment: Tree, predictor: Tree, unit: Tree, container: Tree) -> dict[str, str]:
    """Return the variables that Seldon's operator sets in the container of a unit (contract section 7.7)."""
    ports = {each["name"]: str(each["containerPort"]) for each in container["ports"]}
    parameters = {"PREDICTIVE_UNIT_PARAMETERS": json.dumps(unit["parameters"])} if "parameters" in unit else {}
    return {
        "PREDICTIVE_UNIT_SERVICE_PORT": ports["http"],
        "PREDICTIVE_UNIT_HTTP_SERVICE_PORT": ports["http"],
        "MLSERVER_HTTP_PORT": ports["http"],
        "PREDICTIVE_UNIT_GRPC_SERVICE_PORT": ports.get("grpc", "9500"),
        "MLSERVER_GRPC_PORT": ports.get("grpc", "9500"),
        "PREDICTIVE_UNIT_METRICS_SERVICE_PORT": ports["metrics"],
        "MLSERVER_METRICS_PORT": ports["metrics"],
        "PREDICTIVE_UNIT_METRICS_ENDPOINT": "/prometheus",
        "MLSERVER_METRICS_ENDPOINT": "/prometheus",
        "MLSERVER_MODEL_NAME": unit["name"],
        "PREDICTIVE_UNIT_ID": container["name"],
        "PREDICTIVE_UNIT_IMAGE": container["image"],
        "PREDICTOR_ID": predictor["name"],
        "PREDICTOR_LABELS": json.dumps({"version": predictor["name"], **predictor.get("labels", {})}),
        "SELDON_DEPLOYMENT_ID": deployment["metadata"]["name"],
        "SELDON_EXECUTOR_ENABLED": "true",
        **parameters,
    }


READERS: Mapping[Target, Callable[[list[Tree]], Iterator[tuple[str, Container]]]] = {
    Target.KUBERNETES: read_deployments,
    Target.KSERVE: read_services,
    Target.COMPOSE: read_compose,
    Target.SELDON: read_seldon,
}


# ----- specs


def list_pods(spec: Spec, target: Target) -> list[Workload]:
    """Return what runs in the pods of a manifest."""
    if target is Target.SELDON:
        return list_components(spec)
    workloads = list_workloads(spec)
    return workloads[1:] if target is Target.KSERVE and len(workloads) > 1 else workloads


def load_pod(path: Path, workload: Workload, container: Container) -> Spec:
    """Return the spec that a container serves, whose image has the folder of ``path``, or of its own file."""
    if workload.has_own_image:
        assert container.arguments == []
        return load(path if not workload.at else workload.spec.folder, container.variables)
    assert container.arguments == ["seldon-spec", "serve", "--component", workload.component]
    graph = load(path, container.variables, options=LoadOptions(component=container.arguments[-1]))
    found = graph.components[container.arguments[-1]].spec
    assert found is not None
    return found


def remove_unserved(spec: Spec) -> Spec:
    """Return a spec without what the server does not read, and without the shutdown, which the manifest changes."""
    components = {
        name: replace(
            each, spec=None if each.spec is None or each.url else remove_unserved(each.spec), has_feedback=False
        )
        for name, each in spec.components.items()
    }
    return replace(
        spec,
        components=MappingProxyType(components),
        deployment=DeploymentSpec(),
        image=ImageSpec(),
        unit=UnitSpec(),
        server=replace(spec.server, shutdown=replace(spec.server.shutdown, grace_seconds=1, delay_seconds=0)),
    )


OVERRIDES: dict[FieldPath, st.SearchStrategy[str]] = {
    ("version",): st.just("3.0"),
    ("parameters", "threshold"): st.sampled_from(["0.7", "[1, 2]", '{"a": null}', "$(HOME) $$", "text", "007"]),
    ("parameters", "Upper"): st.just("true"),
    ("parameters", "with-dash"): st.just("1"),
    ("environment", "VAR_X"): st.sampled_from(["", "$$(A)", "1"]),
    ("ports", "http"): st.just("8080"),
    ("ports", "grpc"): st.just("null"),
    ("server", "log", "level"): st.just("DEBUG"),
    ("server", "max_queue"): st.just("7"),
    ("flask", "SESSION_COOKIE_NAME"): st.just("other"),
    ("flask", "TRUSTED_HOSTS"): st.just('["a.example.com"]'),
    ("components", "iris", "parameters", "label"): st.just("3"),
    ("components", "iris", "version"): st.just("7"),
    ("components", "deep", "parameters", "x__y"): st.just("false"),
    ("components", "remote", "url"): st.just("http://other.example.com"),
    ("components", "inner", "components", "iris", "parameters", "path"): st.just('"7"'),
}


MODEL = {"class_name": "parts.Model", "service_type": "MODEL"}
NESTED = RandomSpec(
    {
        "name": "shop",
        "graph": "inner",
        "components": {"inner": {"graph": ["iris", "iris-2"], "components": {"iris": MODEL, "iris-2": MODEL}}},
        "deployment": {"apart": True},
    }
)
"""A graph of a graph: in the pods of the inner one, both have variables."""

REFERRING = RandomSpec({**MODEL, "name": "iris", "parameters": {"label": "$(PREDICTIVE_UNIT_ID) $$ $"}})
"""A class with a text in which the kubelet would put a variable of Seldon's operator."""

SECRETIVE = RandomSpec({**MODEL, "name": "iris", "parameters": {"api_key": f"{LITERAL}-1"}})
"""A class with a literal secret, which is left out of a manifest; other parameters are not."""


@pytest.mark.parametrize("target", READERS)
@example(random=SECRETIVE, flags={("parameters", "Upper"): "true"}, is_complete=True)
@example(random=REFERRING, flags={}, is_complete=False)
@example(random=NESTED, flags={}, is_complete=True)
@example(
    random=NESTED, flags={("components", "inner", "components", "iris", "parameters", "path"): '"7"'}, is_complete=False
)
@settings(
    max_examples=25,
    derandomize=True,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # to shrink a case takes minutes
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.filter_too_much,
        HealthCheck.function_scoped_fixture,
    ],
)
@given(
    random=SPECS | graphs(),
    flags=st.lists(st.sampled_from(sorted(OVERRIDES)), max_size=6, unique=True).flatmap(
        lambda paths: st.fixed_dictionaries({path: OVERRIDES[path] for path in paths})
    ),
    is_complete=st.booleans(),
)
def test_a_container_has_the_spec_that_was_rendered(
    make_folder: Any, target: Target, random: RandomSpec, flags: dict[FieldPath, str], is_complete: bool
) -> None:
    path = random.write(make_folder())
    known: Any = random.tree.get("components", {})
    inner = known.get("inner", {}).get("components", {})
    for at in list(flags):
        if at[0] == "components" and (at[1] not in known or (at[1] == "inner" and at[3] not in inner)):
            del flags[at]
    spec = load(path, {}, flags)
    problems = find_problems(spec, target, is_complete=is_complete)
    assume(all(problem.severity is not Severity.ERROR for problem in problems))
    documents = [to_plain(each) for each in build_documents(spec, target, is_complete=is_complete)]
    incomplete = {problem.path[:2] for problem in problems if problem.code == "deployment-secret"}
    files, containers = random.folders, dict[str, Container]()
    for name, container in READERS[target](documents):
        first = containers.setdefault(name, container)  # two predictors may have the same component
        assert (first.arguments, first.own_variables) == (container.arguments, container.own_variables)
    for workload in list_pods(spec, target):
        container = containers.pop(workload.name)
        if workload.at and workload.has_own_image and (workload.at in incomplete or workload.component not in files):
            continue  # its own file is in its image only, which lacks literal secrets of its entry
        loaded = load_pod(path, workload, container)
        names = {name for name, value in workload.spec.environment.items() if isinstance(value, str)}
        process = {name: text for name, text in container.variables.items() if name in names}
        environment = {**loaded.environment, **process}  # the variables of the process take precedence
        check_pod(workload, replace(loaded, environment=MappingProxyType(environment)))
    assert containers == {}


@pytest.mark.parametrize("target", [Target.KUBERNETES, Target.COMPOSE, Target.SELDON])
def test_the_classes_of_a_graph_have_its_environment(tmp_path: Path, target: Target) -> None:
    """Also in other pods, as in one process; their own variables take precedence."""
    environment = {"VAR_A": "$(HOME) $HOME", "VAR_B": {"from_env": "SECRET_VAR_B"}, "VAR_C": "1", "VAR_D": "2"}
    own = {**MODEL, "environment": {"VAR_C": {"from_env": "VAR_C"}, "VAR_D": "2"}}
    random = RandomSpec({**NESTED.tree, "graph": "iris", "components": {"iris": own}, "environment": environment})
    spec = load(random.write(tmp_path), {}, {("environment", "VAR_C"): '{"from_env": "VAR_C"}'})
    documents = [to_plain(each) for each in build_documents(spec, target)]
    container = dict(READERS[target](documents))["iris" if target is Target.SELDON else "shop-iris"]
    variables = {name: text for name, text in container.variables.items() if name.startswith("VAR_")}
    assert variables.pop("VAR_D", "2") == "2"
    assert variables == {"VAR_A": "$(HOME) $HOME", "VAR_B": SECRET, "VAR_C": SECRET}


def check_pod(workload: Workload, loaded: Spec) -> None:
    """Fail if a container serves another spec than that of its workload."""
    expected = workload.spec
    urls = {name: replace(each, url=workload.urls.get(name, each.url)) for name, each in expected.components.items()}
    loaded, expected = remove_unserved(loaded), remove_unserved(replace(expected, components=MappingProxyType(urls)))
    for name in (each.name for each in fields(Spec) if each.compare):
        assert getattr(loaded, name) == getattr(expected, name), name
