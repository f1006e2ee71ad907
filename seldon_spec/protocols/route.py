"""What a REST protocol consists of: its route table, its codec, its error format and its OpenAPI document.

Every handler of a route reads the table: the native handlers, the Flask app, ``make_app``, tracing and OpenAPI.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from seldon_spec.inference.message import Codec, Operation
from seldon_spec.protocols.json_style import JsonStyle

JSON = "application/json"
ANY_JSON = "application/*+json"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
ANY = "*/*"


class Page(Enum):
    """A response that the server creates without calling the component."""

    LIVE = "live"
    READY = "ready"
    PING = "pong"
    OPENAPI = "openapi"


PROBES = frozenset({Page.LIVE, Page.READY, Page.PING})
"""The pages that are served while the model is busy, without a token, a log line or a place in the queue."""


@dataclass(frozen=True, slots=True)
class Route:
    """One path of a protocol.

    Attributes:
        name: identifies the route, for example as the endpoint of Flask; a name has one set of methods.
        path: a segment ``{name}`` matches any text without a slash, percent-decoded.
        methods: the HTTP methods; GET implies HEAD, and every path accepts OPTIONS.
        operation: the operation of the component to call; None: the route serves a page.
        page: the page to serve; None: the route calls an operation.
        media_types: of the request body; empty: the body is not read. With ``FORM``, the message can also be in the
            form field or the query parameter ``json``; with ``ANY``, the Content-Type is not checked.
        needs_token: whether a request needs a token if ``server.auth`` is set.
        summary: of the route in the OpenAPI document; empty: the document does not list the route.
    """

    name: str
    path: str
    methods: tuple[str, ...]
    operation: Operation | None = None
    page: Page | None = None
    media_types: tuple[str, ...] = ()
    needs_token: bool = True
    summary: str = ""


class ErrorBody(Protocol):
    """An error in a protocol's format."""

    @property
    def http(self) -> int:
        """The HTTP status."""

    @property
    def body(self) -> Mapping[str, Any]:
        """The JSON body; the order of its keys is visible if keys are not sorted."""


@dataclass(frozen=True, slots=True)
class RestProtocol:
    """A REST protocol.

    Attributes:
        name: as the documentation calls it.
        routes: the route table.
        make_codec: returns the codec of a route with an operation.
        describe: returns the body of an error.
        describe_http: returns the body of an error of HTTP itself, such as an unknown path, from its status and text.
        build_openapi: returns the OpenAPI document, from its title.
    """

    name: str
    routes: tuple[Route, ...]
    make_codec: Callable[[Route, JsonStyle], Codec]
    describe: Callable[[BaseException], ErrorBody]
    describe_http: Callable[[int, str], ErrorBody]
    build_openapi: Callable[[str], Mapping[str, Any]]
