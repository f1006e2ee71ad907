"""Requests that do not match the declared inputs: the same text over both protocols and transports, and the class."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import pytest

from seldon_spec import load, make_app
from seldon_spec.config.contract import ColumnSpec, TensorSpec
from seldon_spec.config.model import BatchingSpec, ServerSpec, ServiceType
from seldon_spec.protocols.open_inference_v2.proto import ModelInferRequest
from seldon_spec.protocols.seldon_v1.proto import SeldonMessage

if TYPE_CHECKING:
    from tests.conftest import Running

Serving = Callable[..., AbstractContextManager["Running"]]

CLASS = """
import logging
import numpy as np

class {name}:
    def predict(self, X, names):
        return [[str(X.dtype), *names]]

    def transform_input(self, X, names):
        return X

    def route(self, X, names):
        return 1

class Doubles:
    def predict(self, X, names):
        return X * 2

class Infers:
    def infer(self, inputs):
        return {{"y": inputs["input-0"].astype(np.float64)}}
"""
INPUTS = (
    TensorSpec(
        "input-0", "FP32", (-1, 2), columns=(ColumnSpec("a", minimum=0, maximum=10), ColumnSpec("b", choices=(1, 2)))
    ),
)
TEXT = "invalid request (2 problems): row 1, a: -1 is less than the minimum 0; row 1, b: 3 is not one of 1, 2"
ROWS: list[list[float]] = [[1, 2], [-1, 3]]


class Transport:
    """The two rows, sent in one way; the response's status and its text or JSON."""

    def __init__(self, running: Running, rows: Sequence[Sequence[float]], path: str = "predict") -> None:
        self.running = running
        self.rows = rows
        self.path = path

    def v1_rest(self) -> tuple[Any, str]:
        status, _, body = self.running.post(json.dumps({"data": {"ndarray": self.rows}}).encode(), f"/{self.path}")
        tree = json.loads(body)
        return status, tree["status"]["info"] if status != 200 else json.dumps(tree["data"])

    def v1_grpc(self) -> tuple[Any, str]:
        request = SeldonMessage()
        request.data.tensor.shape.extend([len(self.rows), 2])
        request.data.tensor.values.extend([value for row in self.rows for value in row])
        method = {"predict": "Model/Predict", "transform-input": "Generic/TransformInput", "route": "Router/Route"}
        return self._grpc(f"/seldon.protos.{method[self.path]}", request.SerializeToString())

    def v2_rest(self) -> tuple[Any, str]:
        tensor = {"name": "input-0", "datatype": "FP32", "shape": [len(self.rows), 2], "data": self.rows}
        status, _, body = self.running.post(json.dumps({"inputs": [tensor]}).encode(), "/v2/models/model/infer")
        tree = json.loads(body)
        return status, tree["error"] if status != 200 else json.dumps(tree["outputs"])

    def v2_binary(self) -> tuple[Any, str]:
        data = np.array(self.rows, np.float32).tobytes()
        parameters = {"binary_data_size": len(data)}
        tensor = {"name": "input-0", "datatype": "FP32", "shape": [len(self.rows), 2], "parameters": parameters}
        head = json.dumps({"inputs": [tensor]}).encode()
        headers = {"Inference-Header-Content-Length": str(len(head))}
        status, _, body = self.running.rest("POST", "/v2/models/model/infer", head + data, headers)
        tree = json.loads(body)
        return status, tree["error"] if status != 200 else json.dumps(tree["outputs"])

    def v2_grpc(self) -> tuple[Any, str]:
        request = ModelInferRequest(model_name="model")
        request.inputs.add(name="input-0", datatype="FP32", shape=[len(self.rows), 2])
        request.raw_input_contents.append(np.array(self.rows, np.float32).tobytes())
        return self._grpc("/inference.GRPCInferenceService/ModelInfer", request.SerializeToString())

    def _grpc(self, method: str, wire: bytes) -> tuple[Any, str]:
        try:
            return 200, str(self.running.call(wire, method))
        except grpc.RpcError as error:
            failed: Any = error
            return {"INVALID_ARGUMENT": 400}.get(failed.code().name, failed.code().name), failed.details()


SENDERS = {
    "v1-rest": Transport.v1_rest,
    "v1-grpc": Transport.v1_grpc,
    "v2-rest": Transport.v2_rest,
    "v2-binary": Transport.v2_binary,
    "v2-grpc": Transport.v2_grpc,
}


def write(folder: Path, name: str) -> Path:
    (folder / f"{name}.py").write_text(CLASS.format(name=name))
    return folder


