"""SeldonDeployments: the units of each form of a graph, what cannot be a unit, and the settings in the manifest."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from seldon_spec.cli.serving import find_component
from seldon_spec.config.loader import LoadOptions, load
from seldon_spec.config.model import Spec
from seldon_spec.config.secrets import prepare_to_load
from seldon_spec.deploy.manifest.render import build_documents, find_problems
from seldon_spec.deploy.manifest.target import Target
from seldon_spec.deploy.manifest.tree import to_plain
from seldon_spec.errors import Diagnostic, Severity

CLASSES = """
class M:
    def __init__(self, **parameters):
        pass

    def predict(self, X, names):
        return X


class T(M):
    def transform_input(self, X, names):
        return X

    def transform_output(self, X, names):
        return X


class Out:
    def transform_output(self, X, names):
        return X


class In:
    def transform_input(self, X, names):
        return X

    def send_feedback(self, X, names, reward, truth, routing=None):
        pass


class R:
    def route(self, X, names):
        return 0


class K:
    def aggregate(self, X, names):
        return X[0]

    def send_feedback(self, X, names, reward, truth, routing=None):
        pass


class L(M):
    def send_feedback(self, X, names, reward, truth, routing=None):
        pass
"""
ENTRIES = """
components:
  a: {class_name: parts.M}
  b: {class_name: parts.M}
  c: {class_name: parts.M}
  t: {class_name: parts.T, service_type: TRANSFORMER}
  u: {class_name: parts.T, service_type: TRANSFORMER}
  i: {class_name: parts.In, service_type: TRANSFORMER}
  d: {class_name: parts.T, service_type: OUTLIER_DETECTOR}
  both: {class_name: parts.T}
  learns: {class_name: parts.L}
  r: {class_name: parts.R, service_type: ROUTER}
  k: {class_name: parts.K, service_type: COMBINER}
  far: {url: "http://far:9000", service_type: MODEL}
  inner: {graph: [u, c], components: {u: {class_name: parts.T, service_type: TRANSFORMER}, c: {class_name: parts.M}}}
