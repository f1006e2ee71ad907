"""The OpenAPI 3.1 document of a server: both protocols, for its model."""

from __future__ import annotations

from typing import Any

from seldon_spec import __version__
from seldon_spec.config.model import Spec
from seldon_spec.protocols.open_inference_v2.openapi import describe_open_inference
from seldon_spec.protocols.openapi import SECURITY
from seldon_spec.protocols.route import RestProtocol
from seldon_spec.protocols.seldon_v1.openapi31 import describe_seldon


def build_openapi(spec: Spec, seldon: RestProtocol, open_inference: RestProtocol) -> dict[str, Any]:
    """Return the document, with paths relative to its own.

    Args:
        spec: the model, with its inputs and outputs.
        seldon, open_inference: the protocols.
    """
    parts = (describe_open_inference(spec, open_inference), describe_seldon(spec, seldon))
    components: dict[str, Any] = {
        "schemas": {name: schema for part in parts for name, schema in part.schemas.items()},
        "responses": {name: response for part in parts for name, response in part.responses.items()},
    }
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": spec.name,
            "version": spec.version or "unversioned",
            "description": f"The model `{spec.name}`, served by seldon-spec {__version__}.",
        },
        "servers": [{"url": "."}],
        "tags": [{"name": protocol.name} for protocol in (open_inference, seldon)],
        "paths": {path: item for part in parts for path, item in part.paths.items()},
        "components": components,
    }
    if spec.server.auth is not None:
        components["securitySchemes"] = {SECURITY: {"type": "http", "scheme": "bearer"}}
        document["security"] = [{SECURITY: []}]
    return document