@pytest.fixture
def log() -> Iterator[list[str]]:
    """The messages of the package; a server that starts replaces the handlers of the root logger."""
    messages: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("seldon_spec")
    logger.addHandler(handler)
    yield messages
    logger.removeHandler(handler)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, serve_in_thread: Serving) -> Iterator[Callable[..., Running]]:
    """Servers that are started once for each set of settings."""
    with ExitStack() as stack:
        started: dict[str, Running] = {}

        def start(key: str, **fields: Any) -> Running:
            if key not in started:
                name = f"Checked{len(started)}"
                folder = write(tmp_path_factory.mktemp(name), name)
                class_name = f"{name}.{fields.pop('class_name')}" if "class_name" in fields else name
                running = serve_in_thread(folder, class_name, inputs=INPUTS, **fields)
                started[key] = stack.enter_context(running)
            return started[key]

        yield start


@pytest.mark.parametrize("engine", ["native", "uvicorn"])
@pytest.mark.parametrize("send", SENDERS.values(), ids=SENDERS)
def test_every_transport_rejects_with_the_same_text(
    send: Callable[[Transport], tuple[Any, str]], engine: str, served: Callable[..., Running]
) -> None:
    running = served(f"reject-{engine}", server=ServerSpec(engine=engine))  # type: ignore[arg-type]
    assert send(Transport(running, ROWS)) == (400, TEXT)
    status, body = send(Transport(running, [[1, 2]]))
    assert status == 200
    assert "float32" in body


@pytest.mark.parametrize("mode", ["off", "warn"])
@pytest.mark.parametrize("send", SENDERS.values(), ids=SENDERS)
def test_requests_may_be_logged_or_not_checked(
    send: Callable[[Transport], tuple[Any, str]],
    mode: Any,
    served: Callable[..., Running],
    log: list[str],
) -> None:
    running = served(mode, server=ServerSpec(validate_requests=mode))
    assert send(Transport(running, ROWS))[0] == 200
    assert (f"server.validate_requests: {TEXT}" in log) is (mode == "warn")


@pytest.mark.parametrize("send", SENDERS.values(), ids=SENDERS)
def test_a_wrong_request_does_not_harm_the_others_of_a_batch(
    send: Callable[[Transport], tuple[Any, str]], served: Callable[..., Running]
) -> None:
    batching = BatchingSpec(max_rows=64, max_delay_ms=20)
    running = served("batching", server=ServerSpec(batching=batching), class_name="Doubles")
    assert send(Transport(running, ROWS)) == (400, TEXT)
    assert send(Transport(running, [[1, 2]]))[0] == 200


@pytest.mark.parametrize("mode", ["off", "warn", "reject"])
@pytest.mark.parametrize("send", SENDERS.values(), ids=SENDERS)
def test_named_tensors_have_the_declared_datatypes_in_every_mode(
    send: Callable[[Transport], tuple[Any, str]], mode: Any, served: Callable[..., Running]
) -> None:
    running = served(f"infer-{mode}", server=ServerSpec(validate_requests=mode), class_name="Infers")
    assert send(Transport(running, ROWS))[0] == (400 if mode == "reject" else 200)
    assert send(Transport(running, [[1, 2]]))[0] == 200


TABLE = (
    TensorSpec("age", "INT64", (-1,), optional=True),
    TensorSpec("job", "BYTES", (-1,), content_type="str"),
)
FRAMES = """
import pandas as pd

class {name}:
    def predict(self, X: pd.DataFrame):
        return [[len(X), *map(str, X.dtypes)]] * len(X)
"""


@pytest.mark.parametrize("mode", ["off", "warn", "reject"])
def test_a_table_has_the_declared_dtypes_in_every_mode(mode: Any, tmp_path: Path, serve_in_thread: Serving) -> None:
    name = f"Frames{mode.title()}"
    (tmp_path / f"{name}.py").write_text(FRAMES.format(name=name))
    server = ServerSpec(validate_requests=mode, batching=BatchingSpec(max_rows=64, max_delay_ms=200))
    with (
        serve_in_thread(tmp_path, name, inputs=TABLE, server=server) as running,
        ThreadPoolExecutor(2) as threads,
    ):
        bodies = [b'{"data":{"ndarray":[[1,"a"]]}}', b'{"data":{"names":["job"],"ndarray":[["b"],["c"]]}}']
        found = [json.loads(body)["data"]["ndarray"] for _, _, body in threads.map(running.post, bodies)]
    counts = [row[0] for rows in found for row in rows]
    assert set(counts) <= ({3} if mode == "reject" else {1, 2}) | {
        1,
        2,
    }  # rows of one batch, unless a wait was too short
    assert [len(rows) for rows in found] == [1, 2]
    assert {dtype for rows in found for row in rows for dtype in row[1:2]} <= {"int64", "Int64"}
    assert found[1][0][1] == "Int64"


