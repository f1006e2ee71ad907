"""Models whose OpenAPI document the tests check: their specs, and classes that return what they declare."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from seldon_spec.config.contract import ColumnSpec, TensorSpec
from seldon_spec.config.model import AuthSpec, ServerSpec, ServiceType, UnitSpec

TOKEN = "secret"

SOURCE = """
import numpy as np
{first}

class {name}:
    def {signature}:
        return {result}
"""


@dataclass(frozen=True)
class Case:
    """A model.

    Attributes:
        signature: of the method of the class.
        result: an expression for what the method returns.
        fields: of the spec.
    """

    signature: str = "predict(self, X, names)"
    result: str = "[[0.25, 0.75]]"
    fields: dict[str, Any] = field(default_factory=dict)

    def make_source(self, name: str, first: str = "") -> str:
        """Return the source of the class, with ``first`` as its first line."""
        return SOURCE.format(name=name, first=first, signature=self.signature, result=self.result)


def _tensor(name: str, datatype: str, *shape: int, **more: Any) -> TensorSpec:
    return TensorSpec(name, datatype, shape, **more)


_INFER = "infer(self, inputs: dict)"
_COLUMNS = (
    ColumnSpec("length", minimum=0, maximum=10, description="In centimetres."),
    ColumnSpec("width", optional=True, example=3.5),
    ColumnSpec("legs", choices=(2, 4)),
)
_PROBABILITIES = _tensor("output-0", "FP64", -1, 2, columns=(ColumnSpec("no", minimum=0), ColumnSpec("yes", maximum=1)))
_TABLE = (
    _tensor("vehicle", "BYTES", -1, content_type="str", choices=("bicycle", "van")),
    _tensor("age", "INT64", -1, 1, minimum=0, example=40),
    _tensor("distance", "FP32", -1, optional=True),
    _tensor("is_new", "BOOL", -1),
)
_IMAGE = _tensor("image", "BYTES", -1, content_type="image/png")

CASES: dict[str, Case] = {
    "no contract": Case(),
    "columns": Case(
        fields={
            "inputs": (_tensor("input-0", "FP64", -1, 3, columns=_COLUMNS, minimum=-5),),
            "outputs": (_PROBABILITIES,),
            "version": "1.0",
        }
    ),
    "one column": Case(
        fields={"inputs": (_tensor("x", "INT8", -1, 1, columns=(ColumnSpec("a"),)),), "outputs": (_PROBABILITIES,)}
    ),
    "table": Case(
        result="np.array([0.5], np.float32)",
        fields={"inputs": _TABLE, "outputs": (_tensor("price", "FP32", -1, minimum=0),)},
    ),
    "table of numbers": Case(
        _INFER,
        "{'a': np.array([1]), 'b': np.array(['text'])}",
        {
            "inputs": (_tensor("a", "FP64", -1), _tensor("b", "UINT8", -1, 1)),
            "outputs": (_tensor("a", "INT64", -1), _tensor("b", "BYTES", -1)),
        },
    ),
    "tensor": Case(
        _INFER,
        "{'y': np.array([[[1.5, 2.5]]])}",
        {
            "inputs": (_tensor("x", "FP32", -1, 2, 3, minimum=0, optional=True),),
            "outputs": (_tensor("y", "FP64", -1, 1, 2),),
        },
    ),
    "not finite": Case(
        _INFER,
        "{'y': np.array([np.nan, np.inf])}",
        {"inputs": (_tensor("x", "FP16", -1),), "outputs": (_tensor("y", "FP32", -1),)},
    ),
    "scalar": Case(_INFER, "{'y': 1}", {"inputs": (_tensor("x", "INT64"),), "outputs": (_tensor("y", "INT64", -1),)}),
    "several tensors": Case(
        _INFER,
        "{'score': np.zeros(1), 'label': np.array(['cat'])}",
        {
            "inputs": (
                _tensor("image", "UINT8", -1, 4, 4, 3, description="A photo."),
                _tensor("query", "BYTES", -1, content_type="str", optional=True),
            ),
            "outputs": (_tensor("score", "FP64", -1), _tensor("label", "BYTES", -1, choices=("cat", "dog"))),
        },
    ),
    "large tensor": Case(result="[1.5]", fields={"inputs": (_tensor("x", "FP32", -1, 64, 64),)}),
    "image": Case(result="'cat'", fields={"inputs": (_IMAGE,), "outputs": (_tensor("label", "BYTES", -1),)}),
    "binary": Case(
        result="b'data'",
        fields={
            "inputs": (_tensor("x", "BYTES", 1, content_type="bytes"),),
            "outputs": (_tensor("y", "BYTES", -1, content_type="bytes"),),
        },
    ),
    "router": Case("route(self, X, names)", "1", {"service_type": ServiceType.ROUTER}),
    "transformer": Case(
        "transform_input(self, X, names)",
        "[[1.5]]",
        {
            "service_type": ServiceType.TRANSFORMER,
            "inputs": (_tensor("x", "FP64", -1, 2),),
            "outputs": (_tensor("y", "FP64", -1, 1),),
        },
    ),
    "combiner": Case("aggregate(self, X, names)", "[[1.5]]", {"service_type": ServiceType.COMBINER}),
    "outlier detector": Case("score(self, X, names)", "[0.5]", {"service_type": ServiceType.OUTLIER_DETECTOR}),
    "auth": Case(fields={"server": ServerSpec(host="127.0.0.1", auth=AuthSpec((TOKEN,)), request_timeout_seconds=30)}),
    "passthrough": Case("predict_raw(self, request)", "b'{}'", {"unit": UnitSpec(is_passthrough=True)}),
}
