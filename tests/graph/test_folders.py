"""Graphs of component folders in one process: their modules, Flask, services and threads."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import seldon_spec
from seldon_spec.config.model import PortsSpec, Spec
from tests.conftest import Running, serving

Serve = Callable[..., AbstractContextManager[Any]]

MODEL = "class Model:\n    def predict(self, X, names, meta=None):\n        return X\n"


def write(root: Path, files: Mapping[str, str]) -> Path:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def component(name: str, source: str, service_type: str = "MODEL", **more: str) -> dict[str, str]:
    """The files of a component with the class Model in Model.py."""
    spec = f"class_name: Model\nservice_type: {service_type}\n"
    return {
        f"{name}/seldon.yaml": spec,
        f"{name}/Model.py": source,
        **{f"{name}/{path}": t for path, t in more.items()},
    }


def load(root: Path, **flags: str) -> Spec:
    return seldon_spec.load(root, {}, {tuple(key.split("__")): text for key, text in flags.items()})


def serve_graph(root: Path) -> AbstractContextManager[Running]:
    spec = load(root)
    return serving(replace(spec, ports=PortsSpec(0, 0, 0), server=replace(spec.server, host="127.0.0.1")))


def predict(root: Path, rows: Any, **flags: str) -> Any:
    """The response of the graph in a folder, by a test client."""
    response = (
        seldon_spec.make_app(load(root, **flags)).test_client().post("/predict", json={"data": {"ndarray": rows}})
    )
    assert response.status_code == 200, response.get_json()
    return response.get_json()["data"]["ndarray"]


IMPORTS = {
    "at the top": (
        "from utils import FACTOR\n\n\nclass Model:\n    def predict(self, X, names):\n        return X * FACTOR\n",
        "FACTOR = {factor}\n",
    ),
    "inside predict": (
        "class Model:\n    def predict(self, X, names):\n        import utils\n        return X * utils.FACTOR\n",
        "FACTOR = {factor}\n",
    ),
    "by importlib, inside predict": (
        "import importlib\n\n\nclass Model:\n    def predict(self, X, names):\n"
        "        return X * importlib.import_module('utils').FACTOR\n",
        "FACTOR = {factor}\n",
    ),
    "lazily, in another module": (
        "import utils\n\n\nclass Model:\n    def predict(self, X, names):\n        return X * utils.find()\n",
        "def find():\n    from deep import FACTOR\n    return FACTOR\n",
    ),
    "in a thread": (
        "import threading\n\n\nclass Model:\n    def predict(self, X, names):\n        found = []\n"
        "        def find():\n            import utils\n            found.append(utils.FACTOR)\n"
        "        thread = threading.Thread(target=find)\n        thread.start()\n        thread.join()\n"
        "        return X * found[0]\n",
        "FACTOR = {factor}\n",
    ),
}


@pytest.mark.parametrize("way", IMPORTS)
def test_folders_with_modules_of_the_same_names(way: str, tmp_path: Path) -> None:
    model, utils = IMPORTS[way]
    files = {"seldon.yaml": "graph: [two, three, two-again]\ncomponents: {two-again: two}\n"}
    for name, factor in (("two", 2), ("three", 3)):
        deep = f"FACTOR = {factor}\n"
        files |= component(name, model, **{"utils.py": utils.format(factor=factor), "deep.py": deep})
    assert predict(write(tmp_path, files), [[1.0]]) == [[12.0]]


def test_packages_of_the_same_name_with_relative_imports(tmp_path: Path) -> None:
    files = {"seldon.yaml": "graph: [two, three]\n"}
    for name, factor in (("two", 2), ("three", 3)):
        files |= {
            f"{name}/seldon.yaml": "class_name: pkg.model.Model\n",
            f"{name}/pkg/__init__.py": "",
            f"{name}/pkg/model.py": "from . import base\nfrom .inner.factor import FACTOR\n\n\nclass Model(base.Base):\n"
            "    def predict(self, X, names):\n        from .inner import late\n        return X * FACTOR + late.ADDED\n",
            f"{name}/pkg/base.py": "class Base:\n    pass\n",
            f"{name}/pkg/inner/__init__.py": "",
            f"{name}/pkg/inner/factor.py": f"FACTOR = {factor}\n",
            f"{name}/pkg/inner/late.py": f"ADDED = {factor * 100}\n",
        }
    assert predict(write(tmp_path, files), [[1.0]]) == [[906.0]]


TRAIN = """
import pickle
import sys

sys.path.insert(0, ".")
import estimator

fitted = estimator.Estimator({factor})
with open("model.pkl", "wb") as file:
    pickle.dump(fitted, file)
try:
    import joblib
except ImportError:
    joblib = pickle
with open("model.joblib", "wb") as file:
    joblib.dump(fitted, file)
"""

PICKLED = """
import pickle
from pathlib import Path

try:
    import joblib
