"""Notes of requests: the id that a client is told and that logs and traces bear, from a request's head to its answer.

The transports take a note when a request is whole, hand it on with the call, and end it when they answer. Who looks at
notes, be it the access log or a tracer, they do not know.
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
from seldon_spec.inference.call import REQUEST_ID, BaseContext, Call

ID_HEADER = b"seldon-puid"
"""The header, or metadata, of answers that tells the request's id."""

_GONE: dict[str, int | str] = {"rest": 499, "grpc": "CANCELLED"}
"""The status of requests whose client did not wait for the answer, by transport."""

_ID_HEADERS = (ID_HEADER, b"x-request-id")

_SOUND_ID = re.compile(rb"[!-~]{1,128}")
_MAX_ROUTE = 256

Find: TypeAlias = Callable[[bytes], bytes | None]
"""The value of one of a request's headers; its name in lower case."""


class RequestContext(BaseContext):
    """What a transport has noted of one request.

    Attributes:
        transport: ``rest`` or ``grpc``.
        method: HTTP's.
        route: the path without its query; of gRPC, service and method.
        started: when the request was whole, by ``time.time_ns``.
        arrived: the same moment by ``time.perf_counter``.
    """

    __slots__ = ("arrived", "method", "route", "started", "transport")

    def __init__(self, id: str, transport: str, method: str, route: str, started: int, arrived: float) -> None:  # noqa: A002
        self.id = id
        self.trace = self.call = None
        self.transport = transport
        self.method = method
        self.route = route
        self.started = started
        self.arrived = arrived


class Tracer(Protocol):
    """Makes traces of requests; called on the event loop.

    Attributes:
        headers: the names of the headers that ``begin`` asks for, in lower case.
    """

    headers: tuple[bytes, ...]

    def begin(self, headers: Find, note: RequestContext) -> object:
        """A request begins.

        Returns:
            What becomes ``note.trace``.
        """

    def end(self, note: RequestContext, call: Call | None, status: int | str) -> None:
        """Its answer is known; called once.

        Args:
            note: what ``begin`` has had.
            call: None: none was made of the request, for it was refused, or answered without the model.
            status: HTTP's number or the name of gRPC's code.
        """


class AccessLog(Protocol):
    """Takes down each request that was answered."""

    def add(self, note: RequestContext, call: Call | None, status: int | str) -> None:
        """See ``Tracer.end``."""


class RequestLog:
    """Takes and ends the notes of one worker's requests.

    Args:
        log: ids are made for requests that bring none where each line of the log is to bear one.
        tracer: None: nothing is traced.
        access: None: there is no access log.

    Attributes:
        headers: the names of all headers that are looked at.
    """

    def __init__(self, log: LogSpec, tracer: Tracer | None = None, access: AccessLog | None = None) -> None:
        self._tracer = tracer
        self._access = access
        self._makes_ids = log.format is LogFormat.JSON or tracer is not None or access is not None
        self._prefix = secrets.token_hex(8)
        self._numbers = itertools.count(1)
        self.headers = frozenset(_ID_HEADERS if tracer is None else (*_ID_HEADERS, *tracer.headers))

    def plan(self, find: Find, transport: str, method: str, route: str) -> ContextFactory | None:
        """Decide how notes of requests with one head are taken.

        Args:
            find: gives the head's values.
            transport, method, route: see ``RequestContext``; a long route is cut.

        Returns:
            None if nobody asks for any.
        """
        return self.plan_brought(find, find_id(find), transport, method, route[:_MAX_ROUTE])

    def plan_brought(
        self, find: Find, brought: str | None, transport: str, method: str, route: str
    ) -> ContextFactory | None:
        """Do what ``plan`` does, given the ID that the head brings; None: it brings none."""
        if brought is None and not self._makes_ids:
            return None
        return ContextFactory(self, find, brought, transport, method, route)

    def begin(self, find: Find, note: RequestContext) -> RequestContext:
        """Tell whoever looks at notes of a new one."""
        if self._tracer is not None:
            note.trace = self._tracer.begin(find, note)
        return note

    def end(self, note: RequestContext, status: int | str) -> None:
        """The answer is known; to be called once, and before the answer is sent.

        Args:
            note: of the request.
            status: HTTP's number or the name of gRPC's code.
        """
        call, note.call = note.call, None  # a call knows its note as well: nothing is left to the garbage collector
        if self._access is not None:
            self._access.add(note, call, status)
        if self._tracer is not None:
            self._tracer.end(note, call, status)

    def abandon(self, note: RequestContext) -> None:
        """There will be no answer, for nobody waits for it any more."""
        self.end(note, _GONE[note.transport])

    def make_id(self) -> str:
        """An id of this worker's that no other request has."""
        return f"{self._prefix}-{next(self._numbers):x}"


