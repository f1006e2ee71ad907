"""What a REST protocol consists of: its route table, its codec, and its error format.

Every handler of a route reads the table: the native handlers, the Flask app, ``make_app``, tracing and OpenAPI.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any, NamedTuple, Protocol, TypeAlias

from seldon_spec.inference.dispatcher import Dispatcher
from seldon_spec.inference.message import Operation
from seldon_spec.inference.request import Codec
from seldon_spec.protocols.json_style import JsonStyle

JSON = "application/json"
ANY_JSON = "application/*+json"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
ANY = "*/*"


Body: TypeAlias = bytes | bytearray | memoryview


class Page(Enum):
    """A response that the server creates without calling the component, the same in every state but READY."""

    LIVE = "live"
    READY = "ready"
    PING = "pong"


class Document:
    """A response that is the same for every request, such as a page or a description of the API.

    Args:
        make: returns the content; called once, for the first request.
        media_type: the header ``Content-Type``.
        headers: further headers.
    """

    def __init__(self, make: Callable[[], bytes], media_type: str, headers: Iterable[tuple[str, str]] = ()) -> None:
        self._make = make
        self.headers = (("Content-Type", media_type), ("Cache-Control", "no-cache"), *headers)

    @cached_property
    def content(self) -> bytes:
        """The body."""
        return self._make()

    @cached_property
    def compressed(self) -> bytes:
        """The body with the content coding gzip; every process makes the same bytes."""
        return gzip.compress(self.content, mtime=0)

    @cached_property
    def etag(self) -> str:
        """The tag of the header ``ETag``; a weak one (RFC 9110, section 8.8.1), since both codings share it."""
        return f'"{hashlib.sha1(self.content, usedforsecurity=False).hexdigest()}"'


StatePage: TypeAlias = Callable[[Dispatcher, Mapping[str, str], Body], tuple[int, Any]]
"""Returns the HTTP status and the JSON body of a page that shows the state of the server; called on the event loop.

Takes the dispatcher, the parameters of the path, and the request's body. Raises ``SeldonSpecError``.
"""


@dataclass(frozen=True, slots=True)
class Route:
    """One path of a protocol.

    Attributes:
        name: identifies the route, for example as the endpoint of Flask; a name has one set of methods.
        path: a segment ``{name}`` matches any text without a slash, percent-decoded.
        methods: the HTTP methods; GET implies HEAD, and every path accepts OPTIONS.
        operation: the operation of the component to call; None: the route serves a page.
        component: the component of a graph that is called alone; None: the whole graph.
        page: the page to serve, if it is one of ``Page``.
        state_page: the page to serve, if it is another one.
        document: the document to serve, if it is one.
        public_document: what requests without a valid token get instead; None: they need one.
        media_types: of the request body; empty: the body is not read. With ``FORM``, the message can also be in the
            form field or the query parameter ``json``; with ``ANY``, the Content-Type is not checked.
        is_probe: whether it is served while the model is busy, without a token, a log line or a place in the queue.
        summary: of the route in the OpenAPI document; empty: the document does not list the route.
    """

    name: str
    path: str
    methods: tuple[str, ...]
    operation: Operation | None = None
    component: str | None = None
    page: Page | None = None
    state_page: StatePage | None = None
    document: Document | None = None
    public_document: Document | None = None
    media_types: tuple[str, ...] = ()
    is_probe: bool = False
    summary: str = ""


class ErrorBody(Protocol):
    """An error in a protocol's format."""

    @property
    def http(self) -> int:
        """The HTTP status."""

    @property
    def body(self) -> Mapping[str, Any]:
        """The JSON body; the order of its keys is visible if keys are not sorted."""


class RequestInfo(NamedTuple):
    """What a protocol may read of a request's head.

    Attributes:
        find: returns the first value of a header, by its name in lower case.
        list_headers: returns all headers, with names in lower case.
        parameters: of the path.
    """

    find: Callable[[bytes], bytes | None]
    list_headers: Callable[[], Iterable[tuple[bytes, bytes]]]
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RestProtocol:
    """A REST protocol.

    Attributes:
        name: as the documentation calls it.
        routes: the route table.
        style: of its JSON pages and errors.
        make_codec: returns the codec of a route with an operation.
        describe: returns the body of an error.
        describe_http: returns the body of an error of HTTP itself, such as an unknown path, from its status and text.
        prefix: the first segment of all of its paths, with a slash before it; it defines the format of errors below it.
            Empty: of all other paths.
        bind_codec: returns the codec of requests with one head, given that of the route. It replaces the check of the
            Content-Type and the search for the message. Raises ``RequestError``.
        ignored_headers: headers that ``bind_codec`` does not read.
        waits_for_model: whether requests that arrive before the model is loaded wait for it; otherwise they fail.
    """

    name: str
    routes: tuple[Route, ...]
    style: JsonStyle
    make_codec: Callable[[Route], Codec]
    describe: Callable[[BaseException], ErrorBody]
    describe_http: Callable[[int, str], ErrorBody]
    prefix: str = ""
    bind_codec: Callable[[Codec, RequestInfo], Codec] | None = None
    ignored_headers: frozenset[bytes] = frozenset()
    waits_for_model: bool = True
