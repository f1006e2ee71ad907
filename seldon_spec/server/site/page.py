"""The web page at ``/``: its documents, and the headers that restrict what it can do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from importlib import resources
from typing import Any

from seldon_spec.config.model import Spec
from seldon_spec.inference.dispatcher import Dispatcher
from seldon_spec.inference.served_spec import FindSpec
from seldon_spec.protocols.route import Body, Document, Route

_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data: blob:",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}
_ASSET_HEADERS = (("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer"))
_PAGE_HEADERS = (
    ("Content-Security-Policy", "; ".join(f"{name} {value}" for name, value in _POLICY.items())),
    *_ASSET_HEADERS,
)
_HTML = "text/html; charset=utf-8"
_CSS, _JAVASCRIPT = "text/css; charset=utf-8", "text/javascript; charset=utf-8"
_ASSETS = {"page.css": _CSS, "page.js": _JAVASCRIPT}
_GRAPH_ASSETS = {"graph.css": _CSS, "graph.js": _JAVASCRIPT}


def make_page(spec: Spec, find_spec: FindSpec) -> tuple[Route, ...]:
    """Return the routes of the page and its files; with a graph, those of the forms and the counts of its components.

    Args:
        spec: its routes.
        find_spec: returns the spec that the page shows, once the component is built.

    With ``server.auth``, a request for the page without a valid token gets one that contains only a form for the token.
    """
    page = Document(partial(_render, find_spec), _HTML, _PAGE_HEADERS)
    login = None if spec.server.auth is None else Document(_render_login, _HTML, _PAGE_HEADERS)
    routes = [Route("page", "/", ("GET",), document=page, public_document=login)]
    assets = _ASSETS
    if spec.graph is not None:
        assets = _ASSETS | _GRAPH_ASSETS
        routes.append(Route("graph-counts", "/graph/counts", ("GET",), state_page=_show_counts))
        for name in spec.components:
            form = Document(partial(_render_form, find_spec, name), _HTML, _PAGE_HEADERS)
            routes.append(Route(f"form-{name}", f"/graph/forms/{name}", ("GET",), document=form))
    for name, media_type in assets.items():
        asset = Document(partial(_read_asset, name), media_type, _ASSET_HEADERS)
        routes.append(Route(name, f"/{name}", ("GET",), document=asset, public_document=asset))
    return tuple(routes)


def _render(find_spec: FindSpec) -> bytes:
    from seldon_spec.server.site.page_html import render_page  # not at the top: a server can run without the page

    return render_page(find_spec()).encode()


def _render_form(find_spec: FindSpec, component: str) -> bytes:
    from seldon_spec.server.site.page_html import render_component

    return render_component(find_spec(), component).encode()


def _show_counts(dispatcher: Dispatcher, _parameters: Mapping[str, str], _body: Body) -> tuple[int, Any]:
    return 200, asdict(dispatcher.metrics.read_graph_totals())


def _render_login() -> bytes:
    from seldon_spec.server.site.page_html import render_login

    return render_login().encode()


def _read_asset(name: str) -> bytes:
    return (resources.files(__package__) / name).read_bytes()