except ImportError:
    joblib = pickle


class Model:
    def load(self):
        with (Path(__file__).parent / "model.pkl").open("rb") as file:
            self.first = pickle.load(file)
        with (Path(__file__).parent / "model.joblib").open("rb") as file:
            self.second = joblib.load(file)

    def predict(self, X, names):
        again = pickle.loads(pickle.dumps(self.first))
        return again.apply(self.second.apply(X))
"""


def test_pickled_models_of_classes_of_their_folders(tmp_path: Path) -> None:
    files = {"seldon.yaml": "graph: [two, three]\n"}
    for name, factor in (("two", 2), ("three", 3)):
        estimator = (
            f"class Estimator:\n    OWN = {factor}\n    def __init__(self, factor):\n        self.factor = factor\n"
            "    def apply(self, X):\n        assert self.factor == self.OWN\n        return X * self.OWN\n"
        )
        files |= component(name, PICKLED, **{"estimator.py": estimator, "train.py": TRAIN.format(factor=factor)})
    write(tmp_path, files)
    for name in ("two", "three"):
        subprocess.run([sys.executable, "train.py"], cwd=tmp_path / name, check=True)
    assert predict(tmp_path, [[1.0]]) == [[36.0]]


POOLED = """
import pickle
from concurrent.futures import ThreadPoolExecutor

import helper


class Model:
    def predict(self, X, names):
        with ThreadPoolExecutor(1) as pool:
            pickled = pool.submit(pickle.dumps, helper.multiply).result()
            return pool.submit(pickle.loads, pickled).result()(X)
"""


def test_threads_of_a_library_pickle_for_the_folder_that_started_them(tmp_path: Path) -> None:
    """As pools of processes do, in threads of their own: no code of a folder runs in them."""
    files = {"seldon.yaml": "graph: [two, three]\n"}
    for name, factor in (("two", 2), ("three", 3)):
        files |= component(name, POOLED, **{"helper.py": f"def multiply(x):\n    return x * {factor}\n"})
    assert predict(write(tmp_path, files), [[1.0]]) == [[6.0]]


def test_a_class_that_is_used_twice_has_two_objects(tmp_path: Path) -> None:
    source = (
        "BUILT = []\n\n\nclass Model:\n    def __init__(self, factor):\n        self.factor = factor\n"
        "        BUILT.append(self)\n\n    def predict(self, X, names):\n        return X * self.factor + len(BUILT)\n"
    )
    spec = "graph: [two, three]\ncomponents:\n"
    spec += "".join(
        f"  {n}: {{class_name: Model, parameters: {{factor: {f}}}}}\n" for n, f in (("two", 2), ("three", 3))
    )
    write(tmp_path, {"seldon.yaml": spec, "Model.py": source})
    assert predict(tmp_path, [[10.0]]) == [[(10 * 2 + 2) * 3 + 2]]


RELATIVE = """
class Model:
    def load(self):
        with open("factor") as file:
            self.factor = float(file.read())

    def predict(self, X, names):
        return X * self.factor
"""


def test_a_component_reads_its_files_in_its_folder(tmp_path: Path) -> None:
    two, three = component("two", RELATIVE, factor="2"), component("deep/three", RELATIVE, factor="3")
    nested = {"deep/seldon.yaml": "graph: [three]\n"}
    write(tmp_path, {"seldon.yaml": "graph: [two, deep]\n", **two, **three, **nested})
    assert predict(tmp_path, [[1.0]]) == [[6.0]]


def test_a_relative_path_of_the_graph_does_not_depend_on_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = (
        "from pathlib import Path\n\n\nclass Model:\n    def predict(self, X, names):\n"
        "        return X * float((Path(__file__).parent / 'factor').read_text())\n"
    )
    write(tmp_path / "g", {"seldon.yaml": "graph: [two]\n", **component("two", source, factor="2")})
    monkeypatch.chdir(tmp_path)
    assert predict(Path("g"), [[3.0]]) == [[6.0]]


FLASK = """
import flask


class Shown(Exception):
    pass


class Model:
    model_error_handler = flask.Blueprint("errors", __name__)

    def predict(self, X, names):
        if flask.request.headers.get("X-Fail"):
            raise Shown("own page")
        return [[flask.request.headers["X-User"]]]


@Model.model_error_handler.app_errorhandler(Shown)
def show(error):
    return flask.jsonify({"shown": str(error)}), 418
"""

PLAIN_FAILURE = """
class Model:
    def predict(self, X, names):
        if X.shape[1] == 3:
            raise ValueError("no handler")
        return X
