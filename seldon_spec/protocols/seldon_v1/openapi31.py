"""Seldon's protocol in the OpenAPI 3.1 document: the component's operations, with its declared inputs and outputs."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from seldon_spec.config.contract import TensorSpec
from seldon_spec.config.model import Spec
from seldon_spec.errors import UnsupportedMediaType
from seldon_spec.inference.component.metadata import SCHEMA as METADATA_SCHEMA
from seldon_spec.inference.contract.examples import example_array, example_row, example_tensor
from seldon_spec.inference.message import WITHOUT_BODY, Operation
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
    exact_list,
    flat_schema,
    has_one_element,
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
from seldon_spec.protocols.route import ANY, FORM, JSON, MULTIPART, Page, RestProtocol, Route
from seldon_spec.protocols.seldon_v1.graph_openapi import GRAPH_SCHEMAS, describe_graph_pages
from seldon_spec.protocols.seldon_v1.routes import OPERATIONS

_EVERY_TYPE = (Operation.FEEDBACK, Operation.HEALTH, Operation.METADATA)
_TAKES_INPUTS = frozenset({Operation.PREDICT, Operation.TRANSFORM_INPUT, Operation.ROUTE})
_RETURNS_OUTPUTS = frozenset({Operation.PREDICT, Operation.TRANSFORM_INPUT, Operation.AGGREGATE})

_PROBES = {
    Page.LIVE: "Return whether the server is running.",
    Page.READY: "Return whether the model is loaded.",
}

_TEXT: Schema = {"type": "string"}
_BASE64: Schema = {"type": "string", "contentEncoding": "base64"}
_NAMES = list_of(_TEXT)
_TEXT_CONTENT = frozenset({None, "str", "datetime", "json"})
"""The content types of elements that ``strData`` can hold."""

_MESSAGE = {"data": {"ndarray": [[1.0, 2.0]]}}


class _Form(NamedTuple):
    """A form of a message: the member that holds the data, its schema, and an example of it if there is one."""

    title: str
    member: str
    schema: Schema
    example: Any = None


class _Body(NamedTuple):
    """The body of a request: its schema, examples, and the schemas of its parts if it can be multipart."""

    schema: Schema
    examples: Mapping[str, Any]
    parts: Mapping[str, Schema]


def describe_seldon(spec: Spec, protocol: RestProtocol) -> ApiPart:
    """Return the part of Seldon's protocol.

    Args:
        spec: its service type decides which operations are listed, and its inputs and outputs what they take.
        protocol: of which the paths, methods and media types are read.
    """
    encoding_error = UnsupportedMediaType("a body with a Content-Encoding is not read; send it as it is")
    errors = ErrorResponses(spec, protocol, "SeldonError", encoding_error)
    paths: dict[str, Any] = {}
    schemas = {**_SCHEMAS, "ModelMetadata": METADATA_SCHEMA}
    _describe_operations(spec, "", None, protocol, errors, paths, schemas)
    for component in list_component_specs(spec):
        suffix = suffix_of(component, spec)
        _describe_operations(component, suffix, component.name, protocol, errors, paths, schemas)
    for route in protocol.routes:
        if route.page in _PROBES:
            paths[route.path] = {"get": _describe_probe(route, _PROBES[route.page], protocol, errors)}
    if spec.graph is not None:
        schemas |= GRAPH_SCHEMAS
        paths |= describe_graph_pages(spec, protocol, errors)
    return ApiPart(paths, schemas, errors.components)


def _describe_operations(
    spec: Spec,
    suffix: str,
    component: str | None,
    protocol: RestProtocol,
    errors: ErrorResponses,
    paths: dict[str, Any],
    schemas: dict[str, Schema],
) -> None:
    """Add the operations of a component, or of one component of a graph.

    Args:
        spec: has its service type, inputs and outputs.
        suffix: of the names of its operations and schemas.
        component: the name of the component of a graph; None: the whole.
        protocol: has the routes.
        errors: their error responses.
        paths, schemas: where they are added.
    """
    inputs = list(_list_forms(spec.inputs, is_request=True))
    outputs = list(_list_forms(spec.outputs, is_request=False)) if spec.outputs else []
    operations = OPERATIONS[spec.service_type]
    for operation in (*operations, *_EVERY_TYPE):
        routes = [each for each in protocol.routes if each.operation is operation and each.component == component]
        if not routes:  # one component of a graph has pages for it
            continue
        # the first path has other methods too; an alias that is for messages only is the one that clients use
        route = next((each for each in routes if each.methods == ("POST",)), routes[0])
        if operation in WITHOUT_BODY:
            described = _describe_read(operation, protocol, errors)
        else:
            body = _find_body(operation, inputs, suffix)
            described = _describe_call(operation, route.media_types, body, outputs, protocol, errors, suffix)
        others = [f"`{each.path}`" for each in routes if each is not route]
        paths[route.path] = {
            ("post" if route.media_types else "get"): {
                "operationId": operation.name.lower() + suffix,
                "tags": [protocol.name],
                "summary": routes[0].summary,
                **({"description": f"Further paths: {', '.join(others)}."} if others else {}),
                **described,
            }
        }
    if not _TAKES_INPUTS.isdisjoint(operations):
        schemas |= _message_schemas(f"SeldonRequest{suffix}", inputs)
    if outputs and not _RETURNS_OUTPUTS.isdisjoint(operations):
        schemas |= _message_schemas(f"SeldonResponse{suffix}", outputs)


def _find_body(operation: Operation, inputs: Sequence[_Form], suffix: str) -> _Body:
    message = ref("SeldonMessage")
    if operation is Operation.FEEDBACK:
        return _Body(ref("Feedback"), {"reward": {"request": _MESSAGE, "reward": 1.0}}, {})
    if operation is Operation.AGGREGATE:
        return _Body(list_of(message), {"two responses": [_MESSAGE, _MESSAGE]}, {})
    if operation not in _TAKES_INPUTS:
        return _Body(message, {"ndarray": _MESSAGE}, {form.member: form.schema for form in _ANY_FORMS})
    examples = {form.title: {form.member: form.example} for form in inputs if form.example is not None}
    members = dict.fromkeys(form.member for form in inputs)
    parts = {member: any_of(form.schema for form in inputs if form.member == member) for member in members}
    return _Body(ref(f"SeldonRequest{suffix}"), examples, parts)


def _describe_call(
    operation: Operation,
    media_types: Sequence[str],
    body: _Body,
    outputs: Sequence[_Form],
    protocol: RestProtocol,
    errors: ErrorResponses,
    suffix: str,
) -> dict[str, Any]:
    """Return the request body and the responses of an operation that takes a message."""
    message, examples = ref("SeldonMessage"), {}
    if operation in _RETURNS_OUTPUTS and outputs:
        message = ref(f"SeldonResponse{suffix}")
        examples = {form.title: {form.member: form.example, "meta": {}} for form in outputs if form.example is not None}
    request, response = _describe_body(media_types, body), content_of(protocol.style.mimetype, message, examples)
    if ANY in media_types:
        request = response = {ANY: {}}
    return {
        "requestBody": {"required": True, "content": request},
        "responses": {
            "200": {"description": "The response.", "content": response},
            **errors.list(400, 401, 408, 413, 415, 500, 503, 504),
        },
    }


def _describe_body(media_types: Sequence[str], body: _Body) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if JSON in media_types:
        content |= content_of(JSON, body.schema, body.examples)
    if FORM in media_types:
        field = {**_TEXT, "contentMediaType": JSON, "contentSchema": body.schema}
        texts = {title: {"json": json.dumps(value)} for title, value in body.examples.items()}
        content |= content_of(FORM, object_schema({"json": field}, ["json"]), texts)
    if MULTIPART in media_types and body.parts:
        parts = {member: _part_schema(member, schema) for member, schema in body.parts.items()}
        content |= content_of(MULTIPART, {**object_schema(parts), "minProperties": 1})
    return content


def _part_schema(member: str, schema: Schema) -> Schema:
    """Return the schema of a part of a multipart body, in which ``binData`` is a file."""
    if member != "binData":
        return schema
    return {"contentMediaType": schema.get("contentMediaType", "application/octet-stream")}


def _describe_read(operation: Operation, protocol: RestProtocol, errors: ErrorResponses) -> dict[str, Any]:
    """Return the responses of an operation without a message."""
    schema = ref("ModelMetadata" if operation is Operation.METADATA else "SeldonMessage")
    response = {"description": "The response.", "content": content_of(protocol.style.mimetype, schema)}
    return {"responses": {"200": response, **errors.list(400, 401, 500, 503, 504)}}


def _describe_probe(route: Route, summary: str, protocol: RestProtocol, errors: ErrorResponses) -> dict[str, Any]:
    assert route.page is not None
    content = content_of("text/html", {"const": route.page.value})
    return {
        "operationId": route.name,
        "tags": [protocol.name],
        "summary": summary,
        "security": [],
        "responses": {"200": {"description": "It is.", "content": content}, **errors.list(503)},
    }


def _list_forms(tensors: Sequence[TensorSpec], *, is_request: bool) -> Sequence[_Form]:
    """Return the forms of a message with these inputs or outputs; those of any message if none are declared."""
    if not tensors:
        return _ANY_FORMS
    forms: list[_Form] = []
    if columns_of(tensors):
        forms += _list_table_forms(tensors, is_request=is_request)
    elif len(tensors) == 1:
        forms += _list_array_forms(tensors[0], is_request=is_request)
    if not forms or not is_request:
        forms.append(_named_form(tensors, is_request=is_request))
    return forms


def _list_table_forms(tensors: Sequence[TensorSpec], *, is_request: bool) -> Iterator[_Form]:
    """Yield the forms of inputs or outputs that are the columns of a table."""
    columns, row = columns_of(tensors), example_row(tensors)
    names = [column.name for column in columns]
    missing = {column.name: (None,) for column in columns if column.optional}
    exact = exact_list(names) if is_request else _NAMES
    array = list_of(row_schema(columns, missing)) | ({"minItems": 1} if is_request else {})
    rows = object_schema({"names": exact, "ndarray": array}, ["ndarray"])
    if is_request:
        # columns of one input cannot be absent
        required = names if len(tensors) == 1 else [column.name for column in columns if not column.optional]
        some = {**list_of({"enum": names}), "uniqueItems": True, "minItems": len(required)}
        if 0 < len(required) < len(names):
            some["allOf"] = [{"contains": {"const": name}} for name in required]
        values = list_of(common_element_schema(columns, (None,) if missing else ()))
        array = {**list_of({**values, "minItems": len(required), "maxItems": len(names)}), "minItems": 1}
        described = "The columns in another order, as `names` says."
        rows = any_of(
            [rows, object_schema({"names": some, "ndarray": array}, ["names", "ndarray"], description=described)]
        )
    yield _Form("rows", "data", rows, {"names": names, "ndarray": [row]})
    if all(map(is_number, columns)):
        tensor = _tensor_schema((-1, len(columns)), common_element_schema(columns))
        data = object_schema({"names": exact, "tensor": tensor}, ["tensor"])
        yield _Form("tensor", "data", data, {"names": names, "tensor": {"shape": [1, len(columns)], "values": row}})


def _list_array_forms(tensor: TensorSpec, *, is_request: bool) -> Iterator[_Form]:
    """Yield the forms of the only input or output."""
    missing = (None,) if tensor.optional else ()
    element, is_small = element_schema(tensor), has_small_example(tensor)
    if tensor.datatype == "BYTES" and has_one_element(tensor):
        (value,) = example_tensor(tensor)[1]
        if tensor.content_type in _TEXT_CONTENT:
            yield _Form("text", "strData", element, value)
        else:
            is_plain = tensor.content_type == "bytes"
            content = base64.b64encode(str(value).encode()).decode() if is_plain else value
            yield _Form("binary", "binData", {**element, **_BASE64}, content)
    nested = {**annotate(tensor), **array_schema(tensor.shape, element_schema(tensor, missing), has_rows=is_request)}
    example = {"ndarray": example_array(tensor)} if is_small else None
    yield _Form("ndarray", "data", object_schema({"ndarray": nested}, ["ndarray"]), example)
    if is_number(tensor):
        shape, values = example_tensor(tensor) if is_small else ([], [])
        example = {"tensor": {"shape": shape, "values": values}} if is_small else None
        data = object_schema({"tensor": _tensor_schema(tensor.shape, element)}, ["tensor"])
        yield _Form("tensor", "data", data, example)


def _named_form(tensors: Sequence[TensorSpec], *, is_request: bool) -> _Form:
    """Return the form of several inputs or outputs, each by its name."""
    members = {
        tensor.name: {
            **annotate(tensor),
            **array_schema(
                tensor.shape, element_schema(tensor, (None,) if tensor.optional else ()), has_rows=is_request
            ),
        }
        for tensor in tensors
    }
    example = (
        {tensor.name: example_array(tensor) for tensor in tensors} if all(map(has_small_example, tensors)) else None
    )
    required = [tensor.name for tensor in tensors if not tensor.optional]
    return _Form("by name", "jsonData", object_schema(members, required), example)


def _tensor_schema(shape: Sequence[int], element: Schema) -> Schema:
    return object_schema({"shape": shape_schema(shape), "values": flat_schema(shape, element)}, ["shape", "values"])


def _message_schemas(name: str, forms: Sequence[_Form]) -> dict[str, Schema]:
    """Return the schema of a message, and that of each form of it by a name of its own, as client generators need."""
    schemas = {
        name + form.title.title().replace(" ", ""): object_schema({form.member: form.schema}, [form.member])
        for form in forms
    }
    message = {"type": "object", "properties": {"meta": ref("Meta")}, "anyOf": [ref(each) for each in schemas]}
    return {name: message, **schemas}


_TENSOR = {"shape": list_of({"type": "integer"}), "values": list_of({"type": "number"})}
_DATA: Mapping[str, Schema] = {
    "names": list_of({"description": "The name of a column."}),
    "ndarray": {"description": "Nested lists, one for each row."},
    "tensor": object_schema(_TENSOR, description="The values in row-major order."),
    "tftensor": {"type": "object", "description": "A TensorProto of TensorFlow in JSON form."},
}
_REQUEST_DATA: Schema = {
    **object_schema({**_DATA, "tensor": {**_DATA["tensor"], "required": list(_TENSOR)}}),
    "anyOf": [{"required": [member]} for member in ("ndarray", "tensor", "tftensor")],
}
_ANY_FORMS = (
    _Form("ndarray", "data", ref("Data"), _MESSAGE["data"]),
    _Form("text", "strData", _TEXT),
    _Form("binary", "binData", _BASE64),
    _Form("json", "jsonData", {"description": "Any JSON value."}),
)
_SCHEMAS: Mapping[str, Schema] = {
    "SeldonMessage": object_schema(
        {
            **{form.member: form.schema for form in _ANY_FORMS},
            "data": object_schema(_DATA),  # the response to feedback has no empty members
            "meta": ref("Meta"),
        }
    ),
    "Data": _REQUEST_DATA,
    "Meta": object_schema(
        {
            "puid": {"description": "The ID of the request, a text; the response repeats it."},
            "tags": {"type": "object"},
            "metrics": list_of({"description": "A metric of the call."}),
            "requestPath": {"type": "object", "description": "The image of each component by its name."},
            "routing": {"type": "object", "description": "The branch that each step of a graph chose, by its name."},
        }
    ),
    "Feedback": object_schema(
        {
            "request": ref("SeldonMessage"),
            "response": ref("SeldonMessage"),
            "reward": {"type": "number"},
            "truth": ref("SeldonMessage"),
        }
    ),
    "SeldonError": object_schema(
        {
            "status": object_schema(
                {"code": {"type": "integer"}, "info": _TEXT, "reason": _TEXT, "status": {"type": "integer"}},
                ["code", "info", "reason", "status"],
            )
        },
        ["status"],
    ),
}
