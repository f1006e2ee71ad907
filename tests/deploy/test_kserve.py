"""InferenceServices, and InferenceGraphs of them: their texts, what has no equivalent, and what KServe's router does."""

from __future__ import annotations

import contextlib
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from seldon_spec.config.loader import load
from seldon_spec.config.model import Spec
from seldon_spec.deploy.manifest.render import build_documents, find_problems
from seldon_spec.deploy.manifest.target import Target
from seldon_spec.deploy.manifest.tree import to_plain
from seldon_spec.errors import Severity
from tests.deploy.kubernetes_schemas import find_errors

GOLDEN = Path(__file__).parents[1] / "golden" / "manifest"
CLASSES = """
import numpy as np


class Scale:
    def __init__(self, factor=2.0):
        self.factor = factor

    def predict(self, X, names):
        return X * self.factor

    transform_input = transform_output = predict

    def tags(self):
        return {f"factor {self.factor:g}": True}


class Fails:
    def predict(self, X, names):
        raise ValueError("no result")


class Learns(Scale):
    def send_feedback(self, X, names, reward, truth):
        return None


class First:
    def route(self, X, names):
        return 0


class Weighted:
    def aggregate(self, Xs, names):
        return np.average(Xs, axis=0, weights=range(1, len(Xs) + 1))
"""
COMPONENTS = """
components:
  a: {class_name: kserve_parts.Scale, parameters: {factor: 2.0}}
  b: {class_name: kserve_parts.Scale, parameters: {factor: 0.5}}
  learner: {class_name: kserve_parts.Learns}
  fails: {class_name: kserve_parts.Fails}
  scaler: {class_name: kserve_parts.Scale, service_type: TRANSFORMER, parameters: {factor: 10.0}}
  mean: {class_name: kserve_parts.Weighted, service_type: COMBINER}
  router: {class_name: kserve_parts.First, service_type: ROUTER}
"""
Render = Callable[[str], Spec]


def write_spec(folder: Path, graph: str, more: str = "", components: str = COMPONENTS) -> Spec:
    """Load a graph whose unused components are left out."""
    (folder / "kserve_parts.py").write_text(CLASSES)
    entries = yaml.safe_load(components)["components"]
    names = {name for name in entries if name in yaml.safe_dump(yaml.safe_load(graph))}
    lines = [line for line in components.splitlines() if line.strip().split(":")[0] in {*names, "components"}]
    text = f"name: g\nversion: '1'\ngraph: {graph}\n{more or 'deployment: {apart: true}'}\n" + "\n".join(lines)
    (folder / "seldon.yaml").write_text(text)
    return load(folder, {}, {})


def build_nodes(spec: Spec) -> dict[str, Any]:
    documents = to_plain(build_documents(spec, Target.KSERVE))
    assert [error for each in documents for error in find_errors(each)] == []
    [graph] = [each for each in documents if each["kind"] == "InferenceGraph"]
    nodes: dict[str, Any] = graph["spec"]["nodes"]
    return nodes


