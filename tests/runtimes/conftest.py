"""Folders with a model file and its seldon.yaml, served in this process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest
import yaml

from seldon_spec.app import load
from seldon_spec.config.model import PortsSpec, Spec
from seldon_spec.errors import Severity
from tests.conftest import Running, serving

Array = Any

_MODULES = {"catboost": "catboost", "huggingface": "transformers", "tensorflow": "tensorflow", "torch": "torch"}

collect_ignore = [f"test_{name}.py" for name, module in _MODULES.items() if find_spec(module) is None]
"""The tests of packages that are in no locked environment; pytest-xdist cannot skip a whole module."""


@dataclass(frozen=True)
class Data:
    """Rows of numbers with their classes, and with a number each."""

    rows: Array
    classes: Array
    numbers: Array


@pytest.fixture(scope="session")
def iris() -> Data:
    """Three classes of rows of four features."""
    random = np.random.default_rng(0)
    classes = np.repeat(np.arange(3), 20)
    rows = random.normal(size=(60, 4)) + classes[:, None]
    return Data(rows, classes, rows.sum(axis=1))


class Answers:
    """A served model; each method returns what a client gets."""

    def __init__(self, running: Running, spec: Spec) -> None:
        self.running, self.spec = running, spec

    def get(self, path: str) -> Any:
        status, _, body = self.running.rest("GET", path)
        assert status == 200, body
        return json.loads(body)

    def post(self, path: str, tree: Any, status: int = 200) -> Any:
        found, _, body = self.running.post(json.dumps(tree).encode(), path)
        assert found == status, body
        return json.loads(body)

    def predict(self, rows: Any, names: Any = None, status: int = 200) -> Any:
        """Send rows by Seldon's protocol."""
        data = {"ndarray": rows} | ({} if names is None else {"names": names})
        return self.post("/api/v1.0/predictions", {"data": data}, status)

    def infer(self, rows: Any, datatype: str = "FP64", status: int = 200) -> Any:
        """Send rows by the Open Inference Protocol, as a client of MLServer does, under a name of its own."""
        array = np.asarray(rows)
        tensor = {"name": "predict", "shape": list(array.shape), "datatype": datatype, "data": array.ravel().tolist()}
        return self.post(f"/v2/models/{self.spec.name}/infer", {"inputs": [tensor]}, status)

    def metadata(self) -> Any:
        return self.get(f"/v2/models/{self.spec.name}")


class ServeModel(Protocol):
    """Serves the file of a folder until the test ends."""

    def __call__(self, path: str, more: Any = None, **model: Any) -> Answers: ...


@pytest.fixture
def serve_model(tmp_path: Path) -> Iterator[ServeModel]:
    """Write seldon.yaml beside a model file, and serve it.

    ``model`` has the keys of ``model``, and ``more`` the other keys of the file.
    """
    with ExitStack() as stack:

        def serve(path: str, more: Any = None, **model: Any) -> Answers:
            tree = {"model": {"path": path, **model}, "name": "iris", **(more or {})}
            (tmp_path / "seldon.yaml").write_text(yaml.safe_dump(tree))
            spec = load(tmp_path, {}, {("server", "host"): "127.0.0.1"})
            assert [each for each in spec.diagnostics if each.severity is not Severity.NOTE] == []
            return Answers(stack.enter_context(_serving(spec)), spec)

        yield serve


def _serving(spec: Spec) -> AbstractContextManager[Running]:
    from dataclasses import replace

    return serving(replace(spec, ports=PortsSpec(0, 0, 0)))


SaveModel = Callable[[Any, str], str]