class ContextFactory:
    """How notes of requests with one head are taken."""

    __slots__ = ("_brought", "_find", "_method", "_notes", "_route", "_transport")

    def __init__(
        self, notes: RequestLog, find: Find, brought: str | None, transport: str, method: str, route: str
    ) -> None:
        self._notes = notes
        self._find = find
        self._brought = brought
        self._transport = transport
        self._method = method
        self._route = route

    def take(self) -> RequestContext:
        """Take the note of a request that is whole now."""
        note = RequestContext(
            self._brought or self._notes.make_id(),
            self._transport,
            self._method,
            self._route,
            time.time_ns(),
            time.perf_counter(),
        )
        return self._notes.begin(self._find, note)

    def end(self, note: RequestContext, status: int | str) -> None:
        """See ``RequestLog``."""
        self._notes.end(note, status)

    def abandon(self, note: RequestContext) -> None:
        """See ``RequestLog``."""
        self._notes.abandon(note)


class VaryingContextFactory:
    """How notes are taken of requests whose heads differ only in the values of some headers.

    Args:
        notes: takes and ends them.
        find: gives the values of one of these heads.
        places: of the values that differ, by the names of their headers.
        transport, method, route: see ``RequestContext``; a long route is cut.
    """

    def __init__(
        self, notes: RequestLog, find: Find, places: Mapping[bytes, int], transport: str, method: str, route: str
    ) -> None:
        self._notes = notes
        self._find_constant = find
        self._places = places
        self._transport, self._method, self._route = transport, method, route[:_MAX_ROUTE]
        self._id_places: list[int] = []
        self._constant_id: str | None = None
        for header in _ID_HEADERS:
            place = places.get(header)
            if place is not None:
                self._id_places.append(place)
            else:
                self._constant_id = _read_id(find(header))
                if self._constant_id is not None:
                    break

    def plan(self, values: Sequence[bytes]) -> ContextFactory | None:
        """Do what ``RequestLog.plan`` does, for the head with these values."""
        brought = self._constant_id
        for place in self._id_places:
            varied = _read_id(values[place])
            if varied is not None:
                brought = varied
                break
        find = partial(self.find, values)
        return self._notes.plan_brought(find, brought, self._transport, self._method, self._route)

    def find(self, values: Sequence[bytes], name: bytes) -> bytes | None:
        """The value of a header of the head with these values."""
        place = self._places.get(name)
        return self._find_constant(name) if place is None else values[place]


def make_context(plan: ContextFactory | None) -> RequestContext | None:
    """The note of a request that is whole now, if anybody asks for one."""
    return None if plan is None else plan.take()


def find_id(find: Find) -> str | None:
    """The id that a request brings; None if it brings none, or one that is not fit to be repeated."""
    for header in _ID_HEADERS:
        found = _read_id(find(header))
        if found is not None:
            return found
    return None


def _read_id(raw: bytes | None) -> str | None:
    """The ID that the value of a header is; None if there is none, or one that is not fit to be repeated."""
    return None if raw is None or _SOUND_ID.fullmatch(raw) is None else raw.decode("ascii")


@contextmanager
def working_on(note: BaseContext | None) -> Iterator[None]:
    """A context in which what this thread logs bears the id of a request."""
    before = REQUEST_ID.set(None if note is None else note.id)
    try:
        yield
    finally:
        REQUEST_ID.reset(before)