"""


@pytest.fixture(scope="module")
def flask_graph(tmp_path_factory: pytest.TempPathFactory) -> Any:
    files = {**component("plain", PLAIN_FAILURE), **component("asks", FLASK), "seldon.yaml": "graph: [plain, asks]\n"}
    with serve_graph(write(tmp_path_factory.mktemp("flask"), files)) as running:
        yield running


def send(running: Running, rows: Any, **headers: str) -> tuple[int, Any]:
    body = json.dumps({"data": {"ndarray": rows}}).encode()
    given = {"Content-Type": "application/json", **{name.replace("_", "-"): text for name, text in headers.items()}}
    status, _, text = running.rest("POST", "/predict", body, given)
    return status, json.loads(text)


def test_a_component_uses_flask_request(flask_graph: Running) -> None:
    status, body = send(flask_graph, [[1]], X_User="ann")
    assert (status, body["data"]["ndarray"]) == (200, [["ann"]])


def test_the_error_handlers_of_a_component_handle_its_exceptions(flask_graph: Running) -> None:
    assert send(flask_graph, [[1]], X_User="ann", X_Fail="yes") == (418, {"shown": "own page"})


def test_an_exception_of_another_component_is_not_handled_by_them(flask_graph: Running) -> None:
    status, body = send(flask_graph, [[1, 2, 3]])
    assert status == 500
    assert body["status"]["info"] == "component plain: no handler"


HANDLED = """
import flask


class Own(Exception):
    pass


class Model:
    model_error_handler = flask.Blueprint("errors", __name__)

    def predict(self, X, names):
        if X[0, 0] == {number}:
            raise Own
        return X


@Model.model_error_handler.app_errorhandler(Own)
def show(error):
    return flask.jsonify(by={number}), 418
"""


def test_each_component_has_error_handlers_of_its_own(tmp_path: Path) -> None:
    files = {**component("one", HANDLED.format(number=1)), **component("deep/two", HANDLED.format(number=2))}
    files |= {"deep/seldon.yaml": "graph: [two]\n", "seldon.yaml": "graph: [one, deep]\n"}
    with serve_graph(write(tmp_path, files)) as running:
        assert [send(running, [[number]])[1] for number in (1, 2)] == [{"by": 1}, {"by": 2}]
        assert send(running, [[3]])[0] == 200


SERVICE = """
import threading


class Model:
    def __init__(self):
        self.started = threading.Event()

    def custom_service(self):
        self.started.set()

    def predict(self, X, names):
        assert self.started.wait(20)
        return X + 1
"""


def test_the_services_of_all_components_start(tmp_path: Path) -> None:
    files = {**component("one", SERVICE), **component("two", SERVICE), "seldon.yaml": "graph: [one, two]\n"}
    with serve_graph(write(tmp_path, files)) as running:
        assert send(running, [[1]])[1]["data"]["ndarray"] == [[3.0]]


MEETING = """
import threading

MEETING = threading.Barrier({parties}, timeout=20)


class Model:
    def predict(self, X, names, meta=None):
        MEETING.wait()
        return X + {added}

    def tags(self):
        return {{}}
"""


def test_requests_pass_through_a_graph_at_the_same_time(tmp_path: Path) -> None:
    """Each component waits until as many requests are in it as there are threads; no request gets another's values."""
    threads = 4
    files = {"seldon.yaml": f"graph:\n  - one\n  - average: [two, three]\nserver: {{threads: {threads}}}\n"}
    for name, added in (("one", 10), ("two", 100), ("three", 300)):
        files |= component(name, MEETING.format(parties=threads, added=added))
    with serve_graph(write(tmp_path, files)) as running, ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(lambda value: send(running, [[value]])[1], range(threads * 3)))
    assert [body["data"]["ndarray"] for body in found] == [[[value + 210.0]] for value in range(threads * 3)]
    assert {tuple(sorted(body["meta"]["requestPath"])) for body in found} == {("one", "three", "two")}


COUNTED = """
import os
from pathlib import Path


class Model:
    def __init__(self):
        with (Path(__file__).parent / "built").open("a") as file:
            file.write(f"{os.getpid()}\\n")

    def predict(self, X, names):
        return [[os.getpid()]]
"""


def test_every_worker_builds_each_component_once(tmp_path: Path, serve_folder: Serve) -> None:
    files = {**component("one", COUNTED), **component("two", COUNTED)}
    write(tmp_path, {**files, "seldon.yaml": "graph: [one, two]\nserver: {workers: 2}\n"})
    processes: set[str] = set()
    end = time.monotonic() + 60
    with serve_folder(tmp_path) as server:
        while len(processes) < 2 and time.monotonic() < end:  # every connection may get to another worker
            processes.add(read_process(server.http))
        built = [(tmp_path / name / "built").read_text().split() for name in ("one", "two")]
    assert len(processes) == 2
    assert sorted(built[0]) == sorted(built[1]) == sorted(processes)


def read_process(port: int) -> str:
    """The process that responds to a request."""
    url, body = f"http://127.0.0.1:{port}/predict", b'{"data": {"ndarray": [[1]]}}'
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as response:
        return str(int(json.load(response)["data"]["ndarray"][0][0]))