"""
HEAD = "name: whole\ndeployment: {image: example.com/whole:1, resources: {cpu: 1}}\n"

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_spec(text: str) -> Path:
        (tmp_path / "parts.py").write_text(CLASSES)
        (tmp_path / "requirements.txt").touch()
        (tmp_path / "seldon.yaml").write_text(text)
        return tmp_path

    return write_spec


def render(spec: Spec, *, is_complete: bool = False) -> Any:
    """Return the SeldonDeployment of a spec."""
    return to_plain(build_documents(spec, Target.SELDON, is_complete=is_complete)[0])


def check(spec: Spec, *, is_complete: bool = False) -> list[Diagnostic]:
    """Return the problems that depend on the target."""
    problems = find_problems(spec, Target.SELDON, is_complete=is_complete)
    return [each for each in problems if each.code.endswith("not-in-target") or each.code == "deployment-secret"]


def describe(unit: Mapping[str, Any]) -> str:
    """Return a tree of units on a line: NAME:TYPE+METHODS(CHILDREN)."""
    kinds = [unit.get("type") or unit.get("implementation") or "", *unit.get("methods", [])]
    values = [f"={each['value']}" for each in unit.get("parameters", [])]
    children = ", ".join(map(describe, unit.get("children", [])))
    return f"{unit['name']}:{'+'.join(kinds)}{''.join(values)}{f'({children})' if children else ''}"


def describe_predictors(document: Any) -> str:
    shown = []
    for each in document["spec"]["predictors"]:
        traffic = f" {each['traffic']}%" if "traffic" in each else ""
        shadow = " shadow" if each.get("shadow") else ""
        shown.append(f"{each['name']}{traffic}{shadow} {describe(each['graph'])}")
    return "; ".join(shown)


LOWERED = {
    "one step": ("a", "default a:MODEL"),
    "an outlier detector alone": ("d", "default d:MODEL"),
    "an outlier detector first": ("[d, a]", "default d:TRANSFORMER(a:MODEL)"),
    "a chain": ("[t, a, b]", "default t:TRANSFORMER(a:MODEL(b:MODEL))"),
    "an output transformer last": ("[a, t]", "default t:OUTPUT_TRANSFORMER(a:MODEL)"),
    "output transformers last": ("[a, t, u]", "default u:OUTPUT_TRANSFORMER(t:OUTPUT_TRANSFORMER(a:MODEL))"),
    "an output transformer alone": ("{transform_output: t}", "default t:OUTPUT_TRANSFORMER"),
    "around a chain": ("[t, a, b, t]", "default t:+TRANSFORM_INPUT+TRANSFORM_OUTPUT(a:MODEL(b:MODEL))"),
    "around nothing": (
        "[{transform_input: t}, {transform_output: t}]",
        "default t:+TRANSFORM_INPUT+TRANSFORM_OUTPUT",
    ),
    "around a part of a chain": (
        "[u, t, a, t]",
        "default u:TRANSFORMER(t:+TRANSFORM_INPUT+TRANSFORM_OUTPUT(a:MODEL))",
    ),
    "around each other": (
        "[t, u, a, u, t]",
        "default t:+TRANSFORM_INPUT+TRANSFORM_OUTPUT(u:+TRANSFORM_INPUT+TRANSFORM_OUTPUT(a:MODEL))",
    ),
    "a model around": ("[both, a, {transform_output: both}]", "default both:MODEL+TRANSFORM_OUTPUT(a:MODEL)"),
    "a route": (
        "{route: r, to: [a, [t, b, u]]}",
        "default r:ROUTER(a:MODEL, u:OUTPUT_TRANSFORMER(t:TRANSFORMER(b:MODEL)))",
    ),
    "after a route": ("[{route: r, to: [a, b]}, t]", "default t:OUTPUT_TRANSFORMER(r:ROUTER(a:MODEL, b:MODEL))"),
    "a combine": ("{combine: k, of: [a, b]}", "default k:COMBINER+SEND_FEEDBACK(a:MODEL, b:MODEL)"),
    "a split inside": (
        "[i, {split: [1, 3], to: [a, b]}]",
        "default i:TRANSFORMER+SEND_FEEDBACK(split:RANDOM_ABTEST=0.25(a:MODEL, b:MODEL))",
    ),
    "a named split inside": (
        "{route: r, to: [{split: {a: 9, b: 1}, name: ab}]}",
        "default r:ROUTER(ab:RANDOM_ABTEST=0.9(a:MODEL, b:MODEL))",
    ),
    "a nested graph": ("[t, inner]", "default t:TRANSFORMER(inner:MODEL)"),
    "a model that learns": ("learns", "default learns:MODEL"),
    "a split of the whole": ("{split: {a: 9, b: 1}}", "a 90% a:MODEL; b 10% b:MODEL"),
    "a split into chains": (
        "{split: [50, 30, 20], to: [[t, a], b, [t, c]]}",
        "branch-1 50% t:TRANSFORMER(a:MODEL); b 30% b:MODEL; branch-3 20% t:TRANSFORMER(c:MODEL)",
    ),
    "a split of the whole into the same": ("{split: [1, 1], to: [a, a]}", "branch-1 50% a:MODEL; branch-2 50% a:MODEL"),
    "a split of the whole without whole percents": (
        "{split: [1, 2], to: [a, b]}",
        "default split:RANDOM_ABTEST=0.3333333333333333(a:MODEL, b:MODEL)",
    ),
    "a shadow": ("{predict: a, shadow: b}", "default 100% a:MODEL; b shadow b:MODEL"),
    "a shadow of a part": (
        "{predict: a, shadow: [t, b], shadow_percent: 10}",
        "default 100% a:MODEL; shadow 10% shadow t:TRANSFORMER(b:MODEL)",
    ),
    "a shadow of a split": (
        "{split: {a: 95, b: 5}, shadow: b}",
        "a 95% a:MODEL; b 5% b:MODEL; shadow shadow b:MODEL",
    ),
}


@pytest.mark.parametrize(("graph", "expected"), LOWERED.values(), ids=list(LOWERED))
def test_units(graph: str, expected: str, write: Write) -> None:
    spec = load(write(f"{HEAD}graph: {graph}\n{ENTRIES}"), {})
    assert [each.message for each in check(spec) if each.severity is Severity.ERROR] == []
    document = render(spec)
    assert describe_predictors(document) == expected
    for predictor in document["spec"]["predictors"]:
        containers = [each["spec"]["containers"][0]["name"] for each in predictor["componentSpecs"]]
        assert sorted(containers) == sorted(_names_with_container(predictor["graph"]))


def _names_with_container(unit: Mapping[str, Any]) -> list[str]:
    own = [] if unit.get("implementation") else [unit["name"]]
    return own + [name for child in unit.get("children", []) for name in _names_with_container(child)]


KUBERNETES = "--for kubernetes runs any graph"
REJECTED = {
    "after a route": ("[{route: r, to: [a, b]}, c]", 'a step other than an output transformer follows "r"', KUBERNETES),
    "after a split": (
        "[{split: {a: 1, b: 1}}, c]",
        'a step other than an output transformer follows "split"',
        KUBERNETES,
    ),
    "after a combine": (
        "[{combine: k, of: [a, b]}, {transform_input: t}]",
        'a step other than an output transformer follows "combine"',
        KUBERNETES,
    ),
    "after transform_output": ("[{transform_output: t}, a]", "a step follows transform_output of t", KUBERNETES),
    "called twice": ("[a, b, a]", "a is called at places that one unit cannot have", KUBERNETES),
    "in two branches": (
        "{combine: k, of: [[t, a], [t, b]]}",
        "t is called at places that one unit cannot have",
        KUBERNETES,
    ),
    "around another": (
        "[t, u, a, {transform_output: t}, {transform_output: u}]",
        "t is called at places that one unit cannot have",
        KUBERNETES,
    ),
    "an average": (
        "{average: [a, b]}",
        'the executor has no combiner for the average "average"',
        "combine them by a class, or --for kubernetes which runs any graph",
    ),
    "a split of three inside": (
        "[t, {split: {a: 1, b: 1, c: 1}}]",
        'the executor chooses between two branches, and "split" has 3',
        "nest splits of two; for the whole graph, choose whole percents, e.g. 90, 5 and 5",
    ),
    "a split of three without whole percents": (
        "{split: {a: 1, b: 1, c: 1}}",
        'the executor chooses between two branches, and "split" has 3',
        "nest splits of two; for the whole graph, choose whole percents, e.g. 90, 5 and 5",
    ),
    "a split by a header": (
        "{split: {a: 1, b: 1}, by: X-User}",
        '"split" chooses a branch by a header, which a SeldonDeployment cannot do',
        KUBERNETES,
    ),
    "a split with the name of a component": (
        "[t, {split: {a: 1, b: 1}, name: a}]",
        '"a" is the name of a step and of a component, and both would be units',
        "give the step another name",
    ),
    "a shadow inside": ("[t, {predict: a, shadow: b}]", "a shadow is only possible beside the whole graph", KUBERNETES),
    "a shadow in front": (
        "[{predict: a, shadow: b}, c]",
        "a shadow is only possible beside the whole graph",
        KUBERNETES,
    ),
    "a shadow of a shadow": (
        "{predict: a, shadow: {predict: b, shadow: c}}",
        "a shadow is only possible beside the whole graph",
        KUBERNETES,
    ),
    "a part of a percent": (
        "{predict: a, shadow: b, shadow_percent: 0.5}",
        "the part of the requests that the shadow gets is no whole percent",
        "set shadow_percent to one",
    ),
    "a component elsewhere": ("[t, far]", "far is served at http://far:9000, and a unit has a container", KUBERNETES),
}


@pytest.mark.parametrize(("graph", "message", "remedy"), REJECTED.values(), ids=list(REJECTED))
def test_graphs_without_units(graph: str, message: str, remedy: str, write: Write) -> None:
    spec = load(write(f"{HEAD}graph: {graph}\n{ENTRIES}"), {})
    errors = [each for each in check(spec) if each.severity is Severity.ERROR]
    assert [(each.code, each.message, each.help) for each in errors] == [("graph-not-in-target", message, remedy)]
    position = errors[0].origin.position
    assert position is not None
    assert position.text.startswith("  far:" if "far" in graph else "graph:")


MESH = (
    'the mesh chooses the branch of "split": meta.routing has no entry for it, and feedback goes to any of its branches'
)
EXECUTOR = "the executor runs in place of the front end"
DIFFERENT = {
    "a split of the whole": ("graph: {split: {a: 9, b: 1}}", [MESH]),
    "a name of a route": (
        "graph: {route: r, to: [a, b], name: choice}",
        ['the name "choice" is not used: the entry of meta.routing is "r"'],
    ),
    "the front end": (
        "graph: a\nports: {http: 80}\nserver: {workers: 2}\nflask: {JSON_SORT_KEYS: false}",
        [f"{key} has no effect: {EXECUTOR}" for key in ("flask.JSON_SORT_KEYS", "ports.http", "server.workers")],
    ),
    "a timeout": (
        "graph: a\nserver: {request_timeout_seconds: 2}",
        ["the executor applies the timeout to each call of a component, not to the whole request"],
    ),
    "the executor": (
        "graph: a\ndeployment: {image: a/b:1, executor: false}",
        ["the executor calls the components of a graph, and cannot be left out"],
    ),
    "pods of the front end": (
        "graph: a\ndeployment: {image: a/b:1, replicas: 2}",
        ["deployment.replicas has no effect: each component has pods of its own"],
    ),
    "a router alone": (
        "class_name: parts.R\nservice_type: ROUTER",
        ["the executor never calls a ROUTER without branches, and returns the request"],
    ),
    "a router without the executor": (
        "class_name: parts.R\nservice_type: ROUTER\ndeployment: {image: a/b:1, executor: false}",
        [],
    ),
    "a port of the executor": (
        "class_name: parts.M\nports: {http: 8000, metrics: 5001}",
        ["port 8000 is that of the executor in the same pod", "port 5001 is that of the executor in the same pod"],
    ),
    "TLS": (
        "class_name: parts.M\nserver: {tls: {certificate: /tls/a, key: /tls/b}}",
        ["the executor sends requests without TLS"],
    ),
    "a list": (
        "class_name: parts.M\nparameters: {sizes: [1, 2], none: null, rate: 0.5, key: {from_env: KEY}}",
        [f"parameters.{name} stays in the image: Seldon has no type for it" for name in ("sizes", "none", "key")],
    ),
    "a literal secret": (
        "class_name: parts.M\nparameters: {api_key: abcdef}\nenvironment: {DB_PASSWORD: abcdef, DIR: /a}",
        [
            f"{key} is left out of the manifest: it contains a literal secret"
            for key in ("parameters.api_key", "environment.DB_PASSWORD")
        ],
    ),
}


@pytest.mark.parametrize(("text", "messages"), DIFFERENT.values(), ids=list(DIFFERENT))
def test_what_works_otherwise(text: str, messages: list[str], write: Write) -> None:
    text = f"name: whole\n{text}\n"
    text += "" if "deployment:" in text else "deployment: {image: a/b:1}\n"
    spec = load(write(text + (ENTRIES if "graph:" in text else "")), {})
    problems = check(spec)
    assert [each.message for each in problems] == messages
    assert all(each.origin.position is not None for each in problems)
    assert "abcdef" not in json.dumps(render(spec, is_complete=True))


UNITS = {
    "a model": ("parts.M", "MODEL", "whole:MODEL"),
    "a model that learns": ("parts.L", "MODEL", "whole:MODEL"),
    "a transformer": ("parts.T", "TRANSFORMER", "whole:TRANSFORMER"),
    "a transformer that learns": ("parts.In", "TRANSFORMER", "whole:TRANSFORMER+SEND_FEEDBACK"),
    "an output transformer": ("parts.Out", "TRANSFORMER", "whole:OUTPUT_TRANSFORMER"),
    "a combiner that learns": ("parts.K", "COMBINER", "whole:COMBINER+SEND_FEEDBACK"),
    "a router": ("parts.R", "ROUTER", "whole:ROUTER"),
    "an outlier detector": ("parts.T", "OUTLIER_DETECTOR", "whole:MODEL"),
}


@pytest.mark.parametrize(("class_name", "kind", "expected"), UNITS.values(), ids=list(UNITS))
def test_the_unit_of_a_class(class_name: str, kind: str, expected: str, write: Write) -> None:
    spec = load(write(f"{HEAD}class_name: {class_name}\nservice_type: {kind}\n"), {})
    assert describe_predictors(render(spec)) == f"default {expected}"


ROUTING = {"a": False, "[t, a, u]": False, "{combine: k, of: [a, b]}": True, "{route: r, to: [a]}": True}
ROUTING |= {"[t, {split: {a: 1, b: 2}}]": True, "{split: {a: 1, b: 1}}": False}


@pytest.mark.parametrize(("graph", "has_routing"), ROUTING.items())
def test_routing_is_in_responses_where_a_unit_has_branches(graph: str, has_routing: bool, write: Write) -> None:
    document = render(load(write(f"{HEAD}graph: {graph}\n{ENTRIES}"), {}))
    switch = {"env": [{"name": "SELDON_ENABLE_ROUTING_INJECTION", "value": "true"}]}
    for predictor in document["spec"]["predictors"]:
        assert predictor.get("svcOrchSpec") == (switch if has_routing else None)


PARAMETERS = {
    "text": ("x", "STRING", "x"),
    "empty": ('""', "STRING", ""),
    "digits": ('"1"', "STRING", "1"),
    "integer": ("-3", "INT", "-3"),
    "number": ("0.1", "FLOAT", "0.1"),
    "large": ("1.0e+300", "FLOAT", "1e+300"),
    "boolean": ("true", "BOOL", "true"),
}


def test_parameters_have_types_that_restore_them(write: Write) -> None:
    texts = ", ".join(f"{name}: {text}" for name, (text, _, _) in PARAMETERS.items())
    folder = write(f"{HEAD}class_name: parts.M\nparameters: {{{texts}}}\n")
    spec = load(folder, {})
    (predictor,) = render(spec)["spec"]["predictors"]
    entries = predictor["graph"]["parameters"]
    assert entries == [{"name": name, "type": t, "value": v} for name, (_, t, v) in PARAMETERS.items()]
    (folder / "seldon.yaml").write_text(f"{HEAD}class_name: parts.M\n")
    assert load(folder, {"PREDICTIVE_UNIT_PARAMETERS": json.dumps(entries)}).parameters == spec.parameters


COMPLETE = f"""{HEAD}version: "2"
graph: [t, {{route: r, to: [a, inner]}}]
environment: {{DIR: /models, TOKEN: {{from_env: SERVICE_TOKEN}}}}
server: {{request_timeout_seconds: 2.5, max_message_bytes: 100000, workers: 2}}
components:
  t: {{class_name: parts.T, service_type: TRANSFORMER, parameters: {{sizes: [1, 2], rate: 0.5, key: {{from_env: KEY}}}}}}
  r: {{class_name: parts.R, service_type: ROUTER, server: {{threads: 3, request_timeout_seconds: 1}}}}
  a: {{class_name: parts.M, name: first, environment: {{DIR: /models, OTHER: x}}, ports: {{http: 9100, grpc: null}}}}
  inner: {{graph: b, components: {{b: {{class_name: parts.M, parameters: {{n: 3}}}}}}}}
