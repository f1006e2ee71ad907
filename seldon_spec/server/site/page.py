"""The web page at ``/``: its documents, and the headers that restrict what it can do."""

from __future__ import annotations

from functools import partial
from importlib import resources

from seldon_spec.config.model import Spec
from seldon_spec.protocols.route import Document, Route

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
_ASSETS = {"page.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8"}


def make_page(spec: Spec) -> tuple[Route, ...]:
    """Return the routes of the page and its files.

    With ``server.auth``, a request for the page without a valid token gets one that contains only a form for the token.
    """
    page = Document(partial(_render, spec), _HTML, _PAGE_HEADERS)
    login = None if spec.server.auth is None else Document(_render_login, _HTML, _PAGE_HEADERS)
    routes = [Route("page", "/", ("GET",), document=page, public_document=login)]
    for name, media_type in _ASSETS.items():
        asset = Document(partial(_read_asset, name), media_type, _ASSET_HEADERS)
        routes.append(Route(name, f"/{name}", ("GET",), document=asset, public_document=asset))
    return tuple(routes)


def _render(spec: Spec) -> bytes:
    from seldon_spec.server.site.page_html import render_page  # not at the top: a server can run without the page

    return render_page(spec).encode()


def _render_login() -> bytes:
    from seldon_spec.server.site.page_html import render_login

    return render_login().encode()


def _read_asset(name: str) -> bytes:
    return (resources.files(__package__) / name).read_bytes()
