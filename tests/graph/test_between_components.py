"""What components of one process get of each other and of the client, compared with components that are servers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

import seldon_spec
from seldon_spec.errors import PayloadError, ResultError, UnwritableResult
from seldon_spec.inference.dispatcher import Dispatcher
from seldon_spec.inference.message import Operation
from seldon_spec.protocols.component_codec import ComponentCodec
from seldon_spec.protocols.open_inference_v2.codec import InferBody, ModelInfo
from seldon_spec.protocols.open_inference_v2.json_codec import V2JsonCodec
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec
from seldon_spec.protocols.seldon_v1.proto import SeldonMessage
from seldon_spec.protocols.seldon_v1.proto_codec import ProtoCodec
from seldon_spec.transport.buffers import PagePool

JSON, V2 = JsonCodec(), V2JsonCodec(ModelInfo("g", "1"))
MIXED = {"data": {"names": ["a", "b", "c"], "ndarray": [["x", 1, 0.5], ["y", 2, 1.0]]}}
SOURCE = """
import numpy
import pandas


class Echo:
    def predict(self, X, names):
        return X


class Table:
    def predict(self, X, names):
        return pandas.DataFrame({"a": ["x", "y"], "b": [1, 2], "c": [0.5, 1.0]})


class Rows:
    def predict(self, X, names):
        return [["x", 1, 0.5], ["y", 2, 1.0]]


class Kinds:
    def predict(self, X: pandas.DataFrame, names=None):
        return [[X[column].tolist()[1] == value for column, value in zip(X, ("y", 2, 1.0))]]


class WrongObject:
    def predict(self, X, names):
        return {"a": object()}


class WrongTags:
    def predict(self, X, names):
        return X

    def tags(self):
        tag = []
        tag.append(tag)
        return {"tag": tag}


class WrongRaw:
    def predict_raw(self, message):
        return ["no message"]


class Cells:
    def predict(self, X: pandas.DataFrame, names=None):
        cell = X.iloc[0, 0]
        cell["seen"] = cell.get("seen", 0) + 1
        return {"seen": cell["seen"]}


class Masked:
    def __init__(self, value=1.0):
        self.value = value

    def predict(self, X, names):
        return numpy.ma.array([[self.value, 5.0]], mask=[[False, True]])


class Raw:
    def predict_raw(self, message):
        return {"jsonData": message["extra"]}


class Whole:
    def predict_raw(self, message):
        return {"jsonData": message}


class Increasing:
    def predict(self, X, names):
        X += 1
        return X


class Total:
    def predict_raw(self, message):
        return {"jsonData": sum(message.data.tensor.values)}


class First:
    def route(self, X, names):
        return 0

    def tags(self):
        return {"routed": True}


class Both:
    def aggregate(self, Xs, names=None):
        return {"all": Xs}


class Changing:
    def predict(self, X, names, meta=None):
        meta["headers"]["x-user"] = "changed"
        meta["tags"]["size"] = 7
        return X


class Showing:
    def predict(self, X, names, meta=None):
        return {"headers": meta["headers"], "size": meta["tags"]["size"]}
