"""What the protocols' parts of the OpenAPI 3.1 document share: schemas of tensors, and descriptions of errors."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

from seldon_spec.config.contract import JsonValue, TensorSpec
from seldon_spec.config.model import Spec
from seldon_spec.errors import (
    ClientTooSlow,
    ComponentFailed,
    NotServing,
    PayloadError,
    RequestTimeout,
    SeldonSpecError,
    TooLarge,
    Unauthenticated,
    UnknownModel,
    UnsupportedMediaType,
)
from seldon_spec.inference.contract.examples import ContractKind, kind_of, list_columns
from seldon_spec.inference.datatypes import BYTES, find_datatype
from seldon_spec.protocols.route import RestProtocol
from seldon_spec.protocols.status import STATUSES, find_by_class

Schema: TypeAlias = dict[str, Any]

SECURITY = "bearer"
"""The name of the security scheme."""

MAX_EXAMPLE_ELEMENTS = 1000
"""The size of an array up to which the document has an example of it."""

_BASE64 = {"contentEncoding": "base64"}
_TEXT_FORMS: Mapping[str, Schema] = {
    "base64": _BASE64,
    "datetime": {"format": "date-time"},
    "json": {"contentMediaType": "application/json"},
}
_FLOAT_FORMATS = {"FP32": "float", "FP64": "double"}


class ApiPart(NamedTuple):
    """What a protocol adds to the document.

    Attributes:
        paths: its path items.
        schemas: that they refer to.
        responses: that they refer to.
    """

    paths: dict[str, Any]
    schemas: dict[str, Schema]
    responses: dict[str, Any]


def ref(name: str, kind: str = "schemas") -> Schema:
    """Return a reference to a component of the document."""
    return {"$ref": f"#/components/{kind}/{name}"}


def object_schema(properties: Mapping[str, Schema], required: Iterable[str] = (), **more: Any) -> Schema:
    """Return the schema of an object, which may have further members."""
    needed = list(required)
    return {"type": "object", **more, "properties": dict(properties), **({"required": needed} if needed else {})}


def list_of(items: Schema) -> Schema:
    """Return the schema of a list of any length."""
    return {"type": "array", "items": items}


def any_of(schemas: Iterable[Schema]) -> Schema:
    """Return the schema of values that match one of the schemas; equal ones count once."""
    distinct = list({json.dumps(schema, sort_keys=True): schema for schema in schemas}.values())
    return distinct[0] if len(distinct) == 1 else {"anyOf": distinct}


def element_schema(tensor: TensorSpec, others: Sequence[str | None] = ()) -> Schema:
    """Return the schema of an element.

    Args:
        tensor: its datatype, bounds and choices count.
        others: further values, such as None for one that is missing.
    """
    schema = _value_schema(tensor)
    if not others:
        return schema
    missing = [{"type": "null"}] if None in others else []
    texts = [other for other in others if other is not None]
    return {"anyOf": [schema, *missing, *([{"type": "string", "enum": texts}] if texts else [])]}


def _value_schema(tensor: TensorSpec) -> Schema:
    schema = _type_schema(tensor)
    if tensor.choices:
        return {"type": schema["type"], "enum": list(tensor.choices)}
    limits = find_datatype(tensor.datatype).limits
    low, high = tensor.minimum, tensor.maximum
    if limits is not None:
        low = limits[0] if low is None else max(low, limits[0])
        high = limits[1] if high is None else min(high, limits[1])
    bounds = {"minimum": low, "maximum": high}
    return {**schema, **{key: bound for key, bound in bounds.items() if bound is not None}}


def _type_schema(tensor: TensorSpec) -> Schema:
    datatype = find_datatype(tensor.datatype)
    if datatype is BYTES:
        content_type = tensor.content_type or ""
        is_image = content_type.startswith("image/")
        form = {**_BASE64, "contentMediaType": content_type} if is_image else _TEXT_FORMS.get(content_type, {})
        return {"type": "string", **form}
    if datatype.name == "BOOL":
        return {"type": "boolean"}
    if datatype.limits is not None:
        return {"type": "integer", "format": datatype.name.lower()}
    format_ = _FLOAT_FORMATS.get(datatype.name)
    return {"type": "number", **({} if format_ is None else {"format": format_})}


def common_element_schema(columns: Sequence[TensorSpec], others: Sequence[str | None] = ()) -> Schema:
    """Return the schema of an element of any column, without bounds if they differ by column."""
    exact = any_of(element_schema(column, others) for column in columns)
    if "anyOf" not in exact or len(columns) == 1:
        return exact
    return any_of(element_schema(replace(column, minimum=None, maximum=None, choices=()), others) for column in columns)


def array_schema(shape: Sequence[int], items: Schema, *, has_rows: bool) -> Schema:
    """Return the schema of nested lists of a shape.

    Args:
        shape: -1 for any size.
        items: of the innermost lists.
        has_rows: whether a list of lists has at least one, because an empty list does not show the inner sizes.
    """
    for level, size in enumerate(reversed(shape)):
        is_free = size == -1 and level > 0 and has_rows
        items = {**list_of(items), **({"minItems": 1} if is_free else _length(size))}
    return items


def flat_schema(shape: Sequence[int], items: Schema) -> Schema:
    """Return the schema of the values of an array in row-major order."""
    return {**list_of(items), **_length(-1 if -1 in shape else math.prod(shape))}


def row_schema(columns: Sequence[TensorSpec], others: Mapping[str, Sequence[str | None]]) -> Schema:
    """Return the schema of a row: a value for each column.

    Args:
        columns: as ``list_columns`` returns them.
        others: further values by the name of the column.
    """
    return {
        "type": "array",
        "prefixItems": [
            {**annotate(column), **element_schema(column, others.get(column.name, ()))} for column in columns
        ],
        **_length(len(columns)),
    }


def shape_schema(shape: Sequence[int]) -> Schema:
    """Return the schema of the sizes of an array."""
    sizes = [{"type": "integer", "minimum": 0} if size == -1 else {"const": size} for size in shape]
    schema: Schema = {"type": "array", "prefixItems": sizes, **_length(len(shape))}
    if not shape:
        del schema["prefixItems"]
    return schema


def exact_list(values: Sequence[str]) -> Schema:
    """Return the schema of a list of exactly these texts."""
    # "const" of a list is valid too, but not every client generator can read it
    return {"type": "array", "prefixItems": [{"const": value} for value in values], **_length(len(values))}


def _length(size: int) -> Schema:
    return {} if size == -1 else {"minItems": size, "maxItems": size}


def annotate(tensor: TensorSpec) -> Schema:
    """Return the title and the description of a schema."""
    described = {} if tensor.description is None else {"description": tensor.description}
    return {"title": tensor.name, **described}


def columns_of(tensors: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    """Return the columns of a table; none if the tensors are not one."""
    return () if kind_of(tensors) in (None, ContractKind.TENSORS) else list_columns(tensors)


def is_number(tensor: TensorSpec) -> bool:
    """Return whether the elements of a tensor are numbers."""
    return tensor.datatype not in ("BOOL", "BYTES")


def has_one_element(tensor: TensorSpec) -> bool:
    """Return whether a tensor can have a single element."""
    return set(tensor.shape) <= {-1, 1}


def has_small_example(tensor: TensorSpec) -> bool:
    """Return whether the example of a tensor is small enough for the document."""
    return math.prod(1 if size == -1 else size for size in tensor.shape) <= MAX_EXAMPLE_ELEMENTS


def content_of(media_type: str, schema: Schema, examples: Mapping[str, JsonValue] | None = None) -> dict[str, Any]:
    """Return the content of a body, with examples by their titles."""
    entry: dict[str, Any] = {"schema": schema}
    if examples:
        entry["examples"] = {name: {"value": value} for name, value in examples.items()}
    return {media_type: entry}


def list_component_specs(spec: Spec) -> list[Spec]:
    """Return the spec of a graph's server for each component of the graph: with its name, version and contract."""
    specs = []
    for name, component in spec.components.items():
        own = component.spec or replace(spec, version=None, inputs=(), outputs=())
        specs.append(
            replace(
                spec,
                name=name,
                service_type=component.service_type,
                version=own.version,
                inputs=own.inputs,
                outputs=own.outputs,
                graph=None,
                components={},
            )
        )
    return specs


