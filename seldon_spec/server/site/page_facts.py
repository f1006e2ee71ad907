"""What the page's script has to know of the model: paths, methods, datatypes, fields and examples."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from google.protobuf.descriptor_pool import DescriptorPool

from seldon_spec.config.contract import Scalar, TensorSpec
from seldon_spec.config.model import Spec
from seldon_spec.inference.contract.examples import (
    ContractKind,
    example_array,
    example_tensor,
    example_value,
    kind_of,
    list_columns,
)
from seldon_spec.inference.datatypes import BYTES, NAMES, find_datatype
from seldon_spec.inference.message import Operation
from seldon_spec.protocols.open_inference_v2.grpc_methods import SERVICE
from seldon_spec.protocols.open_inference_v2.proto import POOL
from seldon_spec.protocols.open_inference_v2.proto_message import CONTENTS
from seldon_spec.protocols.open_inference_v2.routes import OPERATION_ROUTES
from seldon_spec.protocols.seldon_v1.grpc_methods import METHODS, SELDON_V1
from seldon_spec.protocols.seldon_v1.proto import PACKAGE
from seldon_spec.protocols.seldon_v1.routes import OPERATIONS, ROUTES

_ROLES = {Operation.ROUTE, Operation.AGGREGATE}
_GENERAL = "Generic"
_FLOATS = ("FP16", "FP32", "FP64", "BF16")
_MAX_ELEMENTS = 256
"""The largest example of an input in the page."""

_MAX_FILLED = 1_000_000
"""The largest one that the script makes."""

_DEFAULT = TensorSpec("input-0", "FP64", (-1, 2), example=(1.0, 2.0))


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """A field of the form.

    Attributes:
        tensor: the input, or the column as an input.
        widget: "number", "select", "checkbox" or "text" for a value; for a whole input, "image" for a file, "text"
            for a single element, or "json".
        example: the text of the widget at first.
        rank: of the input; a column has the rank of its input.
        fill: the shape and the value of an example that is too large for the page; None: ``example`` is the example.
    """

    tensor: TensorSpec
    widget: str
    example: str
    rank: int
    fill: tuple[list[int], Scalar] | None = None


def is_image(tensor: TensorSpec) -> bool:
    """Return whether the elements are image files."""
    return tensor.datatype == BYTES.name and (tensor.content_type or "").startswith("image/")


def list_fields(inputs: Sequence[TensorSpec]) -> list[FieldInfo]:
    """Return the fields of the form for the declared inputs, in their order."""
    kind = kind_of(inputs)
    if kind is None:
        return []
    if kind is ContractKind.TENSORS:
        return [_make_input_field(tensor) for tensor in inputs]
    ranks = [len(tensor.shape) for tensor in inputs] if kind is ContractKind.TABLE else [2] * len(inputs[0].columns)
    return [
        FieldInfo(column, _choose_widget(column), show_value(_first(column)), rank)
        for column, rank in zip(list_columns(inputs), ranks, strict=True)
    ]


def _make_input_field(tensor: TensorSpec) -> FieldInfo:
    has_one_element = tensor.datatype == BYTES.name and all(size in (-1, 1) for size in tensor.shape)
    if has_one_element and (is_image(tensor) or tensor.content_type in (None, "str")):
        return FieldInfo(tensor, "image" if is_image(tensor) else "text", show_value(_first(tensor)), len(tensor.shape))
    rank = len(tensor.shape)
    if _count_elements(tensor) <= _MAX_ELEMENTS:
        return FieldInfo(tensor, "json", json.dumps(example_array(tensor)), rank)
    if tensor.example is None and _count_elements(tensor) <= _MAX_FILLED:
        shape = [abs(size) for size in tensor.shape]
        return FieldInfo(tensor, "json", "", rank, (shape, example_value(tensor)))
    return FieldInfo(tensor, "json", "", rank)


def _count_elements(tensor: TensorSpec) -> int:
    """Return the number of elements of the smallest example."""
    return math.prod(abs(size) for size in tensor.shape)


def _choose_widget(column: TensorSpec) -> str:
    if is_image(column):
        return "image"
    if column.choices:
        return "select"
    if column.datatype == "BOOL":
        return "select" if column.optional else "checkbox"
    return "text" if column.datatype == BYTES.name else "number"


def _first(tensor: TensorSpec) -> Any:
    return next(iter(example_tensor(tensor)[1]), "")


def show_value(value: object) -> str:
    """Return a value as the text of a field, in the shortest form."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return value if isinstance(value, str) else json.dumps(value)


