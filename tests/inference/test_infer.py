"""The hook for named tensors: when it is used, what it gets, and what it may return."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Dict  # noqa: UP035 - an annotation of a class that is tested

import numpy as np
import pytest

from seldon_spec.config.contract import TensorSpec
from seldon_spec.config.model import UnitSpec
from seldon_spec.errors import ComponentFailed, PayloadError, ResultError
from seldon_spec.inference.component.adapter import Adapter
from seldon_spec.inference.component.contract import SeldonResponse
from seldon_spec.inference.message import Operation
from seldon_spec.protocols.open_inference_v2.codec import InferBody, ModelInfo
from seldon_spec.protocols.open_inference_v2.json_codec import V2JsonCodec
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec

X = TensorSpec("x", "FP32", (-1, 2))
Q = TensorSpec("q", "BYTES", (-1,), content_type="str", optional=True)
Y = TensorSpec("y", "FP32", (-1,))
Z = TensorSpec("z", "INT8", (-1, 2))


def record(metrics: object) -> list[dict[str, Any]]:
    assert isinstance(metrics, list)
    return list(metrics)


class Echo:
    def __init__(self, result: Any = None) -> None:
        self.result = result
        self.got: Any = None

    def infer(self, inputs: dict[str, Any]) -> Any:
        self.got = inputs
        return inputs if self.result is None else self.result


def call(
    user: object,
    body: Any,
    inputs: Sequence[TensorSpec] = (),
    outputs: Sequence[TensorSpec] = (),
    codec: Any = None,
) -> Any:
    codec = codec or V2JsonCodec(ModelInfo("model", inputs=tuple(inputs), outputs=tuple(outputs)))
    request = codec.decode(Operation.PREDICT, body)
    adapter = Adapter(user, UnitSpec(), inputs=inputs, outputs=outputs)
    request.keeps_rows = adapter.keeps_rows
    response = adapter.call(request, record)
    return json.loads(codec.encode(response, request).body)


def tensors(**given: tuple[str, list[int], list[Any]]) -> bytes:
    entries = [{"name": n, "datatype": d, "shape": s, "data": v} for n, (d, s, v) in given.items()]
    return json.dumps({"inputs": entries}).encode()


def outputs_of(tree: Any) -> list[tuple[Any, ...]]:
    return [(output["name"], output["datatype"], output["shape"], output["data"]) for output in tree["outputs"]]


def plain(self: object, inputs: Any) -> Any:
    return {"y": np.ones(1)}


def as_dict(self: object, inputs: dict[str, Any]) -> Any:
    return {"y": np.ones(1)}


def as_old_dict(self: object, inputs: Dict[str, Any]) -> Any:  # noqa: UP006
    return {"y": np.ones(1)}


def as_mapping(self: object, inputs: Mapping[str, Any]) -> Any:
    return {"y": np.ones(1)}


def as_unknown(self: object, inputs: dict[str, Missing]) -> Any:  # type: ignore[name-defined]  # noqa: F821
    return {"y": np.ones(1)}


def as_array(self: object, inputs: np.ndarray) -> Any:
    return {"y": np.ones(1)}


USED: dict[str, tuple[Any, tuple[TensorSpec, ...], bool]] = {
    "declared": (plain, (X,), True),
    "dict": (as_dict, (), True),
    "typing-dict": (as_old_dict, (), True),
    "mapping": (as_mapping, (), True),
    "unknown-type": (as_unknown, (), True),
    "neither": (plain, (), False),
    "array": (as_array, (), False),
}


@pytest.mark.parametrize(("method", "inputs", "is_used"), USED.values(), ids=USED.keys())
def test_where_the_hook_is_used(
    method: Any, inputs: tuple[TensorSpec, ...], *, is_used: bool, caplog: pytest.LogCaptureFixture
) -> None:
    user = type("Model", (), {"infer": method, "predict": lambda self, rows, names: rows * 2})()  # noqa: ARG005
    with caplog.at_level(logging.WARNING):
        tree = call(user, tensors(x=("FP32", [1, 2], [1, 2])), inputs)
    assert outputs_of(tree)[0][:2] == (("y", "FP64") if is_used else ("output-0", "FP32"))
    warned = "Model.infer is not used: declare inputs in seldon.yaml" in caplog.text
    assert warned is not is_used


def test_the_arrays_are_those_of_the_request() -> None:
    user = Echo()
    entries = [
        {"name": "a", "datatype": "INT8", "shape": [2], "parameters": {"binary_data_size": 2}},
        {"name": "b", "datatype": "BYTES", "shape": [1], "data": ["t"]},
        {"name": "c", "datatype": "BYTES", "shape": [1], "data": ["t"], "parameters": {"content_type": "str"}},
    ]
    head = json.dumps({"inputs": entries}).encode()
    tree = call(user, InferBody(head + b"\x01\xff", len(head)))
    assert list(user.got) == ["a", "b", "c"]
    assert user.got["a"].dtype == np.int8
    assert not user.got["a"].flags.writeable
    assert (user.got["b"].tolist(), user.got["c"].tolist()) == ([b"t"], ["t"])
    assert outputs_of(tree) == [
        ("a", "INT8", [2], [1, -1]),
        ("b", "BYTES", [1], ["t"]),
        ("c", "BYTES", [1], ["t"]),
    ]


CHECKED: dict[str, tuple[dict[str, Any], str]] = {
    "missing": ({"q": ("BYTES", [1], ["a"])}, "missing input 'x'"),
    "unknown": ({"x": ("FP32", [1, 2], [1, 2]), "z": ("INT8", [1], [1])}, "unknown input 'z'"),
    "narrowed": ({"x": ("FP64", [1, 2], [1, 2])}, "input x: the datatype FP64 is not FP32"),
    "integers": ({"x": ("INT32", [1, 2], [1, 2])}, "input x: the datatype INT32 is not FP32"),
    "width": ({"x": ("FP32", [1, 3], [1, 2, 3])}, r"input x: the shape \[1, 3\] does not match \[-1, 2\]"),
    "rank": ({"x": ("FP32", [2], [1, 2])}, r"input x: the shape \[2\] does not match"),
    "text": ({"x": ("BYTES", [1, 2], ["a", "b"])}, "input x: the datatype BYTES is not FP32"),
    "number": (
        {"x": ("FP32", [1, 2], [1, 2]), "q": ("INT8", [1], [1])},
        "input q: the datatype INT8 is not BYTES",
    ),
}


@pytest.mark.parametrize(("given", "text"), CHECKED.values(), ids=CHECKED.keys())
def test_inputs_that_are_not_the_declared_ones(given: dict[str, Any], text: str) -> None:
    user = Echo()
    with pytest.raises(PayloadError, match=text):
        call(user, tensors(**given), (X, Q))
    assert user.got is None


@pytest.mark.parametrize("datatype", ["FP32", "FP16", "INT16", "UINT8"])
def test_safe_casts_of_inputs(datatype: str) -> None:
    user = Echo({"y": np.zeros(1)})
    call(user, tensors(x=(datatype, [1, 2], [1, 0])), (X, Q))
    assert (user.got["x"].dtype, user.got["x"].tolist()) == (np.float32, [[1, 0]])
    assert list(user.got) == ["x"]


def test_an_input_of_bf16_is_cast_by_its_values() -> None:
    user = Echo({"y": np.zeros(1)})
    call(user, tensors(x=("BF16", [1, 2], [1.5, -2])), (X,))
    assert (user.got["x"].dtype, user.got["x"].tolist()) == (np.float32, [[1.5, -2]])
    for datatype, declared in (("BF16", "INT32"), ("UINT16", "BF16"), ("FP32", "BF16")):
        with pytest.raises(PayloadError, match=f"the datatype {datatype} is not {declared}"):
            call(user, tensors(x=(datatype, [1, 2], [1, 2])), (TensorSpec("x", declared, (-1, 2)),))


def test_floats_are_rounded_to_bf16() -> None:
    x, y = TensorSpec("x", "BF16", (-1,)), TensorSpec("y", "BF16", (-1,))
    user = Echo({"y": np.array([0.1, -2, np.nan, np.inf], np.float32)})
    tree = call(user, tensors(x=("BF16", [1], [1])), (x,), (y,))
    assert outputs_of(tree) == [("y", "BF16", [4], [0.100097656, -2, "NaN", "Infinity"])]
    user.result = {"y": np.array([3.4e38])}
    with pytest.raises(ResultError, match="output 'y' of the type float64 has no form as BF16"):
        call(user, tensors(x=("BF16", [1], [1])), (x,), (y,))


RESULTS: dict[str, tuple[Any, list[tuple[Any, ...]]]] = {
    "exact": (
        {"y": np.ones(1, np.float32), "z": np.ones((1, 2), np.int8)},
        [("y", "FP32", [1], [1]), ("z", "INT8", [1, 2], [1, 1])],
    ),
    "casts-and-order": (
        {"z": [[1, 2]], "y": np.array([0.1])},
        [("z", "INT8", [1, 2], [1, 2]), ("y", "FP32", [1], [0.1])],
    ),
    "response": (
        SeldonResponse({"y": [1.5], "z": [[1, 2]]}, {"t": 1}, []),
        [("y", "FP32", [1], [1.5]), ("z", "INT8", [1, 2], [1, 2])],
    ),
}


@pytest.mark.parametrize(("result", "expected"), RESULTS.values(), ids=RESULTS.keys())
def test_results_that_are_the_declared_outputs(result: Any, expected: list[tuple[Any, ...]]) -> None:
    tree = call(Echo(result), tensors(x=("FP32", [1, 2], [1, 2])), (X,), (Y, Z))
    assert outputs_of(tree) == expected
    assert tree.get("parameters") == ({"t": 1} if isinstance(result, SeldonResponse) else None)


GOOD_Z = [[1, 2]]
WRONG: dict[str, tuple[Any, str]] = {
    "nothing": (np.float64(1), "infer returned float64, not a dict of arrays by name"),
    "missing": ({"y": [1.0]}, "infer returned no output 'z'"),
    "unknown": ({"y": [1.0], "z": GOOD_Z, "w": [1]}, "infer returned output 'w'; the outputs are y, z"),
    "key": ({1: [1.0]}, "a dict with the key 1, which is not text"),
    "shape": ({"y": [[1.0]], "z": GOOD_Z}, r"output 'y' has the shape \[1, 1\], and \[-1\] is declared"),
    "kind": ({"y": [1], "z": GOOD_Z}, "output 'y' of the type int64 has no form as FP32"),
    "fraction": ({"y": [1.0], "z": [[1.0, 2.0]]}, "output 'z' of the type float64 has no form as INT8"),
    "range": ({"y": [1.0], "z": [[1, 300]]}, "output 'z' of the type int64 has no form as INT8"),
    "float-range": ({"y": [1e300], "z": GOOD_Z}, "output 'y' of the type float64 has no form as FP32"),
    "text": ({"y": ["a"], "z": GOOD_Z}, "output 'y' has the type <U1, and FP32 is declared"),
    "ragged": ({"y": [[1], [1, 2]], "z": GOOD_Z}, "output 'y' is no array"),
}


@pytest.mark.parametrize(("result", "text"), WRONG.values(), ids=WRONG.keys())
def test_results_that_are_not_the_declared_outputs(result: Any, text: str) -> None:
    with pytest.raises(ResultError, match=text):
        call(Echo(result), tensors(x=("FP32", [1, 2], [1, 2])), (X,), (Y, Z))


def test_an_input_and_an_output_may_have_the_same_name() -> None:
    body = tensors(x=("FP32", [1, 2], [1, 2]))
    tree = call(Echo({"x": np.ones((1, 2), np.int64)}), body, (X,), (TensorSpec("x", "INT8", (-1, 2)),))
    assert outputs_of(tree) == [("x", "INT8", [1, 2], [1, 1])]


def test_one_array_is_the_only_output() -> None:
    body = tensors(x=("FP32", [1, 2], [1, 2]))
    assert outputs_of(call(Echo(np.array([2.5])), body, (X,), (Y,))) == [("y", "FP32", [1], [2.5])]
    assert outputs_of(call(Echo(np.array([2.5])), body)) == [("output-0", "FP64", [1], [2.5])]


def test_outputs_that_are_not_requested_may_be_absent() -> None:
    tree = json.loads(tensors(x=("FP32", [1, 2], [1, 2])))
    body = json.dumps({**tree, "outputs": [{"name": "y"}]}).encode()
    assert outputs_of(call(Echo({"y": [0.5]}), body, (X,), (Y, Z))) == [("y", "FP32", [1], [0.5])]


class Full:
    def __init__(self) -> None:
        self.got: Any = None

    async def infer(self, inputs: dict[str, Any], *, context: Any, parameters: Any = None) -> Any:
        self.got = parameters, context
        return inputs

    def predict(self, X: Any, names: Any) -> Any:  # noqa: ARG002, N803
        return X * 2

    def tags(self) -> dict[str, Any]:
        return {"own": 1}


def test_parameters_and_context_and_a_coroutine() -> None:
    user = Full()
    entry = {"name": "x", "datatype": "INT8", "shape": [1], "data": [1], "parameters": {"p": "q"}}
    tree = {"id": "7", "parameters": {"a": 1}, "inputs": [entry], "outputs": [{"name": "x"}]}
    response = call(user, InferBody(json.dumps(tree).encode(), None, "model", None, {"x-user": "u"}))
    parameters, context = user.got
    assert parameters == {"a": 1}
    assert context == {
        "id": "7",
        "headers": {"x-user": "u"},
        "version": None,
        "outputs": ["x"],
        "inputs": {"x": {"p": "q"}},
    }
    assert response["parameters"] == {"own": 1}


def test_predict_serves_seldons_protocol_beside_infer() -> None:
    tree = call(Full(), b'{"data":{"ndarray":[[1,2]]}}', codec=JsonCodec())
    assert tree["data"]["ndarray"] == [[2, 4]]


def test_an_exception_of_the_hook_is_a_failure() -> None:
    class Failing:
        def infer(self, inputs: dict[str, Any]) -> Any:  # noqa: ARG002
            raise ValueError("mine")

    with pytest.raises(ComponentFailed, match="mine"):
        call(Failing(), tensors(x=("INT8", [1], [1])))


A, B = TensorSpec("a", "INT32", (-1, 1)), TensorSpec("b", "FP32", (-1,))
T = TensorSpec("t", "BYTES", (-1,), content_type="str")
V1: dict[str, tuple[bytes, tuple[TensorSpec, ...], dict[str, tuple[str, Any]]]] = {
    "array": (b'{"data":{"ndarray":[[1,2]]}}', (X,), {"x": ("float32", [[1, 2]])}),
    "undeclared": (b'{"data":{"ndarray":[[1,2]]}}', (), {"input-0": ("int64", [[1, 2]])}),
    "columns": (
        b'{"data":{"names":["b","a"],"ndarray":[[1.5,2],[2.5,3]]}}',
        (A, B),
        {"a": ("int32", [[2], [3]]), "b": ("float32", [1.5, 2.5])},
    ),
    "text-beside-numbers": (
        b'{"data":{"names":["b","a","t"],"ndarray":[[1.5,9007199254740993,"7"],[2,3,"u"]]}}',
        (TensorSpec("a", "INT64", (-1, 1)), B, T),
        {"a": ("int64", [[9007199254740993], [3]]), "b": ("float32", [1.5, 2]), "t": ("object", ["7", "u"])},
    ),
    "truth-beside-text": (
        b'{"data":{"names":["a","t"],"ndarray":[[true,"u"],[false,"v"]]}}',
        (TensorSpec("a", "BOOL", (-1,)), T),
        {"a": ("bool", [True, False]), "t": ("object", ["u", "v"])},
    ),
    "object": (b'{"jsonData":{"a":[[1]],"b":[0.5]}}', (A, B), {"a": ("int32", [[1]]), "b": ("float32", [0.5])}),
    "text": (b'{"strData":"t"}', (T,), {"t": ("object", ["t"])}),
    "bytes": (b'{"binData":"dA=="}', (TensorSpec("t", "BYTES", (1,)),), {"t": ("object", [b"t"])}),
}


@pytest.mark.parametrize(("body", "inputs", "expected"), V1.values(), ids=V1.keys())
def test_a_class_with_nothing_else_serves_seldons_protocol(
    body: bytes, inputs: tuple[TensorSpec, ...], expected: dict[str, tuple[str, Any]]
) -> None:
    user = Echo({"y": np.ones(2)})
    tree = call(user, body, inputs, codec=JsonCodec())
    assert {name: (array.dtype.name, array.tolist()) for name, array in user.got.items()} == expected
    payload = tree["data"].get("tensor", {}).get("values") or tree["data"]["ndarray"]
    assert payload == [1, 1]


V1_WRONG: dict[str, tuple[bytes, str]] = {
    "no-names": (b'{"data":{"ndarray":[[1,2,3]]}}', "a row has 3 values, and the columns are 2: a, b"),
    "other-names": (b'{"data":{"names":["a","c"],"ndarray":[[1,2]]}}', "unknown column 'c'; missing column 'b'"),
    "fraction": (b'{"data":{"names":["a","b"],"ndarray":[[1.5,2]]}}', "row 0, a: 1.5 is not a whole number"),
    "text": (b'{"data":{"names":["a","b"],"ndarray":[["u",2]]}}', "row 0, a: 'u' is not a number"),
    "null": (b'{"data":{"names":["a","b"],"ndarray":[[null,2]]}}', "row 0, a: a value is missing"),
    "list": (b'{"jsonData":[1]}', "jsonData is a list, not an object"),
}


@pytest.mark.parametrize(("body", "text"), V1_WRONG.values(), ids=V1_WRONG.keys())
def test_requests_of_seldons_protocol_that_do_not_fit(body: bytes, text: str) -> None:
    with pytest.raises(PayloadError, match=text):
        call(Echo(), body, (A, B), codec=JsonCodec())


V1_RESULTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "columns": ({"a": [1.5], "b": [[2.5]]}, {"data": {"names": ["a", "b"], "ndarray": [[1.5, 2.5]]}}),
    "other-shapes": ({"a": [1, 2], "b": [[1, 2]]}, {"jsonData": {"a": [1, 2], "b": [[1, 2]]}}),
    "texts": ({"a": ["t"], "b": [1]}, {"jsonData": {"a": ["t"], "b": [1]}}),
}


@pytest.mark.parametrize(("result", "expected"), V1_RESULTS.values(), ids=V1_RESULTS.keys())
def test_several_outputs_in_seldons_protocol(result: dict[str, Any], expected: dict[str, Any]) -> None:
    tree = call(Echo(result), b'{"data":{"ndarray":[[1,2]]}}', codec=JsonCodec())
    assert tree == {**expected, "meta": {}}