def suffix_of(spec: Spec, whole: Spec) -> str:
    """Return what the names of schemas and operations of one component of a graph end with."""
    return "" if spec is whole else f"_{spec.name.replace('-', '_')}"


class ErrorResponses:
    """The error responses of a protocol.

    Args:
        spec: whose server sends them.
        protocol: defines their format.
        schema: the name of the schema of their bodies; the names of the responses start with it.
        encoding_error: for a body whose encoding is not supported.

    Attributes:
        components: the responses that have been listed, by name.
    """

    def __init__(self, spec: Spec, protocol: RestProtocol, schema: str, encoding_error: UnsupportedMediaType) -> None:
        media_type, self._schema = protocol.style.mimetype, schema
        self._known: dict[int, Any] = {}
        for error, description in (*_list_errors(spec), (encoding_error, "The encoding of the body is not supported.")):
            described = protocol.describe(error)
            headers = {
                name: {"schema": {"type": "string"}, "example": value}
                for name, value in find_by_class(STATUSES, type(error)).headers
            }
            self._known[described.http] = {
                "description": description,
                **({"headers": headers} if headers else {}),
                "content": content_of(media_type, ref(schema), {"error": dict(described.body)}),
            }
        description = "Any other error, such as one that the model raised with a status of its own."
        self.components = {schema: {"description": description, "content": content_of(media_type, ref(schema))}}

    def list(self, *statuses: int) -> dict[str, Any]:
        """Return the responses of an operation for these statuses, without those that the server never sends."""
        listed = {f"{self._schema}{status}": status for status in statuses if status in self._known}
        self.components.update({name: self._known[status] for name, status in listed.items()})
        responses = {str(status): ref(name, "responses") for name, status in listed.items()}
        return {**responses, "default": ref(self._schema, "responses")}


