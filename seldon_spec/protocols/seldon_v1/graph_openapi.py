"""The pages of a graph in the OpenAPI 3.1 document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seldon_spec.config.model import Spec
from seldon_spec.inference.component.metadata import SCHEMA as METADATA_SCHEMA
from seldon_spec.protocols.openapi import ErrorResponses, Schema, content_of, object_schema, ref
from seldon_spec.protocols.route import RestProtocol

_TEXT: Schema = {"type": "string"}
_BOOLEAN: Schema = {"type": "boolean"}
_COMPONENT = "{component}"

_PAGES: Mapping[str, str] = {
    "graph-metadata": "GraphMetadata",
    "component-metadata": "ModelMetadata",
    "graph-status": "GraphStatus",
    "component-status": "ComponentStatus",
}
"""The schemas of the pages by the names of their routes."""

GRAPH_SCHEMAS: Mapping[str, Schema] = {
    "GraphMetadata": object_schema(
        {
            "name": _TEXT,
            "models": {"type": "object", "additionalProperties": ref("ModelMetadata")},
            "graphinputs": METADATA_SCHEMA["properties"]["inputs"],
            "graphoutputs": METADATA_SCHEMA["properties"]["outputs"],
        },
        ["name", "models", "graphinputs", "graphoutputs"],
    ),
    "GraphStatus": object_schema(
        {"name": _TEXT, "ready": _BOOLEAN, "components": {"type": "object", "additionalProperties": _BOOLEAN}},
        ["name", "ready", "components"],
    ),
    "ComponentStatus": object_schema({"name": _TEXT, "ready": _BOOLEAN}, ["name", "ready"]),
}


def describe_graph_pages(spec: Spec, protocol: RestProtocol, errors: ErrorResponses) -> dict[str, Any]:
    """Return the path items of the pages that show a graph and its components.

    Args:
        spec: of the graph.
        protocol: has the routes.
        errors: the error responses of the protocol.
    """
    names = {"name": "component", "in": "path", "required": True, "schema": {**_TEXT, "enum": list(spec.components)}}
    paths: dict[str, Any] = {}
    for route in protocol.routes:
        if route.state_page is None or not route.summary:
            continue
        has_name = _COMPONENT in route.path
        content = content_of(protocol.style.mimetype, ref(_PAGES[route.name]))
        statuses = [401, 404, 500, 503] if has_name else [401, 500, 503]
        responses = {"200": {"description": "The response.", "content": content}, **errors.list(*statuses)}
        if route.name.endswith("status"):
            responses["503"] = {"description": "It is not ready.", "content": content}
        paths[route.path] = {
            "get": {
                "operationId": route.name.replace("-", "_"),
                "tags": [protocol.name],
                "summary": route.summary,
                **({"parameters": [names]} if has_name else {}),
                "responses": responses,
            }
        }
    return paths
