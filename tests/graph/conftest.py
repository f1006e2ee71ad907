"""Components that record their calls, and specs of graphs of them."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from seldon_spec.config.graph import Step, list_components
from seldon_spec.config.model import ComponentSpec, ServiceType, Spec, UnitSpec
from seldon_spec.inference.assembly import dispatcher_for
from seldon_spec.inference.dispatcher import Dispatcher

RECORDER = """
import numpy as np

CALLS = []


class Recorder:
    def __init__(self, name, factor=1.0, branch=0, changes=False):
        self.name, self.factor, self.branch, self.changes = name, factor, branch, changes

    def _run(self, method, X, meta):
        CALLS.append((self.name, method, np.array(X).tolist()))
        tags = (meta or {}).get("tags") or {}
        if tags.get("fail") == self.name:
            raise ValueError(f"{self.name} fails")
        return tags

    def _respond(self, method, X, meta):
        self._run(method, X, meta)
        if self.changes:
            X *= self.factor
            return X
        return X * self.factor

    def predict(self, X, names, meta=None):
        return self._respond("predict", X, meta)

    def transform_input(self, X, names, meta=None):
        return self._respond("transform_input", X, meta)

    def transform_output(self, X, names, meta=None):
        return self._respond("transform_output", X, meta)

    def route(self, X, names, meta=None):
        tags = self._run("route", X, meta)
        if self.changes:
            X *= 0
        return int(tags.get(f"branch of {self.name}", self.branch))

    def aggregate(self, Xs, names, meta=None):
        self._run("aggregate", Xs, meta)
        return np.sum(Xs, axis=0) * self.factor

    def tags(self):
        return {f"tag of {self.name}": True, "last": self.name}

    def metrics(self):
        return [{"type": "COUNTER", "key": f"calls_{self.name}", "value": 1}]

    def send_feedback(self, X, names, reward, truth, routing=None):
        CALLS.append((self.name, "send_feedback", [reward, routing]))


class WithoutFeedback:
    def predict(self, X, names):
        return X


class Raw:
    def __init__(self, name="raw"):
        self.name = name

    def predict_raw(self, message):
        CALLS.append((self.name, "predict_raw", message))
        return message

    def aggregate_raw(self, messages):
        CALLS.append((self.name, "aggregate_raw", messages))
        return messages["seldonMessages"][0] if isinstance(messages, dict) else messages[0]
"""

MakeComponent = Callable[..., ComponentSpec]
MakeGraph = Callable[[Step, Mapping[str, ComponentSpec]], Spec]


@pytest.fixture(scope="session")
def recorder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorder")
    (folder / "Recorder.py").write_text(RECORDER)
    return folder


@pytest.fixture
def calls(recorder_folder: Path) -> list[Any]:
    """The calls of all recorders; empty at the start of a test."""
    from seldon_spec.inference.component.importer import import_class

    import_class("Recorder.Recorder", recorder_folder)
    recorded: list[Any] = importlib.import_module("Recorder").CALLS
    recorded.clear()
    return recorded


@pytest.fixture(scope="session")
def make_component(recorder_folder: Path) -> MakeComponent:
    def make(name: str, service_type: ServiceType = ServiceType.MODEL, **more: Any) -> ComponentSpec:
        class_name = more.pop("class_name", "Recorder.Recorder")
        parameters = {} if class_name not in ("Recorder.Recorder", "Recorder.Raw") else {"name": name, **more}
        spec = Spec(
            class_name,
            recorder_folder,
            name,
            service_type,
            parameters=MappingProxyType(parameters),
            unit=UnitSpec(id=name, image=f"{name}:1"),
        )
        return ComponentSpec(service_type, spec, has_feedback=class_name == "Recorder.Recorder")

    return make


@pytest.fixture(scope="session")
def make_graph(recorder_folder: Path) -> MakeGraph:
    def make(step: Step, components: Mapping[str, ComponentSpec]) -> Spec:
        used = {name: components[name] for name in list_components(step)}
        return Spec(None, recorder_folder, "graph", graph=step, components=MappingProxyType(used))

    return make


@pytest.fixture
def start(calls: list[Any]) -> Iterator[Callable[[Spec], Dispatcher]]:
    """Start dispatchers, which end with the test."""
    started: list[Dispatcher] = []

    def begin(spec: Spec, **more: Any) -> Dispatcher:
        dispatcher = dispatcher_for(spec, **more)
        dispatcher.start().result(20)
        started.append(dispatcher)
        return dispatcher

    yield begin
    for dispatcher in started:
        dispatcher.stop()
