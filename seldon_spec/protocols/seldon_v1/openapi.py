"""The description of the REST interface that ``/seldon.json`` serves: OpenAPI 3.0, of our own wording."""

from __future__ import annotations

from typing import Any

from seldon_spec import __version__

_MESSAGE = {"$ref": "#/components/schemas/SeldonMessage"}
_FEEDBACK = {"$ref": "#/components/schemas/Feedback"}
_LIST = {"type": "array", "items": _MESSAGE}

_CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "/predict": ("Ask the model for a prediction.", _MESSAGE),
    "/transform-input": ("Have a message transformed before a model gets it.", _MESSAGE),
    "/transform-output": ("Have a model's answer transformed.", _MESSAGE),
    "/route": ("Ask a router for the number of a branch.", _MESSAGE),
    "/aggregate": ("Have several answers combined into one.", _LIST),
    "/send-feedback": ("Tell how good an earlier answer was.", _FEEDBACK),
}
_READS = {
    "/health/status": "Ask the model itself how it is.",
    "/metadata": "What the model says of its inputs and outputs.",
}


def describe_interface(title: str) -> dict[str, Any]:
    """The document; the aliases of a path under ``/api`` answer as that path does.

    Args:
        title: the component's name.
    """
    return {
        "openapi": "3.0.0",
        "info": {"title": title, "version": __version__},
        "paths": {
            **{path: {"post": _call(summary, schema)} for path, (summary, schema) in _CALLS.items()},
            **{path: {"get": {"summary": summary, "responses": _responses()}} for path, summary in _READS.items()},
        },
        "components": {"schemas": _schemas()},
    }


def _call(summary: str, schema: dict[str, Any]) -> dict[str, Any]:
    form = {"type": "object", "properties": {"json": {"type": "string", "description": "The message as JSON text."}}}
    return {
        "summary": summary,
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": schema},
                "application/x-www-form-urlencoded": {"schema": form},
            },
        },
        "responses": _responses(),
    }


def _responses() -> dict[str, Any]:
    content = {"application/json": {"schema": _MESSAGE}}
    return {
        "200": {"description": "The answer.", "content": content},
        "default": {"description": "What went wrong, in status.", "content": content},
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
