"""The page of a graph: its routes, the forms of its components, the counts, and what needs a token."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from seldon_spec.config.loader import load
from seldon_spec.config.model import AuthSpec, ServerSpec, Spec
from seldon_spec.server.site.page_html import render_component, render_page

if TYPE_CHECKING:
    from tests.conftest import Running

ServeInThread = Callable[..., AbstractContextManager["Running"]]

PARTS = """\
class Model:
    def predict(self, X, names):
        return X


class Broken:
    def predict(self, X, names):
        raise ValueError("nothing")


class Router:
    def route(self, X, names):
        return int(X[0][0])


class Transformer:
    def transform_input(self, X, names):
        return X


class Combiner:
    def aggregate(self, features, names):
        return features[0]
"""
GRAPH = """\
name: front
graph:
  - scaler
  - route: router
    to: [one, two, {combine: mean, of: [three, broken]}]
components:
  scaler: {class_name: Parts.Transformer, service_type: TRANSFORMER, inputs: [a, b]}
  router: {class_name: Parts.Router, service_type: ROUTER}
  one: {class_name: Parts.Model, inputs: [c, d, e], outputs: [f]}
  two: {class_name: Parts.Model}
  mean: {class_name: Parts.Combiner, service_type: COMBINER}
  three: {class_name: Parts.Model}
  broken: {class_name: Parts.Broken}