NULLS = """
class {name}:
    def predict(self, X, names):
        return [[repr(value) for value in row] for row in X.tolist()]
"""


def test_missing_values_are_none_among_others_and_nan_among_numbers(tmp_path: Path, serve_in_thread: Serving) -> None:
    numbers = (TABLE[0], TensorSpec("income", "FP32", (-1,), optional=True))
    for name, inputs, row, expected in (
        ("NullsMixed", TABLE, b'[null,"x"]', ["None", "'x'"]),
        ("NullsNumbers", numbers, b"[null,1]", ["nan", "1.0"]),
    ):
        (tmp_path / f"{name}.py").write_text(NULLS.format(name=name))
        with serve_in_thread(tmp_path, name, inputs=inputs) as running:
            _, _, body = running.post(b'{"data":{"ndarray":[' + row + b"]}}")
        assert json.loads(body)["data"]["ndarray"] == [expected]


OTHERS = {
    ServiceType.TRANSFORMER: "transform-input",
    ServiceType.OUTLIER_DETECTOR: "transform-input",
    ServiceType.ROUTER: "route",
}


@pytest.mark.parametrize("send", [Transport.v1_rest, Transport.v1_grpc], ids=["rest", "grpc"])
@pytest.mark.parametrize(("service_type", "path"), OTHERS.items(), ids=[each.value for each in OTHERS])
def test_other_service_types_check_the_operation_that_takes_data(
    send: Callable[[Transport], tuple[Any, str]],
    service_type: ServiceType,
    path: str,
    served: Callable[..., Running],
) -> None:
    running = served(service_type.value, service_type=service_type)
    assert send(Transport(running, ROWS, path)) == (400, TEXT)
    assert send(Transport(running, [[1, 2]], path))[0] == 200


def test_columns_are_put_in_order_for_the_class(served: Callable[..., Running]) -> None:
    running = served("reject-native", server=ServerSpec())
    _, _, body = running.post(b'{"data":{"names":["b","a"],"ndarray":[[1,2]]}}')
    assert json.loads(body)["data"]["ndarray"] == [["float32", "a", "b"]]
    status, _, body = running.post(b'{"data":{"names":["b","c"],"ndarray":[[1,2]]}}')
    assert (status, json.loads(body)["status"]["info"]) == (
        400,
        "invalid request (2 problems): unknown column 'c'; missing column 'a'",
    )


def test_a_wsgi_app_checks_too(tmp_path: Path) -> None:
    write(tmp_path, "CheckedApp")
    (tmp_path / "seldon.yaml").write_text("class_name: CheckedApp\nname: model\ninputs: [a, b]\n")
    client = make_app(load(tmp_path, {})).test_client()
    response = client.post("/predict", json={"data": {"ndarray": [[1, "x"]]}})
    assert (response.status_code, json.loads(response.data)["status"]["info"]) == (
        400,
        "invalid request: row 0, b: 'x' is not a number",
    )


DIFFERENT = """
class Fitted:
    n_features_in_ = 2
    feature_names_in_ = ["b", "a"]

class Different:
    def __init__(self):
        self.model = Fitted()

    def init_metadata(self):
        return {"inputs": [METADATA]}

    def predict(self, X):
        return X
"""


METADATA = {
    "V2": (
        {"name": "x", "datatype": "FP32", "shape": [-1, 2]},
        "init_metadata() has the inputs x FP32 [-1, 2], and seldon.yaml declares input-0",
    ),
    "V1": (
        {"messagetype": "tensor", "schema": {"names": ["a", "c"], "shape": [2]}},
        "init_metadata() has inputs with the columns a, c, and seldon.yaml declares a, b",
    ),
}


@pytest.mark.parametrize(("metadata", "text"), METADATA.values(), ids=METADATA)
def test_differences_between_the_contract_and_the_class_are_logged(
    tmp_path: Path, serve_in_thread: Serving, log: list[str], metadata: dict[str, Any], text: str
) -> None:
    (tmp_path / "Different.py").write_text(DIFFERENT.replace("METADATA", repr(metadata)))
    with serve_in_thread(tmp_path, "Different", inputs=INPUTS) as running:
        status, _, body = running.rest("GET", "/metadata")
        assert status == 200
        assert json.loads(body)["inputs"] == [{"name": "input-0", "datatype": "FP32", "shape": [-1, 2]}]
    logged = "\n".join(log)
    assert "Different: model was fitted with the columns b, a, and seldon.yaml declares the order a, b" in logged
    assert f"Different: {text}" in logged