def _list_errors(spec: Spec) -> Iterable[tuple[SeldonSpecError, str]]:
    """Yield an example of each error with a status of its own, and its description."""
    server = spec.server
    yield (
        PayloadError("invalid request: missing input 'x'"),
        "The request is malformed, or does not match the declared inputs.",
    )
    if server.auth is not None:
        yield Unauthenticated("a valid bearer token is required (server.auth)"), "There is no valid token."
    yield (
        UnknownModel("unknown model 'other'; the model is " + repr(spec.name)),
        "The model has another name or version.",
    )
    yield ClientTooSlow("timed out while receiving the request body"), "The body arrived too slowly."
    yield (
        TooLarge(f"the body is larger than server.max_body_bytes, {server.max_body_bytes}"),
        f"The body has more than {server.max_body_bytes} bytes.",
    )
    yield (
        UnsupportedMediaType("a body with a Content-Encoding is not read; send it as it is"),
        ("The encoding of the body is not supported."),
    )
    yield ComponentFailed("division by zero"), "The model failed."
    yield (
        NotServing("the server is stopping"),
        ("The model is not loaded yet, the server is stopping, or it has reached a limit, such as that of its queue."),
    )
    if server.request_timeout_seconds is not None:
        seconds = server.request_timeout_seconds
        yield (
            RequestTimeout(f"no response within {seconds} seconds (server.request_timeout_seconds)"),
            f"There was no response within {seconds} seconds.",
        )
