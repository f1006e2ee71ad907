"""The contexts of requests: the ID in responses, logs and traces, and what the access log and the tracer need.

A handler creates a context when a request is complete, passes it on with the call, and ends it with the response. It
does not depend on the access log or on the tracer.
"""

from __future__ import annotations

import itertools
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Protocol, TypeAlias

from seldon_spec.config.model import LogFormat, LogSpec
from seldon_spec.inference.call import WORKED_ON, BaseContext, Call

ID_HEADER = b"seldon-puid"
"""The header, or metadata key, of the request's ID in responses."""

_GONE: dict[str, int | str] = {"rest": 499, "grpc": "CANCELLED"}
"""The status of requests that the client cancelled, by transport."""

SOUND_ID = re.compile(rb"[!-~]{1,128}")
"""The IDs of clients that are used; others are ignored."""

ID_HEADERS = (ID_HEADER, b"x-request-id")
"""The headers with a request's ID; the first valid one counts."""

_MAX_ROUTE = 256

Find: TypeAlias = Callable[[bytes], bytes | None]
"""Returns the value of one of a request's headers; the argument is its name in lower case."""


class RequestContext(BaseContext):
    """What logs and traces use of one request.

    Args:
        factory: the factory that created it.
        id: see ``BaseContext``.
        encoded_id: the ID as the transport encodes it, if ``id`` is empty.

    Attributes:
        started: when the request was complete, by ``time.time_ns``; set if the request is logged or traced.
        arrived: the same moment by ``time.perf_counter``.
    """

    __slots__ = ("arrived", "encoded_id", "factory", "started")

    started: int
    arrived: float

    def __init__(self, factory: ContextFactory, id: str, encoded_id: bytes) -> None:  # noqa: A002
        self.factory = factory
        self._id = id
        self.encoded_id = encoded_id
        self.trace = self.call = None

    @property
    def id(self) -> str:
        """The request's ID, decoded when it is first read: most IDs are only sent back."""
        if not self._id:
            self._id = self.factory.decode_id(self.encoded_id).decode("ascii")
        return self._id

    def find_header(self, name: bytes) -> bytes | None:
        return self.factory.find_header(name)


class Tracer(Protocol):
    """Traces requests; called on the event loop.

    Attributes:
        headers: the names of the headers that ``begin`` reads, in lower case.
    """

    headers: tuple[bytes, ...]

    def begin(self, headers: Find, request: RequestContext) -> object:
        """Start the trace of a request.

        Returns:
            The value of the context's ``trace``.
        """

    def end(self, request: RequestContext, call: Call | None, status: int | str) -> None:
        """End the trace of a request; called once.

        Args:
            request: the argument of ``begin``.
            call: None: the request was rejected, or its response did not need the model.
            status: the HTTP status code, or the name of the gRPC code.
        """


class AccessLog(Protocol):
    """Logs each finished request."""

    def add(self, context: RequestContext, call: Call | None, status: int | str) -> None:
        """Log a request; the arguments are those of ``Tracer.end``."""


class RequestLog:
    """Creates and ends the contexts of one worker's requests.

    Args:
        log: in JSON format, each request gets an ID.
        tracer: None: nothing is traced.
        access: None: there is no access log.
        kept_headers: the names, in lower case, of the headers that the component reads from the context of each
            request; None: it needs no contexts.

    Attributes:
        kept_headers: empty if the argument is None.
        text_headers: the names of the headers that the tracer and the component read.
        headers: the names of all headers that are read.
        is_observed: requests are logged or traced.
    """

    def __init__(
        self,
        log: LogSpec,
        tracer: Tracer | None = None,
        access: AccessLog | None = None,
        kept_headers: frozenset[bytes] | None = None,
    ) -> None:
        self._tracer = tracer
        self._access = access
        self.is_observed = tracer is not None or access is not None
        self._makes_ids = log.format is LogFormat.JSON or self.is_observed or kept_headers is not None
        self._prefix = secrets.token_hex(8)
        self._numbers = itertools.count(1)
        self.kept_headers = kept_headers or frozenset()
        self.text_headers = self.kept_headers.union(() if tracer is None else tracer.headers)
        self.headers = self.text_headers.union(ID_HEADERS)

    def plan(self, find: Find, transport: str, method: str, route: str) -> ContextFactory | None:
        """Return the factory of contexts for requests with one head.

        Args:
            find: reads the head's values.
            transport, method, route: see ``ContextFactory``; a long route is truncated.

        Returns:
            None if these requests need no context.
        """
        return self.plan_brought(find, find_id(find), transport, method, route[:_MAX_ROUTE])

    def plan_brought(
        self, find: Find, brought: str | None, transport: str, method: str, route: str
    ) -> ContextFactory | None:
        """Do what ``plan`` does, given the ID in the head; None: it has none."""
        if brought is None and not self._makes_ids:
            return None
        return ContextFactory(self, find, brought, transport, method, route)

    def begin(self, find: Find, context: RequestContext) -> RequestContext:
        """Record that the request is complete, and start its trace."""
        context.started, context.arrived = time.time_ns(), time.perf_counter()
        if self._tracer is not None:
            context.trace = self._tracer.begin(find, context)
        return context

    def end(self, context: RequestContext, status: int | str) -> None:
        """Log a request and end its trace; to be called once, before the response is sent.

        Args:
            context: of the request.
            status: the HTTP status code, or the name of the gRPC code.
        """
        call, context.call = context.call, None  # break the reference cycle of call and context
        if self._access is not None:
            self._access.add(context, call, status)
        if self._tracer is not None:
            self._tracer.end(context, call, status)

    def abandon(self, context: RequestContext) -> None:
        """End the context of a request that the client cancelled."""
        self.end(context, _GONE[context.factory.transport])

    def make_id(self) -> str:
        """Return a new unique ID."""
        return f"{self._prefix}-{next(self._numbers):x}"