def describe(nodes: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return nodes in a short form; every step has the dependency Hard."""
    described = {}
    for name, node in nodes.items():
        lines = [node["routerType"]]
        for step in node["steps"]:
            assert step["dependency"] == "Hard"
            target = step.get("serviceUrl", "").removeprefix("http://g-") or f"node {step['nodeName']}"
            marks = [step[key] for key in ("data", "weight") if key in step]
            lines.append(" ".join(str(part) for part in (f"{step['name']}:", target, *marks)))
        described[name] = lines
    return described


EXPRESSED = {
    "one": ("a", {"root": ["Sequence", "a: a-predictor/predict"]}),
    "chain": (
        "[scaler, a, {transform_output: scaler}]",
        {
            "root": [
                "Sequence",
                "scaler: scaler-predictor/transform-input",
                "a: a-predictor/predict $response",
                "scaler-2: scaler-predictor/transform-output $response",
            ]
        },
    ),
    "split": (
        "{split: {a: 9, b: 1}}",
        {"root": ["Splitter", "a: a-predictor/predict 90", "b: b-predictor/predict 10"]},
    ),
    "split of fractions": (
        "{split: {a: 0.7, b: 0.3}}",
        {"root": ["Splitter", "a: a-predictor/predict 70", "b: b-predictor/predict 30"]},
    ),
    "combine": (
        "{combine: mean, of: [a, b, a]}",
        {
            "root": ["Sequence", "combine-branches: node combine-branches", "mean: mean-predictor/aggregate $response"],
            "combine-branches": [
                "Ensemble",
                "0-a: a-predictor/predict",
                "1-b: b-predictor/predict",
                "2-a: a-predictor/predict",
            ],
        },
    ),
    "nested, with names that are in use": (
        "[scaler, {split: [1, 1], to: [[a, b], {combine: mean, of: [a, b], name: root}], name: b-chain}]",
        {
            "root": [
                "Sequence",
                "scaler: scaler-predictor/transform-input",
                "b-chain: node b-chain $response",
            ],
            "b-chain": ["Splitter", "a-chain: node a-chain 50", "a-chain-2: node a-chain-2 50"],
            "a-chain": ["Sequence", "a: a-predictor/predict", "b: b-predictor/predict $response"],
            "a-chain-2": [
                "Sequence",
                "root-branches: node root-branches",
                "mean: mean-predictor/aggregate $response",
            ],
            "root-branches": ["Ensemble", "0-a: a-predictor/predict", "1-b: b-predictor/predict"],
        },
    ),
}


@pytest.mark.parametrize(("graph", "expected"), EXPRESSED.values(), ids=EXPRESSED)
def test_a_graph_is_an_inference_graph(tmp_path: Path, graph: str, expected: Any) -> None:
    spec = write_spec(tmp_path, graph)
    assert not [each for each in find_problems(spec, Target.KSERVE) if each.severity is Severity.ERROR]
    assert describe(build_nodes(spec)) == expected


APART = "deployment: {apart: true}"
REFUSED = {
    "route": ("{route: router, to: [a, b]}", APART, "a route by a class", 3),
    "average": ("{average: [a, b]}", APART, "an average", 3),
    "shadow": ("{predict: a, shadow: b}", APART, "the shadow b", 3),
    "split by a header": ("{split: {a: 1, b: 1}, by: X-User}", APART, "a split by a header", 3),
    "thirds": ("{split: [1, 1, 1], to: [a, b, a]}", APART, "the weights 1, 1, 1 are not whole percents", 3),
    "half a percent": ("{split: {a: 199, b: 1}}", APART, "the weights 199, 1 are not whole percents", 3),
    "nested": ("[a, {combine: mean, of: [a, {average: [a, b]}]}]", APART, "an average", 3),
    "gRPC": ("[a, b]", "deployment: {apart: true, transport: grpc}", "has no gRPC", 4),
    "auth": (
        "[a, b]",
        f"server: {{auth: {{tokens: [{{from_env: T}}]}}}}\n{APART}",
        "no equivalent of server.auth.tokens",
        4,
    ),
}


@pytest.mark.parametrize(("graph", "more", "text", "line"), REFUSED.values(), ids=REFUSED)
def test_a_graph_without_equivalent_is_refused(tmp_path: Path, graph: str, more: str, text: str, line: int) -> None:
    [problem] = [each for each in _list_problems(write_spec(tmp_path, graph, more)) if each.severity is Severity.ERROR]
    assert problem.code == "graph-not-in-target"
    assert text in problem.message
    assert problem.origin.position is not None
    assert problem.origin.position.line == line
    assert "--for kubernetes" in (problem.help or "")


@pytest.mark.parametrize("graph", [graph for graph, more, *_ in REFUSED.values() if more == APART])
def test_the_whole_graph_in_one_process_has_no_limits(tmp_path: Path, graph: str) -> None:
    spec = write_spec(tmp_path, graph, "ports: {http: 8080}")
    assert not [each for each in _list_problems(spec) if each.code.endswith("not-in-target")]
    [service] = to_plain(build_documents(spec, Target.KSERVE))
    assert service["kind"] == "InferenceService"
    [container] = service["spec"]["predictor"]["containers"]
    assert container["ports"] == [{"name": "http1", "containerPort": 8080}]


def test_settings_of_the_front_end_are_reported(tmp_path: Path) -> None:
    more = "server: {request_timeout_seconds: 5, max_queue: 9}\nports: {http: 8080}\ndeployment: {apart: true}"
    found = [each for each in _list_problems(write_spec(tmp_path, "[a, b]", more)) if each.code == "not-in-target"]
    assert {each.message.split(" ")[0]: each.severity for each in found} == {
        "server.max_queue": Severity.WARNING,
        "ports.http": Severity.WARNING,
    }


PART = "a: {class_name: kserve_parts.Scale, "
OF_COMPONENTS = {
    "URL of gRPC": ('a: {url: "grpc://x:1", service_type: MODEL}', "graph-not-in-target", "no gRPC, and a has"),
    "token": (
        'a: {url: "https://x", service_type: MODEL, token: {from_env: T}}',
        "graph-not-in-target",
        "no token for a",
    ),
    "ca": ('a: {url: "https://x", service_type: MODEL, ca: /ca.pem}', "graph-not-in-target", "no ca for a"),
    "gRPC": (PART + "deployment: {transport: grpc}}", "graph-not-in-target", "has no gRPC"),
    "auth": (PART + "server: {auth: {tokens: [{from_env: T}]}}}", "not-in-target", "sends no token to a"),
    "feedback": ("a: {class_name: kserve_parts.Learns}", "not-in-target", "a will get none"),
}


@pytest.mark.parametrize(("entry", "code", "text"), OF_COMPONENTS.values(), ids=OF_COMPONENTS)
def test_a_component_without_equivalent_is_reported(tmp_path: Path, entry: str, code: str, text: str) -> None:
    spec = write_spec(tmp_path, "[a, b]", components=f"components:\n  {entry}\n  b: {{class_name: kserve_parts.Scale}}")
    of_metrics = ("deployment", "monitoring")
    found = [each for each in _list_problems(spec) if each.code == code and each.path != of_metrics]
    assert [text in each.message for each in found] == [True]
    is_error = code == "graph-not-in-target"
    assert found[0].severity is (Severity.ERROR if is_error else Severity.WARNING)


def _list_problems(spec: Spec) -> Any:
    return find_problems(spec, Target.KSERVE)


@pytest.mark.parametrize("target", [Target.KUBERNETES, Target.KSERVE, Target.SELDON], ids=lambda each: each.value)
def test_keys_of_the_container_reach_it_by_the_name_of_its_component(tmp_path: Path, target: Target) -> None:
    (tmp_path / "kserve_parts.py").write_text(CLASSES)
    (tmp_path / "seldon.yaml").write_text(
        f"name: whole\ngraph: [scaler, a]\n{COMPONENTS}"
        "deployment: {apart: true, pod: {containers: [{name: whole, tty: true}, {name: proxy, image: proxy:1}]}}\n"
    )
    spec = load(
        tmp_path, {}, {("components", "a", "deployment", "pod"): '{"containers": [{"name": "a", "stdin": true}]}'}
    )
    pods = list(_find_pods([to_plain(each) for each in build_documents(spec, target)]))
    assert pods
    for containers in pods:
        assert [(each.get("image"), each.get("tty")) for each in containers[1:]] == [("proxy:1", None)]
        assert containers[0]["image"]
        assert containers[0]["tty"] is True
    assert [containers[0].get("stdin") for containers in pods].count(True) == 1


def _find_pods(tree: Any) -> Iterator[list[Any]]:
    """Yield the containers of each pod in a tree."""
    for each in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from _find_pods(each)
    if isinstance(tree, dict) and "containers" in tree:
        yield tree["containers"]


@pytest.mark.parametrize(("length", "text"), [(53, None), (54, "too long for an InferenceService"), (64, "a Service")])
def test_the_name_of_a_component_leaves_room_for_that_of_its_service(
    tmp_path: Path, length: int, text: str | None
) -> None:
    write_spec(tmp_path, "[a, b]", "deployment: {apart: true}")
    file = tmp_path / "seldon.yaml"
    file.write_text(file.read_text().replace("name: g\n", f"name: {'x' * (length - 2)}\n", 1))
    found = [each for each in _list_problems(load(tmp_path, {}, {})) if each.severity is Severity.ERROR]
    assert [each.code for each in found] == (["deployment-name"] * 2 if text else [])
    assert all(text and text in each.message for each in found)


OF_SERVICES = {
    "no port": ("ports: {grpc: null}\ndeployment: {transport: grpc}", "not-in-target", Severity.ERROR),
    "tls": ("server: {tls: {certificate: /tls/c, key: /tls/k}}", "not-in-target", Severity.WARNING),
    "long name": (f"name: {'x' * 54}", "deployment-name", Severity.ERROR),
    "longest name": (f"name: {'x' * 53}", None, None),
}


@pytest.mark.parametrize(("text", "code", "severity"), OF_SERVICES.values(), ids=OF_SERVICES)
def test_a_service_without_equivalent_is_reported(tmp_path: Path, text: str, code: Any, severity: Any) -> None:
    (tmp_path / "kserve_parts.py").write_text(CLASSES)
    (tmp_path / "seldon.yaml").write_text(f"class_name: kserve_parts.Scale\nversion: '1'\n{text}\n")
    found = [each for each in _list_problems(load(tmp_path, {}, {})) if each.severity is not Severity.NOTE]
    assert [(each.code, each.severity) for each in found] == ([(code, severity)] if code else [])


# ----- KServe's router


class Router:
    """Sends requests as KServe's router does.

    Args:
        nodes: of an InferenceGraph.
        ports: of the components' servers on the loopback interface, by the name of the Service.
        point: what a Splitter draws, from 0 up to 100.
    """

    def __init__(self, nodes: Mapping[str, Any], ports: Mapping[str, int], point: int) -> None:
        self._nodes, self._ports, self._point = nodes, ports, point

    def run(self, body: bytes, node: str = "root") -> tuple[int, bytes]:
        found = self._nodes[node]
        steps = found["steps"]
        if found["routerType"] == "Splitter":
            assert sum(step["weight"] for step in steps) == 100
            return self._step(self._pick(steps), body)
        if found["routerType"] == "Ensemble":
            return self._ensemble(steps, body)
        assert found["routerType"] == "Sequence"
        status, response = 0, b""
        for index, step in enumerate(steps):
            sent = response if index and step.get("data") == "$response" else body
            status, response = self._step(step, sent)
            if step["dependency"] == "Hard" and not 200 <= status < 300:
                break
        return status, response

    def _pick(self, steps: list[Any]) -> Any:
        end = 0
        for step in steps:
            end += step["weight"]
            if self._point < end:
                return step
        raise AssertionError(self._point)

    def _ensemble(self, steps: list[Any], body: bytes) -> tuple[int, bytes]:
        """Join the responses as Go does: sorted by their names, and with numbers that may lose their fraction."""
        responses = {}
        for step in steps:
            status, response = self._step(step, body)
            if not 200 <= status < 300:
                return status, response
            responses[step["name"]] = json.loads(response, parse_float=_parse_number)
        return 200, json.dumps(responses, sort_keys=True).encode()

    def _step(self, step: Any, body: bytes) -> tuple[int, bytes]:
        if "nodeName" in step:
            return self.run(body, step["nodeName"])
        host, path = step["serviceUrl"].removeprefix("http://").split("/", 1)
        return post(self._ports[host], f"/{path}", body)


def _parse_number(text: str) -> float | int:
    number = float(text)
    return int(number) if number.is_integer() else number


def post(port: int, path: str, body: bytes) -> tuple[int, bytes]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


Serve = Callable[..., AbstractContextManager[Any]]


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Spec:
    """The spec with every component that the traversals use."""
    graph = "[scaler, {combine: mean, of: [a, b]}, {predict: fails}]"
    return write_spec(tmp_path_factory.mktemp("components"), graph)


@pytest.fixture(scope="module")
def ports(everything: Spec, serve_in_thread: Serve) -> Iterator[dict[str, int]]:
    with ExitStack() as stack:
        found = {}
        for name, component in everything.components.items():
            spec = component.spec
            assert spec is not None
            running = stack.enter_context(
                serve_in_thread(
                    spec.folder,
                    spec.class_name,
                    service_type=spec.service_type,
                    parameters=spec.parameters,
                    unit=spec.unit,
                )
            )
            found[f"g-{name}-predictor"] = running.http_port
        yield found


@contextlib.contextmanager
def serving_graph(spec: Spec, serve_in_thread: Serve) -> Iterator[int]:
    with serve_in_thread(spec.folder, None, graph=spec.graph, components=spec.components) as running:
        yield running.http_port


TRAVERSED = {
    "one": ("a", 0),
    "chain": ("[scaler, a, {transform_output: scaler}]", 0),
    "split, first branch": ("{split: {a: 9, b: 1}}", 89),
    "split, second branch": ("{split: {a: 9, b: 1}}", 90),
    "combine": ("{combine: mean, of: [a, b, a]}", 0),
    "combine of twelve, whose order counts": ("{combine: mean, of: [a, a, b, a, a, a, a, a, a, a, b, a]}", 0),
    "combine in a chain": ("[scaler, {combine: mean, of: [[b, a], b]}, {transform_output: scaler}]", 0),
    "a split in a combine": ("{combine: mean, of: [a, {split: [1, 3], to: [b, [b, b]]}]}", 30),
    "a combine in a split": ("{split: [50, 50], to: [{combine: mean, of: [a, b]}, a]}", 10),
    "an error in a chain": ("[scaler, {predict: fails}, {predict: a}]", 0),
    "an error in a combine": ("{combine: mean, of: [a, {predict: fails}]}", 0),
}


@pytest.mark.parametrize(("graph", "point"), TRAVERSED.values(), ids=TRAVERSED)
def test_the_router_gets_the_response_of_the_graph_in_one_process(
    graph: str,
    point: int,
    tmp_path: Path,
    ports: dict[str, int],
    serve_in_thread: Serve,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = write_spec(tmp_path, graph)
    body = b'{"data": {"names": ["x", "y"], "ndarray": [[1.5, 2.0], [3.0, -4.25]]}, "meta": {"tags": {"id": 7}}}'
    status, response = Router(build_nodes(spec), ports, point).run(body)
    monkeypatch.setattr("seldon_spec.inference.graph.steps.random.random", lambda: point / 100)
    with serving_graph(spec, serve_in_thread) as port:
        expected_status, text = post(port, "/predict", body)
    tree, expected = json.loads(response), json.loads(text)
    assert status == expected_status
    if status == 200:
        assert tree["data"] == expected["data"]
        assert tree["meta"]["tags"] == expected["meta"]["tags"]
    else:
        assert tree["status"]["reason"] == expected["status"]["reason"]
        assert expected["status"]["info"] == f"component fails: {tree['status']['info']}"
