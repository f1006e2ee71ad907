"""The route table of the server's own pages; their errors have the format of Seldon's protocol."""

from __future__ import annotations

from dataclasses import replace

from seldon_spec.config.model import Spec
from seldon_spec.inference.served_spec import FindSpec
from seldon_spec.protocols.json_style import JsonStyle, write_json
from seldon_spec.protocols.route import JSON, Document, RestProtocol, Route
from seldon_spec.server.site.page import make_page


def make_site(
    spec: Spec, protocols: tuple[RestProtocol, RestProtocol], find_spec: FindSpec | None = None
) -> RestProtocol:
    """Return the pages of a spec, as a protocol without operations.

    Args:
        spec: the model.
        protocols: Seldon's, which defines the format of errors, and the Open Inference Protocol.
        find_spec: see ``find_served_spec``; the pages are rendered for the first request, which waits for the model.
    """
    find: FindSpec = find_spec or (lambda: spec)

    def make_openapi() -> bytes:
        from seldon_spec.server.site.openapi import build_openapi  # not at the top: most servers do not need it

        return write_json(build_openapi(find(), *protocols), JsonStyle(sort_keys=False))

    openapi = Route("openapi-31", "/openapi.json", ("GET",), document=Document(make_openapi, JSON))
    routes: tuple[Route, ...] = (openapi, *(make_page(spec, find) if spec.server.page else ()))
    return replace(protocols[0], name="pages", routes=routes)