"""
TOKEN = "only-for-the-tests"
ASSETS = {"/graph.css": "text/css", "/graph.js": "text/javascript"}


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Spec:
    folder = tmp_path_factory.mktemp("graph")
    (folder / "Parts.py").write_text(PARTS)
    (folder / "seldon.yaml").write_text(GRAPH)
    return load(folder, {})


@pytest.fixture(scope="module")
def running(spec: Spec, serve_in_thread: ServeInThread) -> Iterator[Running]:
    with serve_in_thread(spec.folder, None, graph=spec.graph, components=spec.components) as server:
        yield server


def read_facts(page: str) -> Any:
    [block] = re.findall(r'<script type="application/json" id="facts">(.*?)</script>', page)
    return json.loads(block)


def predict(running: Running, value: float, path: str = "/predict") -> int:
    return running.post(json.dumps({"data": {"ndarray": [[value, 1]]}}).encode(), path)[0]


@pytest.mark.parametrize("path", ASSETS)
def test_the_assets_of_a_graph_have_their_headers(running: Running, path: str) -> None:
    status, headers, body = running.rest("GET", path)
    assert status == 200
    assert headers["Content-Type"] == f"{ASSETS[path]}; charset=utf-8"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert 0 < len(body) < 12_000


@pytest.mark.parametrize("path", [*ASSETS, "/graph/counts", "/graph/forms/one"])
def test_a_model_without_a_graph_has_none_of_its_routes(
    tmp_path: Path, serve_in_thread: ServeInThread, path: str
) -> None:
    (tmp_path / "Parts.py").write_text(PARTS)
    with serve_in_thread(tmp_path, "Parts.Model") as server:
        assert server.rest("GET", path)[0] == 404
        assert b'"graph' not in server.rest("GET", "/")[2]


def test_the_page_of_a_graph_has_its_drawing_and_the_form_of_its_first_component(running: Running) -> None:
    page = running.rest("GET", "/")[2].decode()
    assert page.count('role="button" tabindex="0" aria-pressed="false"') == 7
    assert page.count("<tr data-component=") == 7
    assert page.count("<tr data-step=") == 5
    facts = read_facts(page)
    assert [each["name"] for each in facts["fields"]] == ["a", "b"]
    assert [each["columns"][0]["name"] for each in facts["outputs"]] == ["f"]
    assert facts["component"] == ""
    assert [each["v1"]["path"] for each in facts["operations"]] == ["predict"]


FORMS = {
    "scaler": (["components/scaler/transform-input", "components/scaler/transform-output"], "infer"),
    "router": (["components/router/route"], "route"),
    "one": (["components/one/predict"], "infer"),
    "mean": (["components/mean/aggregate"], "aggregate"),
}


@pytest.mark.parametrize("name", FORMS)
def test_each_component_has_its_form(running: Running, name: str) -> None:
    paths, v2 = FORMS[name]
    status, headers, body = running.rest("GET", f"/graph/forms/{name}")
    assert status == 200
    assert headers["Content-Security-Policy"]
    facts = read_facts(body.decode())
    assert (facts["model"], facts["component"]) == (name, name)
    assert [each["v1"]["path"] for each in facts["operations"]] == paths
    assert {each["v2"]["path"] for each in facts["operations"]} == {f"v2/models/{name}/{v2}"}
    assert {each["v1"]["grpc"] for each in facts["operations"]} == {None}
    if name != "scaler":
        for protocol in ("v1", "v2"):
            each = facts["operations"][0][protocol]
            message = each["example"] or {"data": {"ndarray": [[1, 2, 3]]}}
            if each["example"] or protocol == "v1":
                status, _, response = running.post(json.dumps(message).encode(), f"/{each['path']}")
                assert status == 200, response


def test_there_is_no_form_of_an_unknown_component(running: Running) -> None:
    assert running.rest("GET", "/graph/forms/nothing")[0] == 404


def read_counts(running: Running) -> tuple[dict[tuple[str, str, str], int], dict[tuple[str, int], int]]:
    status, _, body = running.rest("GET", "/graph/counts")
    assert status == 200
    counts = json.loads(body)
    assert not [each for each in counts["calls"] if each["shadow"] or each["sum"] <= 0]
    calls = {(each["component"], each["method"], each["outcome"]): each["count"] for each in counts["calls"]}
    return calls, {(each["step"], each["branch"]): each["count"] for each in counts["branches"]}


def test_calls_and_branches_are_counted(running: Running) -> None:
    before, branches = read_counts(running)
    assert [predict(running, value) for value in (1, 1, -2, 2, 7)] == [200, 200, 200, 500, 500]
    assert predict(running, 1, "/components/two/predict") == 200
    after, taken = read_counts(running)
    assert {key: count - before.get(key, 0) for key, count in after.items() if count != before.get(key)} == {
        ("scaler", "inputtransform", "success"): 5,
        ("router", "router", "success"): 5,
        ("two", "predict", "success"): 3,
        ("three", "predict", "success"): 1,
        ("broken", "predict", "error"): 1,
    }
    counted = {key: count - branches.get(key, 0) for key, count in taken.items() if key[0] == "router"}
    assert counted == {("router", 1): 2, ("router", 2): 1, ("router", -2): 1}


@pytest.mark.parametrize("path", ["/graph/counts", "/graph/forms/one"])
def test_the_forms_and_the_counts_need_a_token(spec: Spec, serve_in_thread: ServeInThread, path: str) -> None:
    server = ServerSpec(host="127.0.0.1", auth=AuthSpec(tokens=(TOKEN,)))
    graph = {"graph": spec.graph, "components": spec.components}
    with serve_in_thread(spec.folder, None, server=server, **graph) as running:
        assert running.rest("GET", path)[0] == 401
        assert running.rest("GET", path, headers={"Authorization": f"Bearer {TOKEN}"})[0] == 200
        assert b'id="graph"' not in running.rest("GET", "/")[2]
        assert [running.rest("GET", each)[0] for each in ASSETS] == [200, 200]


def test_a_remote_component_of_an_unknown_spec_has_the_editor(tmp_path: Path) -> None:
    entry = "{url: 'grpcs://iris.prod:5000', service_type: TRANSFORMER}"
    far_model = "{url: 'http://iris.prod:9000', service_type: MODEL}"
    text = f"name: front\ngraph: [far, far-model]\ncomponents:\n  far: {entry}\n  far-model: {far_model}\n"
    (tmp_path / "seldon.yaml").write_text(text)
    spec = load(tmp_path, {})
    page, form = render_page(spec), render_component(spec, "far")
    assert "TRANSFORMER, at iris.prod:5000" in form
    assert "TRANSFORMER, input, at iris.prod:5000" in page
    facts = read_facts(form)
    assert facts["kind"] is None
    assert [each["v1"]["path"] for each in facts["operations"]] == [
        "components/far/transform-input",
        "components/far/transform-output",
    ]
    assert facts["operations"][0]["v1"]["example"] == {"data": {"ndarray": [[1.0, 2.0]]}}
    assert 'id="form-view"' not in form
