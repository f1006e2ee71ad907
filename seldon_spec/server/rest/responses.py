"""The responses that need no model: errors, pages, OPTIONS and CORS. Used natively, by the Flask app and by WSGI."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from seldon_spec.errors import SeldonSpecError
from seldon_spec.inference.dispatcher import Dispatcher
from seldon_spec.observability.request_context import Find
from seldon_spec.protocols.json_style import JsonStyle, write_json
from seldon_spec.protocols.route import Body, ErrorBody, Page, RestProtocol, Route, StatePage
from seldon_spec.protocols.status import STATUSES, find_by_class
from seldon_spec.server.auth import TokenAuth
from seldon_spec.server.rest.router import Match

_HTML = "text/html; charset=utf-8"  # required by the contract for /health/ping
_NOT_FOUND = (
    "404 Not Found: The requested URL was not found on the server. If you entered the URL manually please check your"
    " spelling and try again."
)
_NOT_ALLOWED = "405 Method Not Allowed: The method is not allowed for the requested URL."
_GZIP = re.compile(rb"(?:^|,)[ \t]*gzip[ \t]*(?:;[ \t]*q=(?:1|0\.0*[1-9])[\d.]*[ \t]*)?(?:,|$)", re.IGNORECASE)
"""Matches an ``Accept-Encoding`` that names gzip with a weight above zero."""

Fields = Iterable[tuple[str, str]]


class Response(NamedTuple):
    """A response without the headers of CORS."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


def cors_headers(method: str, find: Find) -> list[tuple[str, str]]:
    """Return the headers that let a page of any origin send requests (contract section 2.3).

    Args:
        method: of the request.
        find: returns the value of one of its headers.
    """
    origin = find(b"origin")
    headers = [("Access-Control-Allow-Origin", "*" if origin is None else origin.decode("latin-1"))]
    if origin is not None:
        headers.append(("Vary", "Origin"))
    if method == "OPTIONS" and find(b"access-control-request-method") is not None:
        headers.append(("Access-Control-Allow-Methods", "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"))
        requested = find(b"access-control-request-headers")
        if requested:
            headers.append(("Access-Control-Allow-Headers", requested.decode("latin-1")))
    return headers


class ResponseFactory:
    """Creates responses.

    Args:
        protocols: the first one defines the format of errors of requests whose path is not known.
        auth: decides which requests get a public document instead of the document itself.
    """

    def __init__(self, protocols: Sequence[RestProtocol], auth: TokenAuth) -> None:
        self._default = protocols[0]
        self._auth = auth

    def error(self, error: BaseException, protocol: RestProtocol | None = None) -> Response:
        """Return the response to a request that failed, in the format of its protocol."""
        protocol = protocol or self._default
        return _describe(protocol.describe(error), protocol, find_by_class(STATUSES, type(error)).headers)

    def http_error(self, status: int, text: str, protocol: RestProtocol, headers: Fields = ()) -> Response:
        """Return the response to a request that failed by an error of HTTP itself."""
        return _describe(protocol.describe_http(status, text), protocol, headers)

    def unmatched(self, match: Match, method: str) -> Response:
        """Return the response to a request that has no route: OPTIONS, an unknown path or a wrong method."""
        if match.resource is None:
            return self.http_error(404, _NOT_FOUND, match.protocol)
        allow = ("Allow", match.resource.allow)
        if method == "OPTIONS":
            return self.empty([allow])
        return self.http_error(405, _NOT_ALLOWED, match.protocol, [allow])

    def empty(self, headers: Fields = ()) -> Response:
        """Return the empty response to OPTIONS; the headers of CORS make it one to a preflight."""
        return Response(200, [("Content-Type", _HTML), *headers], b"")

    def probe(self, page: Page) -> Response:
        """Return the page of a probe that succeeded."""
        return Response(200, [("Content-Type", _HTML)], page.value.encode())

    def state(self, page: StatePage, dispatcher: Dispatcher, match: Match, body: Body) -> Response:
        """Return a page that shows the state of the server."""
        try:
            status, tree = page(dispatcher, match.parameters, body)
        except SeldonSpecError as error:
            return self.error(error, match.protocol)
        return Response(status, json_headers(match.protocol.style), write_json(tree, match.protocol.style))

    def document(self, route: Route, find: Find) -> Response:
        """Return the document of a route, compressed if the client accepts gzip, or 304 if the client has it.

        Args:
            route: has a document.
            find: returns the value of one of the request's headers.
        """
        document = route.document
        if route.public_document is not None and not self._auth.accepts(find):
            document = route.public_document
        assert document is not None
        vary = "Accept-Encoding" if route.public_document is None else "Accept-Encoding, Authorization"
        headers = [*document.headers, ("ETag", f"W/{document.etag}"), ("Vary", vary)]
        given = (find(b"if-none-match") or b"").decode("latin-1")
        known = {each.strip().removeprefix("W/") for each in given.split(",")}
        if known & {document.etag, "*"}:
            return Response(304, headers[1:], b"")
        if _GZIP.search(find(b"accept-encoding") or b""):
            return Response(200, [*headers, ("Content-Encoding", "gzip")], document.compressed)
        return Response(200, headers, document.content)


def json_headers(style: JsonStyle) -> list[tuple[str, str]]:
    """Return the headers of a JSON response."""
    charset = "; charset=utf-8" if style.mimetype.startswith("text/") else ""
    return [("Content-Type", style.mimetype + charset)]


def _describe(error: ErrorBody, protocol: RestProtocol, headers: Fields) -> Response:
    return Response(error.http, [*json_headers(protocol.style), *headers], write_json(error.body, protocol.style))