class ContextFactory:
    """Creates the contexts of requests with one head.

    Args:
        request_log, find, brought, transport, method, route: see ``RequestLog.plan_brought``.
        decode_id: decodes the argument of ``take``.

    Attributes:
        transport: ``rest`` or ``grpc``.
        method: the HTTP method.
        route: the path without its query; of gRPC, service and method.
    """

    __slots__ = ("_brought", "_find", "_is_observed", "_request_log", "decode_id", "method", "route", "transport")

    def __init__(
        self,
        request_log: RequestLog,
        find: Find,
        brought: str | None,
        transport: str,
        method: str,
        route: str,
        decode_id: Callable[[bytes], bytes] = bytes,
    ) -> None:
        self._request_log = request_log
        self.decode_id = decode_id
        self._find = find
        self._brought = brought
        self._is_observed = request_log.is_observed
        self.transport = transport
        self.method = method
        self.route = route

    def take(self, encoded_id: bytes = b"") -> RequestContext:
        """Return the context of a request that is complete now.

        Args:
            encoded_id: takes precedence over the ID in the head; see ``RequestContext``.
        """
        context = RequestContext(self, "" if encoded_id else self._brought or self._request_log.make_id(), encoded_id)
        return self._request_log.begin(self._find, context) if self._is_observed else context

    def find_header(self, name: bytes) -> bytes | None:
        """Do what ``BaseContext.find_header`` does."""
        return self._find(name) if name in self._request_log.kept_headers else None

    def end(self, context: RequestContext, status: int | str) -> None:
        """Do what ``RequestLog.end`` does."""
        if self._is_observed:
            self._request_log.end(context, status)
        else:
            context.call = None

    def abandon(self, context: RequestContext) -> None:
        """Do what ``RequestLog.abandon`` does."""
        self._request_log.abandon(context)


class VaryingContextFactory:
    """Creates the contexts of requests whose heads differ only in the values of some headers.

    ``plan`` is for values as text; ``plan_encoded`` is for IDs as the transport encodes them, none of which is among
    the ``text_headers`` of the log.

    Args:
        request_log: ends the contexts.
        find: reads the values of one of these heads.
        places: the indexes of the values that differ, by the names of their headers.
        transport, method, route, decode_id: see ``ContextFactory``; a long route is truncated.
    """

    def __init__(
        self,
        request_log: RequestLog,
        find: Find,
        places: Mapping[bytes, int],
        transport: str,
        method: str,
        route: str,
        decode_id: Callable[[bytes], bytes] = bytes,
    ) -> None:
        self._request_log = request_log
        self._find_constant = find
        self._places = places
        self._transport, self._method, self._route = transport, method, route[:_MAX_ROUTE]
        self._id_places: list[int] = []
        self._constant_id: str | None = None
        for header in ID_HEADERS:
            place = places.get(header)
            if place is not None:
                self._id_places.append(place)
            else:
                self._constant_id = _read_id(find(header))
                if self._constant_id is not None:
                    break
        self._has_own_headers = not places.keys().isdisjoint(request_log.text_headers)
        self._decode_id = decode_id
        self._with_encoded_id = self._plan_encoded(find)
        self._with_constant_id = request_log.plan_brought(find, self._constant_id, transport, method, self._route)

    def plan(self, values: Sequence[bytes]) -> ContextFactory | None:
        """Do what ``RequestLog.plan`` does, for the head with these values."""
        brought = self._constant_id
        for place in self._id_places:
            varied = _read_id(values[place])
            if varied is not None:
                brought = varied
                break
        find = partial(self.find, values)
        return self._request_log.plan_brought(find, brought, self._transport, self._method, self._route)

    def plan_encoded(self, values: Sequence[bytes]) -> tuple[ContextFactory | None, bytes]:
        """Do what ``plan`` does.

        Returns:
            The factory, and the argument of its ``take``: the encoded ID, if the head has one that varies.
        """
        factory, encoded_id = self._with_constant_id, b""
        for place in self._id_places:
            if values[place]:
                factory, encoded_id = self._with_encoded_id, values[place]
                break
        if self._has_own_headers and factory is not None:
            factory = self._plan_encoded(partial(self.find, values))
        return factory, encoded_id

    def _plan_encoded(self, find: Find) -> ContextFactory:
        return ContextFactory(
            self._request_log, find, self._constant_id, self._transport, self._method, self._route, self._decode_id
        )

    def find(self, values: Sequence[bytes], name: bytes) -> bytes | None:
        """Return the value of a header of the head with these values."""
        place = self._places.get(name)
        return self._find_constant(name) if place is None else values[place]


def make_context(factory: ContextFactory | None) -> RequestContext | None:
    """Return the context of a request that is complete now; None if it needs none."""
    return None if factory is None else factory.take()


def find_id(find: Find) -> str | None:
    """Return the ID in a request's headers; None if there is no valid one."""
    for header in ID_HEADERS:
        found = _read_id(find(header))
        if found is not None:
            return found
    return None


def _read_id(raw: bytes | None) -> str | None:
    """Return the value of an ID header; None if it is missing or invalid."""
    return None if raw is None or SOUND_ID.fullmatch(raw) is None else raw.decode("ascii")


@contextmanager
def working_on(context: BaseContext | None) -> Iterator[None]:
    """Add the ID of a request to what this thread logs."""
    before = WORKED_ON.set(context)
    try:
        yield
    finally:
        WORKED_ON.reset(before)