"""
"""A graph with settings that the manifest has in different places."""


def _environ(document: Any, name: str) -> dict[str, str]:
    """Return the variables that the operator and the manifest set in the container of a component."""
    (predictor,) = document["spec"]["predictors"]
    pods = {
        each["spec"]["containers"][0]["name"]: each["spec"]["containers"][0] for each in predictor["componentSpecs"]
    }
    ports = {each["name"]: each["containerPort"] for each in pods[name]["ports"]}
    variables = {f"PREDICTIVE_UNIT_{k.upper()}_SERVICE_PORT": str(port) for k, port in ports.items()}
    variables.setdefault("PREDICTIVE_UNIT_GRPC_SERVICE_PORT", "9500")
    units = [each for each in _walk(predictor["graph"]) if each["name"] == name]
    variables["PREDICTIVE_UNIT_PARAMETERS"] = json.dumps(units[0].get("parameters", []))
    return variables | {each["name"]: each.get("value", "secret") for each in pods[name]["env"]}


def _walk(unit: Any) -> list[Any]:
    return [unit, *(each for child in unit.get("children", []) for each in _walk(child))]


@pytest.mark.parametrize("is_complete", [False, True], ids=["default", "all"])
@pytest.mark.parametrize("name", ["t", "r", "a", "inner"])
def test_a_container_serves_the_component_of_the_file(name: str, is_complete: bool, write: Write) -> None:
    """With the variables of the container, the server reads the same spec as in the process of the graph."""
    folder = write(COMPLETE)
    spec = load(folder, {})
    environ = _environ(render(spec, is_complete=is_complete), name)
    served = find_component(load(folder, environ, options=LoadOptions(component=name)), name)
    expected = spec.components[name].spec
    assert expected is not None
    for key in ("class_name", "service_type", "parameters", "ports", "server", "graph", "name"):
        assert getattr(served, key) == getattr(expected, key), key
    assert served.environment == {**spec.environment, **expected.environment}
    assert {"DIR", "TOKEN"} <= environ.keys()
    prepared = prepare_to_load(served, {**environ, "KEY": "a key"})
    assert [prepared.environment[key] for key in ("DIR", "TOKEN")] == [environ["DIR"], environ["TOKEN"]]


def test_all_repeats_each_value_of_a_component_in_its_container(write: Write) -> None:
    spec = load(write(COMPLETE), {})
    environ = _environ(render(spec, is_complete=True), "t")
    assert json.loads(environ["SELDON_SPEC__PARAMETERS"]) == {"sizes": [1, 2], "key": {"from_env": "KEY"}}
    assert environ["SELDON_SPEC__CLASS_NAME"] == "parts.T"
    document = render(spec, is_complete=True)
    executor = {each["name"]: each["value"] for each in document["spec"]["predictors"][0]["svcOrchSpec"]["env"]}
    assert executor["SELDON_SPEC__VERSION"] == "2"
    assert executor["SELDON_SPEC__SERVER__WORKERS"] == "2"
    assert json.loads(executor["SELDON_SPEC__ENVIRONMENT"]) == {
        "DIR": "/models",
        "TOKEN": {"from_env": "SERVICE_TOKEN"},
    }
    assert "SELDON_SPEC__CLASS_NAME" not in _environ(render(spec), "t")


def test_limits_are_annotations(write: Write) -> None:
    document = render(load(write(COMPLETE), {}))
    assert document["spec"]["annotations"] == {
        "seldon.io/rest-timeout": "2500",
        "seldon.io/grpc-timeout": "2500",
        "seldon.io/grpc-max-message-size": "100000",
    }
    assert _environ(document, "r")["SELDON_SPEC__SERVER__REQUEST_TIMEOUT_SECONDS"] == "1"


def test_a_flag_is_carried_though_the_image_lacks_it(write: Write) -> None:
    folder = write(f"{HEAD}class_name: parts.M\nparameters: {{sizes: [1, 2], other: [3]}}\n")
    spec = load(folder, {}, {("parameters", "sizes"): "[4]", ("server", "workers"): "2"})
    (container,) = render(spec)["spec"]["predictors"][0]["componentSpecs"][0]["spec"]["containers"]
    assert {each["name"]: each["value"] for each in container["env"]} == {
        "SELDON_SPEC__SERVER__WORKERS": "2",
        "SELDON_SPEC__PARAMETERS": '{"sizes": [4]}',
    }


def test_the_executor_can_be_left_out(write: Write) -> None:
    folder = write(
        "name: one\nclass_name: parts.M\ndeployment: {image: a/b:1, executor: false, network_policy: true}\n"
    )
    documents = [to_plain(each) for each in build_documents(load(folder, {}), Target.SELDON)]
    assert documents[0]["spec"]["predictors"][0]["annotations"] == {"seldon.io/no-engine": "true"}
    assert [port["port"] for port in documents[1]["spec"]["ingress"][0]["ports"]] == [5000, 9000]
