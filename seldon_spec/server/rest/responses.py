"""The responses that need no model: errors, pages, OPTIONS and CORS. Used natively, by the Flask app and by WSGI."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

from seldon_spec.observability.request_context import Find
from seldon_spec.protocols.json_style import JsonStyle, write_json
from seldon_spec.protocols.route import ErrorBody, Page, RestProtocol
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
        protocols: the first one defines the format of errors outside of any protocol's paths.
        style: of JSON.
        title: of the OpenAPI document.

    Attributes:
        json_headers: the headers of a JSON response.
    """

    def __init__(self, protocols: tuple[RestProtocol, ...], style: JsonStyle, title: str) -> None:
        self._default = protocols[0]
        self._style = style
        self._documents = {each.name: write_json(each.build_openapi(title), style) for each in protocols}
        self._tags = {
            name: f'"{hashlib.sha1(document, usedforsecurity=False).hexdigest()}"'
            for name, document in self._documents.items()
        }
        text = "; charset=utf-8" if style.mimetype.startswith("text/") else ""
        self.json_headers = [("Content-Type", style.mimetype + text)]

    def error(self, error: BaseException, match: Match | None = None) -> Response:
        """Return the response to a request that failed, in the format of its protocol."""
        headers = find_by_class(STATUSES, type(error)).headers
        return self._describe(self._protocol(match).describe(error), headers)

    def http_error(self, status: int, text: str, headers: Fields = (), match: Match | None = None) -> Response:
        """Return the response to a request that failed by an error of HTTP itself."""
        return self._describe(self._protocol(match).describe_http(status, text), headers)

    def unmatched(self, match: Match, method: str) -> Response:
        """Return the response to a request that has no route: OPTIONS, an unknown path or a wrong method."""
        if match.resource is None:
            return self.http_error(404, _NOT_FOUND)
        allow = ("Allow", match.resource.allow)
        if method == "OPTIONS":
            return self.empty([allow])
        return self.http_error(405, _NOT_ALLOWED, [allow], match)

    def empty(self, headers: Fields = ()) -> Response:
        """Return the empty response to OPTIONS; the headers of CORS make it one to a preflight."""
        return Response(200, [("Content-Type", _HTML), *headers], b"")

    def probe(self, page: Page) -> Response:
        """Return the page of a probe that succeeded."""
        return Response(200, [("Content-Type", _HTML)], page.value.encode())

    def openapi(self, match: Match, if_none_match: str | None) -> Response:
        """Return the OpenAPI document of the protocol, or 304 if the client has it.

        Args:
            match: the route of the document.
            if_none_match: the header ``If-None-Match`` of the request.
        """
        assert match.route is not None
        name = self._protocol(match).name
        headers = [
            ("Cache-Control", "no-cache"),
            ("Content-Disposition", f"inline; filename={match.route.path.rpartition('/')[2]}"),
            ("ETag", self._tags[name]),
        ]
        known = {each.strip().removeprefix("W/") for each in (if_none_match or "").split(",")}
        if known & {self._tags[name], "*"}:
            return Response(304, headers, b"")
        return Response(200, [("Content-Type", "application/json"), *headers], self._documents[name])

    def _describe(self, error: ErrorBody, headers: Fields) -> Response:
        body = write_json(error.body, self._style)
        return Response(error.http, [*self.json_headers, *headers], body)

    def _protocol(self, match: Match | None) -> RestProtocol:
        return self._default if match is None or match.resource is None else match.resource.protocol
