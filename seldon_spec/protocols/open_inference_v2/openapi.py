"""The Open Inference Protocol in the OpenAPI 3.1 document: the model by its name, with its inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from seldon_spec.config.contract import TensorSpec
from seldon_spec.config.model import ServiceType, Spec
from seldon_spec.errors import UnsupportedMediaType
from seldon_spec.inference.component.infer import DEFAULT_INPUT, DEFAULT_OUTPUT
from seldon_spec.inference.contract.examples import example_tensor
from seldon_spec.inference.datatypes import NAMES, find_datatype
from seldon_spec.inference.message import Operation
from seldon_spec.protocols.open_inference_v2.model_info import make_model_info
from seldon_spec.protocols.open_inference_v2.pages import list_names, show_server
from seldon_spec.protocols.openapi import (
    ApiPart,
    ErrorResponses,
    Schema,
    annotate,
    any_of,
    array_schema,
    columns_of,
    common_element_schema,
    content_of,
    element_schema,
    flat_schema,
    has_small_example,
    is_number,
    list_component_specs,
    list_of,
    object_schema,
    ref,
    row_schema,
    shape_schema,
    suffix_of,
)
from seldon_spec.protocols.route import RestProtocol, Route

_OPERATIONS = {ServiceType.ROUTER: Operation.ROUTE, ServiceType.COMBINER: Operation.AGGREGATE}
"""The operation of a service type that has no inference."""

_NOT_FINITE = ("NaN", "Infinity", "-Infinity")
_TEXT: Schema = {"type": "string"}
_BOOLEAN: Schema = {"type": "boolean"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_BINARY = "Binary data follows the JSON, whose length is the header Inference-Header-Content-Length."


def describe_open_inference(spec: Spec, protocol: RestProtocol) -> ApiPart:
    """Return the part of the Open Inference Protocol.

    Args:
        spec: its service type decides which operations are listed, and its inputs and outputs what they take.
        protocol: of which the paths and methods are read.
    """
    encoding_error = UnsupportedMediaType("the Content-Encoding of the body is neither gzip nor deflate")
    errors = ErrorResponses(spec, protocol, "InferenceError", encoding_error)
    paths: dict[str, Any] = {}
    schemas = {**_SCHEMAS, **{_schema_name(name): schema for name, schema in _PAGES.items()}}
    for each in (spec, *list_component_specs(spec)):
        suffix = suffix_of(each, spec)
        main = _OPERATIONS.get(each.service_type, Operation.PREDICT)
        schemas |= _list_schemas(each, main, suffix)
        for route in protocol.routes:
            if _is_listed(route, each, main, is_component=each is not spec):
                paths |= _describe_route(route, each, suffix, protocol, errors)
    return ApiPart(paths, schemas, errors.components)


def _is_listed(route: Route, spec: Spec, main: Operation, *, is_component: bool) -> bool:
    """Return whether the document lists a route of a model, or of one component of a graph."""
    if not route.summary or route.operation not in (None, main):
        return False
    if spec.version is None and "{version}" in route.path:
        return False
    return not is_component or ("{model}" in route.path and route.name != "v2-stats")


def _describe_route(
    route: Route, spec: Spec, suffix: str, protocol: RestProtocol, errors: ErrorResponses
) -> dict[str, Any]:
    """Return the path item of a route by its path."""
    if route.operation is None:
        described = _describe_page(route, spec, protocol, errors)
    else:
        described = _describe_call(route.operation, spec, suffix, protocol, errors)
    name = route.name.replace("-", "_") + ("_version" if "{version}" in route.path else "") + suffix
    path = route.path.format(model=quote(spec.name, safe=""), version=quote(spec.version or "", safe=""))
    operation = {"operationId": name, "tags": [protocol.name], "summary": route.summary, **described}
    return {path: {route.methods[0].lower(): operation | ({"security": []} if route.is_probe else {})}}


def _describe_call(
    operation: Operation, spec: Spec, suffix: str, protocol: RestProtocol, errors: ErrorResponses
) -> dict[str, Any]:
    """Return the request body and the responses of an operation."""
    media_type = protocol.style.mimetype
    request, response = ref(f"InferenceRequest{suffix}"), ref(f"InferenceResponse{suffix}")
    inputs, outputs = _list_examples(spec.inputs, DEFAULT_INPUT), _list_examples(spec.outputs, DEFAULT_OUTPUT)
    requests: dict[str, Any] = {} if inputs is None else {"request": {"inputs": inputs}}
    responses: dict[str, Any] = {}
    if outputs is not None and spec.outputs:
        version = {} if spec.version is None else {"model_version": spec.version}
        responses["response"] = {"model_name": spec.name, **version, "outputs": outputs}
    content = content_of(media_type, response, responses)
    if operation is Operation.ROUTE:
        content = content_of(media_type, {**list_of({"type": "integer"}), "minItems": 1}, {"branch": [0]})
    elif operation is Operation.AGGREGATE:
        part = {"model_name": "child", "outputs": _list_examples((), DEFAULT_OUTPUT)}
        request, requests = list_of(ref(f"ChildResponse{suffix}")), {"two responses": [part, part]}
    if operation is not Operation.ROUTE:
        content |= {"application/octet-stream": {"schema": {"description": _BINARY}}}
    body = content_of(media_type, request, requests)
    if spec.unit.is_passthrough:
        body = content = {"*/*": {}}
    return {
        "description": f"The values of tensors are lists. {_BINARY.replace('follows', 'may follow')}",
        "requestBody": {"required": True, "content": body},
        "responses": {
            "200": {"description": "The response.", "content": content},
            **errors.list(400, 401, 404, 408, 413, 415, 500, 503, 504),
        },
    }


def _list_examples(tensors: Sequence[TensorSpec], default_name: str) -> list[Any] | None:
    """Return an example of each tensor; None if one is too large."""
    tensors = tensors or (TensorSpec(default_name, "FP64", (-1, 2)),)
    if not all(map(has_small_example, tensors)):
        return None
    listed = []
    for tensor in tensors:
        shape, values = example_tensor(tensor)
        listed.append({"name": tensor.name, "datatype": tensor.datatype, "shape": shape, "data": values})
    return listed


def _describe_page(route: Route, spec: Spec, protocol: RestProtocol, errors: ErrorResponses) -> dict[str, Any]:
    """Return the request body and the responses of a route without an operation."""
    media_type = protocol.style.mimetype
    values = {"v2-server": show_server(), "v2-models": {"models": list_names(make_model_info(spec))}}
    examples = {"response": values[route.name]} if route.name in values else {}
    content = content_of(media_type, ref(_schema_name(route.name)), examples)
    statuses = [] if route.is_probe else [401, 500, 503]
    if "{model}" in route.path:
        statuses.append(404)
    body: dict[str, Any] = {}
    if "POST" in route.methods:
        statuses += [400, 408, 413]
        ready = content_of(media_type, object_schema({"ready": {"type": "boolean"}}), {"ready": {"ready": True}})
        body = {"requestBody": {"content": ready}}
    responses = {"200": {"description": "The response.", "content": content}, **errors.list(*statuses)}
    if route.name in ("v2-ready", "v2-model-ready"):
        responses["503"] = {"description": "It is not ready.", "content": content}
    return {**body, "responses": responses}


def _schema_name(route_name: str) -> str:
    return route_name.title().replace("-", "")


def _list_schemas(spec: Spec, main: Operation, suffix: str) -> dict[str, Schema]:
    schemas: dict[str, Schema] = {}
    version = {} if spec.version is None else {"model_version": {"const": spec.version}}
    outputs = _outputs_schema(spec.outputs)
    if main is not Operation.ROUTE:
        schemas[f"InferenceResponse{suffix}"] = _response_schema({**version, "outputs": outputs})
    if main is Operation.AGGREGATE:
        schemas[f"ChildResponse{suffix}"] = _response_schema({"outputs": list_of(ref("Tensor"))})
    else:
        schemas[f"InferenceRequest{suffix}"] = _request_schema(spec)
    return schemas


def _response_schema(members: Mapping[str, Schema]) -> Schema:
    head = {"model_name": _TEXT, "id": _TEXT, "parameters": ref("Parameters")}
    return object_schema({**head, **members}, ["outputs"])


def _request_schema(spec: Spec) -> Schema:
    inputs: Schema = list_of(ref("Tensor"))
    if spec.inputs:
        required = [tensor.name for tensor in spec.inputs if not tensor.optional]
        inputs = {
            **list_of({"oneOf": [_tensor_schema(tensor, spec.inputs, is_request=True) for tensor in spec.inputs]}),
            "minItems": len(required),
            "maxItems": len(spec.inputs),
            "allOf": [{"contains": {"properties": {"name": {"const": name}}}} for name in required],
        }
        if not required:
            del inputs["allOf"]
    output = object_schema(
        {
            "name": {"enum": [tensor.name for tensor in spec.outputs]} if spec.outputs else {**_TEXT, "minLength": 1},
            "parameters": ref("Parameters"),
        },
        ["name"],
    )
    described = "The outputs that the response contains, all if it is empty."
    members = {
        "id": {**_TEXT, "description": "The response repeats it."},
        "parameters": ref("Parameters"),
        "inputs": inputs,
        "outputs": {**list_of(output), "description": described},
    }
    return object_schema(members, ["inputs"])


def _outputs_schema(outputs: Sequence[TensorSpec]) -> Schema:
    if not outputs:
        return list_of(ref("Tensor"))
    return list_of({"oneOf": [_tensor_schema(tensor, outputs, is_request=False) for tensor in outputs]})


def _tensor_schema(tensor: TensorSpec, tensors: Sequence[TensorSpec], *, is_request: bool) -> Schema:
    """Return the schema of a declared input or output, one of ``tensors``."""
    is_float = is_number(tensor) and find_datatype(tensor.datatype).limits is None
    others: Sequence[str | None] = ()
    if is_float:
        others = _NOT_FINITE if not is_request else (None, "NaN") if tensor.optional else ()
    columns = columns_of(tensors) if tensor.columns else ()
    if columns:
        missing = {column.name: (None, "NaN") for column in columns if column.optional and is_float}
        flat = common_element_schema(columns, (None, "NaN") if missing and is_request else others)
        nested = list_of(row_schema(columns, missing))
    else:
        flat = element_schema(tensor, others)
        nested = array_schema(tensor.shape, flat, has_rows=True)
    values = flat_schema(tensor.shape, flat)
    members = {
        "name": {"const": tensor.name},
        "datatype": {"const": tensor.datatype},
        "shape": shape_schema(tensor.shape),
        "parameters": ref("Parameters"),
        "data": any_of([values, nested]) if is_request and len(tensor.shape) > 1 else values,
    }
    required = [name for name in members if name != "parameters" and (is_request or name != "data")]
    title = f"{'Input' if is_request else 'Output'} {tensor.name}"
    return {**annotate(tensor), **object_schema(members, required), "title": title}


_VALUE = {"type": ["boolean", "number", "string"]}
_SUM = object_schema({"count": _COUNT, "ns": _COUNT}, ["count", "ns"])
_METADATA_TENSOR = object_schema(
    {"name": _TEXT, "datatype": {"enum": sorted(NAMES)}, "shape": list_of({"type": "integer"})},
    ["name", "datatype", "shape"],
)
_STEPS = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output")
_STATISTICS = object_schema(
    {
        "name": _TEXT,
        "version": _TEXT,
        "inference_count": _COUNT,
        "execution_count": _COUNT,
        "inference_stats": object_schema(dict.fromkeys(_STEPS, _SUM), _STEPS),
        "batch_stats": list_of({"type": "object"}),
    },
    ["name", "inference_count", "execution_count", "inference_stats"],
)
_STATE = object_schema(
    {
        "name": _TEXT,
        "version": _TEXT,
        "state": {"enum": ["READY", "LOADING", "UNLOADING", "UNAVAILABLE"]},
        "reason": _TEXT,
    },
    ["name", "state"],
)
_PAGES: Mapping[str, Schema] = {
    "v2-live": object_schema({"live": {"const": True}}, ["live"]),
    "v2-ready": object_schema({"ready": _BOOLEAN}, ["ready"]),
    "v2-server": object_schema({"name": _TEXT, "version": _TEXT, "extensions": list_of(_TEXT)}, ["name", "version"]),
    "v2-models": object_schema({"models": list_of(_TEXT)}, ["models"]),
    "v2-stats": object_schema({"model_stats": list_of(_STATISTICS)}, ["model_stats"]),
    "v2-model": object_schema(
        {
            "name": _TEXT,
            "versions": list_of(_TEXT),
            "platform": _TEXT,
            "inputs": list_of(_METADATA_TENSOR),
            "outputs": list_of(_METADATA_TENSOR),
        },
        ["name", "platform", "inputs", "outputs"],
    ),
    "v2-model-ready": object_schema({"name": _TEXT, "ready": _BOOLEAN}, ["name", "ready"]),
    "v2-index": list_of(_STATE),
}
"""The schemas of the pages by the names of their routes."""

_SCHEMAS: Mapping[str, Schema] = {
    "Tensor": object_schema(
        {
            "name": {**_TEXT, "minLength": 1},
            "datatype": {"enum": sorted(NAMES)},
            "shape": list_of(_COUNT),
            "parameters": ref("Parameters"),
            "data": {**list_of({}), "description": "The values in row-major order, flat or nested as the shape."},
        },
        ["name", "datatype", "shape"],
    ),
    "Parameters": {
        "type": "object",
        "properties": {"binary_data_output": _BOOLEAN, "binary_data": _BOOLEAN},
        "additionalProperties": _VALUE,
    },
    "InferenceError": object_schema({"error": _TEXT}, ["error"]),
}
