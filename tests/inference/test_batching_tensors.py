"""Batching of requests of named tensors, with each other and with those of Seldon's protocol."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import pytest

from seldon_spec.config.contract import ColumnSpec, TensorSpec
from seldon_spec.config.model import BatchingSpec, UnitSpec
from seldon_spec.inference.call import Call
from seldon_spec.inference.component.adapter import Adapter
from seldon_spec.inference.dispatcher import Dispatcher
from seldon_spec.inference.executor import ModelThreads
from seldon_spec.inference.message import Operation
from seldon_spec.inference.metrics_sink import NullMetrics
from seldon_spec.inference.request import Codec
from seldon_spec.protocols.open_inference_v2.codec import InferBody, ModelInfo
from seldon_spec.protocols.open_inference_v2.json_codec import V2JsonCodec
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec

V1 = JsonCodec()
V2 = V2JsonCodec(
    ModelInfo("model", inputs=(TensorSpec("x", "FP64", (-1, 2), columns=(ColumnSpec("a"), ColumnSpec("b"))),))
)
WAIT_SECONDS = 10


class Doubling:
    def __init__(self) -> None:
        self.calls: list[tuple[int, list[str]]] = []

    def predict(self, rows: Any, names: Any) -> Any:
        self.calls.append((len(rows), list(names)))
        rows *= 2
        return rows


class Inferring:
    def __init__(self) -> None:
        self.calls: list[int] = []

    def infer(self, inputs: dict[str, Any]) -> Any:
        (first, *_) = inputs.values()
        self.calls.append(len(first))
        return {name: array * 2 for name, array in inputs.items()}


@contextmanager
def dispatching(
    user: object, max_rows: int | None = 100, inputs: Sequence[TensorSpec] = ()
) -> Iterator[tuple[Dispatcher, ModelThreads]]:
    threads = ModelThreads(1)
    batching = None if max_rows is None else BatchingSpec(max_rows)
    dispatcher = Dispatcher(lambda: Adapter(user, UnitSpec(), inputs=inputs), threads, NullMetrics(), batching)
    dispatcher.start().result(WAIT_SECONDS)
    try:
        yield dispatcher, threads
    finally:
        dispatcher.stop()


def send(
    user: object, *wires: tuple[Codec, Any], max_rows: int | None = 100, inputs: Sequence[TensorSpec] = ()
) -> list[Any]:
    """Post requests while the only model thread is held, and return their responses or errors."""
    with dispatching(user, max_rows, inputs) as (dispatcher, threads):
        release, finished = threading.Event(), threading.Semaphore(0)
        threads.submit(lambda: release.wait(WAIT_SECONDS))
        calls = [Call(Operation.PREDICT, wire, codec, lambda _call: finished.release()) for codec, wire in wires]
        for call in calls:
            dispatcher.post([call])
        release.set()
        for _ in calls:
            assert finished.acquire(timeout=WAIT_SECONDS)
    return [str(call.error) if call.response is None else call.response.body for call in calls]


def v2(rows: Sequence[Any], name: str = "x", datatype: str = "FP64", **more: Any) -> tuple[Codec, bytes]:
    array = np.array(rows)
    entry = {"name": name, "shape": list(array.shape), "datatype": datatype, "data": array.ravel().tolist()}
    return V2, json.dumps({"inputs": [entry], **more}).encode()


def columns(*values: list[float], names: str = "ab") -> tuple[Codec, bytes]:
    entries = [
        {"name": name, "shape": [len(data)], "datatype": "FP64", "data": data}
        for name, data in zip(names, values, strict=True)
    ]
    return V2, json.dumps({"inputs": entries}).encode()


def binary(rows: list[list[float]]) -> tuple[Codec, InferBody]:
    array = np.array(rows)
    entry = {"name": "x", "shape": array.shape, "datatype": "FP64", "parameters": {"binary_data_size": array.nbytes}}
    head = json.dumps({"inputs": [entry], "parameters": {"binary_data_output": True}}).encode()
    return V2, InferBody(head + array.tobytes(), len(head))


def v1(rows: list[list[float]], member: str = "ndarray") -> tuple[Codec, bytes]:
    value: Any = {"shape": [len(rows), 2], "values": np.ravel(rows).tolist()} if member == "tensor" else rows
    return V1, json.dumps({"data": {"names": ["a", "b"], member: value}}).encode()


def test_requests_of_both_protocols_share_a_call_and_get_their_own_responses() -> None:
    wires = [
        v2([[1.5, 2.0]], id="1"),
        v1([[3.5, 4.0], [5.5, 6.0]]),
        columns([7.5, 8.5], [9.5, 10.5]),
        v1([[0.5, 1.0]], "tensor"),
        v2([[0.25, 3.0]], "y"),
        binary([[11.5, 12.0]]),
    ]
    together, alone = Doubling(), Doubling()
    assert send(together, *wires) == send(alone, *wires, max_rows=None)
    assert together.calls == [(8, ["a", "b"])]
    assert len(alone.calls) == len(wires)


APART: dict[str, tuple[Codec, bytes]] = {
    "datatype": v2([[1.0, 2.0]], datatype="FP32"),
    "names": columns([1.0], [2.0], names="ba"),
    "width": v2([[1.0, 2.0, 3.0]]),
    "one-dimension": v2([1.0, 2.0]),
    "no-rows": v2(np.zeros((0, 2)).tolist()),
    "dict": v2([[1.0, 2.0]], parameters={"content_type": "dict"}),
}


@pytest.mark.parametrize("other", APART.values(), ids=APART.keys())
def test_requests_that_cannot_share_a_call(other: tuple[Codec, bytes]) -> None:
    class Either(Doubling):
        def predict(self, rows: Any, names: Any) -> Any:
            return super().predict(rows["x"] if isinstance(rows, dict) else rows, names)

    user = Either()
    wires = [v2([[1.0, 2.0]]), other]
    assert send(user, *wires) == send(Either(), *wires, max_rows=None)
    assert len(user.calls) == 2


def test_a_request_that_the_class_cannot_get_fails_alone() -> None:
    entry = {"name": "x", "shape": [1, 1], "datatype": "BYTES", "data": ["?"], "parameters": {"content_type": "json"}}
    user = Doubling()
    good = v2([[1.0, 2.0]])
    bad = (V2, json.dumps({"inputs": [entry]}).encode())
    first, second, third = send(user, good, bad, good)
    assert json.loads(first)["outputs"][0]["data"] == [2, 4]
    assert first == third
    assert "input 'x': an element is not of content_type json" in second
    assert user.calls == [(2, ["a", "b"])]


def test_named_arrays_share_a_call_of_infer() -> None:
    wires = [v2([[1.0, 2.0]], id="1"), v2([[3.0, 4.0], [5.0, 6.0]], id="2"), v2([[7.0]]), columns([1.5], [2.5])]
    together, alone = Inferring(), Inferring()
    assert send(together, *wires) == send(alone, *wires, max_rows=None)
    assert sorted(together.calls) == [1, 1, 3]


def test_vectors_share_a_call_of_infer() -> None:
    wires = [v2([1.0, 2.0], "y"), v2([3.0], "y"), v2([4.0, 5.0, 6.0], "y")]
    user = Inferring()
    responses = send(user, *wires)
    assert [json.loads(body)["outputs"][0]["data"] for body in responses] == [[2, 4], [6], [8, 10, 12]]
    assert user.calls == [6]


def test_a_hook_with_parameters_gets_each_request_alone() -> None:
    class WithParameters(Inferring):
        def infer(self, inputs: dict[str, Any], parameters: Any = None) -> Any:  # noqa: ARG002
            return super().infer(inputs)

    user = WithParameters()
    send(user, v2([[1.0, 2.0]]), v2([[3.0, 4.0]]))
    assert user.calls == [1, 1]


def test_results_without_a_row_for_each_row_end_batching() -> None:
    class Summing(Inferring):
        def infer(self, inputs: dict[str, Any]) -> Any:
            return {name: array.sum(axis=0) for name, array in super().infer(inputs).items()}

    user = Summing()
    wires = [v2([[1.0, 2.0]]), v2([[3.0, 4.0]]), v2([[5.0, 6.0]])]
    assert send(user, *wires) == send(Summing(), *wires, max_rows=None)
    assert user.calls == [3, 1, 1, 1]


class Frames:
    def __init__(self) -> None:
        self.calls: list[Any] = []

    def predict(self, X: pd.DataFrame) -> Any:  # noqa: N803
        self.calls.append((len(X), X.dtypes.astype(str).tolist()[:1], X["age"].isna().tolist()))
        return X["job"].to_frame()


def test_rows_of_a_declared_table_share_a_call() -> None:
    """Missing values and the types of the columns are those of the requests."""
    inputs = (
        TensorSpec("age", "INT64", (-1,), optional=True),
        TensorSpec("job", "BYTES", (-1,), content_type="str"),
    )
    user = Frames()
    bodies = [b'{"data":{"ndarray":[[1,"a"]]}}', b'{"data":{"names":["job"],"ndarray":[["b"],["c"]]}}']
    found = send(user, *((V1, body) for body in bodies), inputs=inputs)
    assert [json.loads(body)["data"]["ndarray"] for body in found] == [[["a"]], [["b"], ["c"]]]
    assert user.calls == [(3, ["Int64"], [False, True, True])]
