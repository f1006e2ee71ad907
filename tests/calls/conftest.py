"""One model behind every kind of target, and the scripted servers of ``tests.remote``."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from seldon_spec import Client
from seldon_spec.config.model import AuthSpec, ServerSpec, TlsSpec
from tests.remote.conftest import grpc_peer, http_peer

__all__ = ["grpc_peer", "http_peer"]

Start = Callable[..., AbstractContextManager[Any]]

CERTIFICATES = Path(__file__).parents[1] / "tls"
CA = CERTIFICATES / "ca.pem"
TOKEN = "secret-token"

SOURCE = """
import numpy as np
from seldon_spec import SeldonMicroserviceException

class Model:
    def __init__(self, factor=1):
        self.factor = factor
        self.feedback = []
        self.missed = ""

    def predict(self, X, names, meta=None):
        if isinstance(X, str) and X == "broken":
            raise ValueError("the model is broken")
        if isinstance(X, str) and X == "teapot":
            raise SeldonMicroserviceException("no coffee", status_code=418, reason="TEAPOT")
        if isinstance(X, str) and X == "missing":
            self.missed += "x"
            raise SeldonMicroserviceException("no such row", status_code=404)
        if isinstance(X, str) and X == "calls":
            return self.missed
        if isinstance(X, str) and X == "feedback":
            return repr(self.feedback)
        if isinstance(X, str) and X == "names":
            return np.array(names)
        return X if self.factor == 1 else X * self.factor

    def transform_input(self, X, names):
        return X + 1

    def transform_output(self, X, names):
        return X - 1

    def route(self, X, names):
        return 2

    def aggregate(self, features, names):
        return sum(features)

    def send_feedback(self, X, names, reward, truth, routing=None):
        self.feedback.append((X.tolist(), reward, truth.tolist(), routing))

    def tags(self):
        return {"version": "7"}

    def metrics(self):
        return [{"type": "COUNTER", "key": "calls", "value": 1}]
"""


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    (folder / "Model.py").write_text(SOURCE)
    (folder / "seldon.yaml").write_text("class_name: Model\n")
    return folder


@pytest.fixture(scope="session")
def sources(model_folder: Path, serve_in_thread: Start) -> Iterator[dict[str, tuple[Any, dict[str, Any]]]]:
    """What a client is given, and its options, for every kind of target."""
    tls = TlsSpec(str(CERTIFICATES / "server.pem"), str(CERTIFICATES / "server-key.pem"))
    secured = ServerSpec(host="127.0.0.1", tls=tls, auth=AuthSpec((TOKEN,)))
    trusting = {"ca": CA, "token": TOKEN}
    with contextlib.ExitStack() as stack:
        plain = stack.enter_context(serve_in_thread(model_folder, "Model"))
        secure = stack.enter_context(serve_in_thread(model_folder, "Model", server=secured))
        yield {
            "rest": (f"http://127.0.0.1:{plain.http_port}", {}),
            "grpc": (f"grpc://127.0.0.1:{plain.grpc_port}", {}),
            "https": (f"https://127.0.0.1:{secure.http_port}", trusting),
            "grpcs": (f"grpcs://127.0.0.1:{secure.grpc_port}", trusting),
            "process": (model_folder, {}),
        }


@pytest.fixture(scope="session")
def connect(sources: dict[str, tuple[Any, dict[str, Any]]]) -> Iterator[Callable[..., Client]]:
    """Open the client of a target; all are closed at the end."""
    clients: dict[tuple[str, str], Client] = {}

    def get(name: str, protocol: Any = "auto") -> Client:
        if (name, protocol) not in clients:
            source, options = sources[name]
            clients[name, protocol] = Client(source, protocol=protocol, **options)
        return clients[name, protocol]

    yield get
    for client in clients.values():
        client.close()