def collect_facts(spec: Spec, fields: Sequence[FieldInfo], component: str | None = None) -> dict[str, Any]:
    """Return the JSON object of the script.

    Args:
        spec: of the model, the graph, or the component.
        fields: of the form.
        component: the component of a graph that gets the requests; None: the whole model or graph does.
    """
    kind = kind_of(spec.inputs)
    operations = OPERATIONS[spec.service_type] if spec.graph is None else (Operation.PREDICT,)
    return {
        "model": spec.name,
        **({} if spec.graph is None and component is None else {"component": component or ""}),
        "kind": kind and kind.value,
        "fields": [_show_field(field) for field in fields],
        "input": _show_tensor(replace(spec.inputs[0], columns=())) if kind is ContractKind.COLUMNS else None,
        "outputs": [_show_tensor(tensor) for tensor in spec.outputs],
        "operations": [_show_operation(operation, spec, component) for operation in operations],
        "datatypes": {name: _show_datatype(name) for name in NAMES},
        "grpcPort": spec.ports.grpc,
        "hasToken": spec.server.auth is not None,
    }


def _show_field(field: FieldInfo) -> dict[str, Any]:
    return {
        **_show_tensor(field.tensor),
        **({} if field.fill is None else {"fill": field.fill}),
        "widget": field.widget,
        "example": field.example,
        "optional": field.tensor.optional,
        "rank": field.rank,
    }


def _show_tensor(tensor: TensorSpec) -> dict[str, Any]:
    shown: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype}
    if is_image(tensor):
        shown["imageType"] = tensor.content_type
    if (tensor.minimum, tensor.maximum) == (0, 1) and tensor.datatype in _FLOATS:
        shown["isProbability"] = True
    if tensor.columns:
        shown["columns"] = [_show_tensor(column) for column in list_columns([tensor])]
    return shown


def _show_datatype(name: str) -> dict[str, str | None]:
    numpy_name = "object" if name == BYTES.name else None if name == "BF16" else find_datatype(name).dtype.name
    return {"numpy": numpy_name, "contents": CONTENTS.get(name)}


def _show_operation(operation: Operation, spec: Spec, component: str | None) -> dict[str, Any]:
    path = next(route.path for route in ROUTES if route.operation is operation).lstrip("/")
    is_plain = operation not in _ROLES
    v2 = Operation.PREDICT if is_plain else operation
    v2_path = next(route.path for route in OPERATION_ROUTES if route.operation is v2).format(model=spec.name)
    v1_grpc = (
        None
        if component is not None
        else next(
            _show_method(f"{PACKAGE}.{service}", name, SELDON_V1.pool)
            for service, methods in METHODS.items()
            if service != _GENERAL
            for name, each in methods.items()
            if each is operation
        )
    )
    v2_grpc = _show_method(SERVICE, "ModelInfer", POOL) if is_plain else None
    examples = _make_examples(spec.inputs, operation)
    return {
        "label": path.replace("-", " ").capitalize(),
        "v1": {
            "path": path if component is None else f"components/{component}/{path}",
            "grpc": v1_grpc,
            "example": examples[0],
        },
        "v2": {"path": v2_path.lstrip("/"), "grpc": v2_grpc, "example": examples[1]},
    }


def _show_method(service: str, name: str, pool: DescriptorPool) -> Mapping[str, str]:
    method = pool.FindServiceByName(service).FindMethodByName(name)
    return {
        "path": f"/{service}/{name}",
        "request": method.input_type.full_name,
        "response": method.output_type.full_name,
    }


def _make_examples(inputs: Sequence[TensorSpec], operation: Operation) -> tuple[Any, Any]:
    """Return a message of each protocol for the editor of a model whose form does not make one."""
    if inputs and operation is not Operation.AGGREGATE:
        return None, None
    tensors = tuple(tensor for tensor in inputs if _count_elements(tensor) <= _MAX_ELEMENTS) or (_DEFAULT,)
    v2 = [
        {"name": each.name, "datatype": each.datatype, "shape": shape, "data": data}
        for each in tensors
        for shape, data in [example_tensor(each)]
    ]
    names = tensors[0].column_names
    v1 = {"data": {**({"names": names} if names else {}), "ndarray": example_array(tensors[0])}}
    if operation is Operation.AGGREGATE:
        return {"seldonMessages": [v1, v1]}, [{"model_name": f"model-{index}", "outputs": v2} for index in (1, 2)]
    return v1, {"inputs": v2}