"""
Begin = Callable[[str], Dispatcher]


@pytest.fixture
def begin(tmp_path: Path, start: Callable[..., Dispatcher]) -> Begin:
    """Start the graph of a text of YAML, whose classes are those above."""
    (tmp_path / "Between.py").write_text(SOURCE)

    def load(text: str) -> Dispatcher:
        (tmp_path / "seldon.yaml").write_text(f"name: g\n{text}")
        return start(seldon_spec.load(tmp_path, {}))

    return load


def ask(dispatcher: Dispatcher, body: Any, codec: Any = JSON) -> Any:
    wire = body if isinstance(body, InferBody) else json.dumps(body).encode()
    return json.loads(dispatcher.submit(Operation.PREDICT, wire, codec).result(20).body)


def test_a_component_alone_gets_the_request_as_it_was_sent(begin: Begin) -> None:
    dispatcher = begin(
        "graph: [echo, kinds, raw]\n"
        "components: {echo: {class_name: Between.Echo}, kinds: {class_name: Between.Kinds},"
        " raw: {class_name: Between.Raw}}\n"
    )
    response = ask(dispatcher, MIXED, ComponentCodec(JSON, "kinds"))
    assert response["data"]["ndarray"] == [[True, True, True]]
    response = ask(dispatcher, {**MIXED, "extra": {"a": 1}}, ComponentCodec(JSON, "raw"))
    assert response["jsonData"] == {"a": 1}


@pytest.mark.parametrize("first", ["Table", "Rows"])
def test_columns_keep_their_types(first: str, begin: Begin) -> None:
    dispatcher = begin(
        "graph: [first, kinds]\n"
        f"components: {{first: {{class_name: Between.{first}}}, kinds: {{class_name: Between.Kinds}}}}\n"
    )
    assert ask(dispatcher, {"data": {"ndarray": [[1]]}})["data"]["ndarray"] == [[True, True, True]]


def test_components_do_not_see_how_others_change_what_the_client_sent(begin: Begin) -> None:
    dispatcher = begin(
        "graph: [changing, showing]\n"
        "components: {changing: {class_name: Between.Changing}, showing: {class_name: Between.Showing}}\n"
    )
    tensor = {"name": "x", "datatype": "FP64", "shape": [1, 1], "data": [1.0]}
    wire = json.dumps({"inputs": [tensor], "parameters": {"size": 5}}).encode()
    response = ask(dispatcher, InferBody(wire, headers={"x-user": "sent"}), V2)
    assert json.loads(response["outputs"][0]["data"][0]) == {"headers": {"x-user": "sent"}, "size": 7}


WITH_WHOLE = """
components:
  whole: {class_name: Between.Whole}
  echo: {class_name: Between.Echo}
  first: {class_name: Between.First, service_type: ROUTER}
"""
ROUTED = "graph: {route: first, to: [whole, echo]}\n"


@pytest.mark.parametrize("step", ["graph: whole\n", "graph: [echo, whole]\n", ROUTED], ids=["alone", "chain", "route"])
def test_raw_hooks_get_requests_of_tensors(step: str, begin: Begin) -> None:
    tensor = {"name": "x", "datatype": "FP64", "shape": [1, 2], "data": [1.0, 2.0]}
    response = ask(begin(step + WITH_WHOLE), {"id": "i", "inputs": [tensor], "parameters": {"size": 5}}, V2)
    got = json.loads(response["outputs"][0]["data"][0])
    assert got["data"]["ndarray"] == [[1.0, 2.0]]
    assert got["meta"]["puid"] == "i"
    assert got["meta"]["tags"] == {"size": 5, **({"routed": True} if "first" in step else {})}


def test_a_raw_hook_gets_the_tags_of_a_router(begin: Begin) -> None:
    response = ask(begin(ROUTED + WITH_WHOLE), {"data": {"ndarray": [[1.0]]}})
    assert response["jsonData"]["data"]["ndarray"] == [[1.0]]
    assert response["jsonData"]["meta"]["tags"] == {"routed": True}


NESTED = """
name: inner
inputs: [{name: a, datatype: FP64, shape: [-1, 3], minimum: 0}]
graph: {combine: both, of: [raw, echo]}
components:
  raw: {class_name: Between.Raw}
  echo: {class_name: Between.Echo}
  both: {class_name: Between.Both, service_type: COMBINER}
