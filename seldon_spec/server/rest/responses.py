"""The responses that need no model: errors, pages, OPTIONS and CORS. Used natively, by the Flask app and by WSGI."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from seldon_spec.errors import SeldonSpecError
from seldon_spec.inference.dispatcher import Dispatcher
from seldon_spec.observability.request_context import Find
from seldon_spec.protocols.json_style import JsonStyle, write_json
from seldon_spec.protocols.route import Body, ErrorBody, Page, RestProtocol, StatePage
from seldon_spec.protocols.status import STATUSES, find_by_class
from seldon_spec.server.rest.router import Match

_HTML = "text/html; charset=utf-8"  # required by the contract for /health/ping
_NOT_FOUND = (
    "404 Not Found: The requested URL was not found on the server. If you entered the URL manually please check your"
    " spelling and try again."
)
_NOT_ALLOWED = "405 Method Not Allowed: The method is not allowed for the requested URL."

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
        title: of the OpenAPI document.
    """

    def __init__(self, protocols: Sequence[RestProtocol], title: str) -> None:
        self._default = protocols[0]
        self._documents = {
            each.name: write_json(each.build_openapi(title), each.style)
            for each in protocols
            if each.build_openapi is not None
        }
        self._tags = {
            name: f'"{hashlib.sha1(document, usedforsecurity=False).hexdigest()}"'
            for name, document in self._documents.items()
        }

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

    def openapi(self, match: Match, if_none_match: str | None) -> Response:
        """Return the OpenAPI document of the protocol, or 304 if the client has it.

        Args:
            match: the route of the document.
            if_none_match: the header ``If-None-Match`` of the request.
        """
        assert match.route is not None
        name = match.protocol.name
        headers = [
            ("Cache-Control", "no-cache"),
            ("Content-Disposition", f"inline; filename={match.route.path.rpartition('/')[2]}"),
            ("ETag", self._tags[name]),
        ]
        known = {each.strip().removeprefix("W/") for each in (if_none_match or "").split(",")}
        if known & {self._tags[name], "*"}:
            return Response(304, headers, b"")
        return Response(200, [("Content-Type", "application/json"), *headers], self._documents[name])


def json_headers(style: JsonStyle) -> list[tuple[str, str]]:
    """Return the headers of a JSON response."""
    charset = "; charset=utf-8" if style.mimetype.startswith("text/") else ""
    return [("Content-Type", style.mimetype + charset)]


def _describe(error: ErrorBody, protocol: RestProtocol, headers: Fields) -> Response:
    return Response(error.http, [*json_headers(protocol.style), *headers], write_json(error.body, protocol.style))
