"""The OpenAPI 3.0 document of Seldon's protocol, which ``/seldon.json`` serves; the texts are our own."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from seldon_spec import __version__
from seldon_spec.inference.message import Operation
from seldon_spec.protocols.route import FORM, JSON, Route

_MESSAGE = {"$ref": "#/components/schemas/SeldonMessage"}
_FEEDBACK = {"$ref": "#/components/schemas/Feedback"}
_LIST = {"type": "array", "items": _MESSAGE}

_BODIES: dict[Operation | None, dict[str, Any]] = {Operation.AGGREGATE: _LIST, Operation.FEEDBACK: _FEEDBACK}


def build_openapi(routes: Iterable[Route], title: str) -> dict[str, Any]:
    """Return the document.

    Args:
        routes: the route table; routes without a summary are not listed.
        title: the name of the component.
    """
    paths: dict[str, Any] = {}
    for route in routes:
        if not route.summary:
            continue
        if route.media_types:
            paths[route.path] = {"post": _call(route.summary, _BODIES.get(route.operation, _MESSAGE))}
        else:
            schema = _MESSAGE if route.state_page is None else {"type": "object"}
            described = {"summary": route.summary, "responses": _responses(schema)}
            names = [
                {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
                for name in re.findall(r"{(\w+)}", route.path)
            ]
            paths[route.path] = {"get": described | ({"parameters": names} if names else {})}
    return {
        "openapi": "3.0.0",
        "info": {"title": title, "version": __version__},
        "paths": paths,
        "components": {"schemas": _schemas()},
    }


def _call(summary: str, schema: dict[str, Any]) -> dict[str, Any]:
    form = {"type": "object", "properties": {"json": {"type": "string", "description": "The message as JSON text."}}}
    return {
        "summary": summary,
        "requestBody": {
            "required": True,
            "content": {
                JSON: {"schema": schema},
                FORM: {"schema": form},
            },
        },
        "responses": _responses(_MESSAGE),
    }


def _responses(schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "200": {"description": "The response.", "content": {JSON: {"schema": schema}}},
        "default": {"description": "What went wrong, in status.", "content": {JSON: {"schema": _MESSAGE}}},
    }


def _schemas() -> dict[str, Any]:
    numbers = {"type": "array", "items": {"type": "number"}}
    sizes = {"type": "array", "items": {"type": "integer"}}
    data = {
        "names": {"type": "array", "items": {"type": "string"}},
        "tensor": {"type": "object", "properties": {"shape": sizes, "values": numbers}},
        "ndarray": {"type": "array", "items": {}},
        "tftensor": {"type": "object"},
    }
    status = {
        "code": {"type": "integer"},
        "info": {"type": "string"},
        "reason": {"type": "string"},
        "status": {"type": "integer"},
    }
    meta = {
        "puid": {"type": "string"},
        "tags": {"type": "object"},
        "routing": {"type": "object", "additionalProperties": {"type": "integer"}},
        "requestPath": {"type": "object", "additionalProperties": {"type": "string"}},
        "metrics": {"type": "array", "items": {"type": "object"}},
    }
    message = {
        "status": {"type": "object", "properties": status},
        "meta": {"type": "object", "properties": meta},
        "data": {"type": "object", "properties": data},
        "binData": {"type": "string", "format": "byte"},
        "strData": {"type": "string"},
        "jsonData": {},
    }
    feedback = {"request": _MESSAGE, "response": _MESSAGE, "reward": {"type": "number"}, "truth": _MESSAGE}
    return {
        "SeldonMessage": {"type": "object", "properties": message},
        "Feedback": {"type": "object", "properties": feedback},
    }