"""


@pytest.mark.parametrize("step", ["inner", "[echo, inner]", "{route: first, to: [inner]}"])
def test_a_nested_graph_validates_the_inputs_that_are_declared_for_it(step: str, tmp_path: Path, begin: Begin) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "seldon.yaml").write_text(NESTED.replace("Between.", "Inner.").replace("raw, echo", "echo"))
    (tmp_path / "inner" / "Inner.py").write_text(SOURCE)
    dispatcher = begin(
        f"graph: {step}\ncomponents: {{echo: {{class_name: Between.Echo}},"
        " first: {class_name: Between.First, service_type: ROUTER}}\n"
    )
    assert ask(dispatcher, {"data": {"ndarray": [[1.0, 2.0, 3.0]]}})["jsonData"] == {"all": [[[1.0, 2.0, 3.0]]]}
    with pytest.raises(PayloadError, match="less than the minimum") as caught:
        ask(dispatcher, {"data": {"ndarray": [[1.0, -2.0, 3.0]]}})
    assert caught.value.component == "inner"


def test_raw_hooks_of_a_nested_graph_get_the_request_as_it_was_sent(tmp_path: Path, begin: Begin) -> None:
    (tmp_path / "inner").mkdir()
    without = "\n".join(line for line in NESTED.splitlines() if not line.startswith("inputs"))
    (tmp_path / "inner" / "seldon.yaml").write_text(without.replace("Between.", "Inner."))
    (tmp_path / "inner" / "Inner.py").write_text(SOURCE)
    response = ask(begin("graph: inner\n"), {"data": {"ndarray": [[1.0]]}, "extra": 5})
    assert response["jsonData"] == {"all": [5, [[1.0]]]}


def test_the_mean_of_what_is_masked_is_not_a_number(begin: Begin) -> None:
    dispatcher = begin(
        "graph: {average: [one, two]}\n"
        "components: {one: {class_name: Between.Masked}, two: {class_name: Between.Masked, parameters: {value: 2.0}}}\n"
    )
    (row,) = ask(dispatcher, {"data": {"ndarray": [[1.0]]}})["data"]["ndarray"]
    assert (row[0], str(row[1])) in ((1.5, "None"), (1.5, "nan"))


def test_branches_do_not_see_changes_of_cells(begin: Begin) -> None:
    dispatcher = begin(
        "graph: {combine: both, of: [cells, again, cells]}\n"
        "components: {cells: {class_name: Between.Cells}, again: {class_name: Between.Cells},"
        " both: {class_name: Between.Both, service_type: COMBINER}}\n"
    )
    response = ask(dispatcher, {"data": {"names": ["a", "b"], "ndarray": [[{"x": 1}, "y"]]}})
    assert response["jsonData"] == {"all": [{"seen": 1}] * 3}


@pytest.mark.parametrize("reads_wire", [False, True], ids=["arrays", "also raw"])
def test_branches_do_not_see_changes_of_the_memory_of_a_request(reads_wire: bool, begin: Begin) -> None:
    steps = ["increasing", "total", "echo"] if reads_wire else ["increasing", "again", "echo"]
    dispatcher = begin(
        f"graph: {{combine: both, of: [{', '.join(steps)}]}}\n"
        "components: {increasing: {class_name: Between.Increasing}, echo: {class_name: Between.Echo},"
        f" {steps[1]}: {{class_name: Between.{'Total' if reads_wire else 'Increasing'}}},"
        " both: {class_name: Between.Both, service_type: COMBINER}}\n"
    )
    message = SeldonMessage(data={"tensor": {"shape": [1, 2], "values": [1, 2]}}).SerializeToString()
    wire = PagePool().take(len(message))
    wire[:] = message
    response = dispatcher.submit(Operation.PREDICT, wire, ProtoCodec()).result(20).body
    found = MessageToDict(SeldonMessage.FromString(response).jsonData)["all"]
    assert found == [[[2, 3]], 3 if reads_wire else [[2, 3]], [[1, 2]]]


@pytest.mark.parametrize("codec", [JSON, V2], ids=["v1", "v2"])
@pytest.mark.parametrize("name", ["WrongObject", "WrongTags", "WrongRaw"])
def test_a_response_that_is_no_message_is_an_error_of_its_component(name: str, codec: Any, begin: Begin) -> None:
    dispatcher = begin(
        "graph: [wrong, echo]\n"
        f"components: {{wrong: {{class_name: Between.{name}}}, echo: {{class_name: Between.Echo}}}}\n"
    )
    tensor = {"name": "x", "datatype": "FP64", "shape": [1, 1], "data": [1.0]}
    body = {"inputs": [tensor]} if codec is V2 else {"data": {"ndarray": [[1.0]]}}
    with pytest.raises((ResultError, UnwritableResult)) as caught:
        ask(dispatcher, body, codec)
    assert caught.value.component == "wrong"


def test_a_response_that_cannot_be_combined_is_no_error_of_the_client(begin: Begin) -> None:
    dispatcher = begin(
        "graph: {combine: both, of: [wrong, echo]}\n"
        "components: {wrong: {class_name: Between.WrongObject}, echo: {class_name: Between.Echo},"
        " both: {class_name: Between.Both, service_type: COMBINER}}\n"
    )
    with pytest.raises(UnwritableResult) as caught:
        ask(dispatcher, {"data": {"ndarray": [[1.0]]}})
    assert caught.value.component == "both"
