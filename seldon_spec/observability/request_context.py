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
from seldon_spec.inference.call import WORKED_ON, BaseContext, Call

ID_HEADER = b"seldon-puid"
"""The header, or metadata, of answers that tells the request's id."""

_GONE: dict[str, int | str] = {"rest": 499, "grpc": "CANCELLED"}
"""The status of requests whose client did not wait for the answer, by transport."""

SOUND_ID = re.compile(rb"[!-~]{1,128}")
"""What the ID of a request may be, if it is to be repeated."""

ID_HEADERS = (ID_HEADER, b"x-request-id")
"""The headers that may bring a request's ID; the first one that is sound counts."""

_MAX_ROUTE = 256

Find: TypeAlias = Callable[[bytes], bytes | None]
"""The value of one of a request's headers; its name in lower case."""


class RequestContext(BaseContext):
    """What a transport has noted of one request.

    Args:
        plan: how it was taken.
        id: see ``BaseContext``.
        encoded_id: the ID as the transport encodes it, where ``id`` is empty.

    Attributes:
        started: when the request was whole, by ``time.time_ns``; set if the request is logged or traced.
        arrived: the same moment by ``time.perf_counter``.
    """

    __slots__ = ("arrived", "encoded_id", "plan", "started")

    started: int
    arrived: float

    def __init__(self, plan: ContextFactory, id: str, encoded_id: bytes) -> None:  # noqa: A002
        self.plan = plan
        self._id = id
        self.encoded_id = encoded_id
        self.trace = self.call = None

    @property
    def id(self) -> str:
        """The request's ID, decoded when it is first read: most are only sent back."""
        if not self._id:
            self._id = self.plan.decode_id(self.encoded_id).decode("ascii")
        return self._id


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
        tracer_headers: the names of the headers that the tracer asks for.
        headers: the names of all headers that are looked at.
        is_observed: requests are logged or traced.
    """

    def __init__(self, log: LogSpec, tracer: Tracer | None = None, access: AccessLog | None = None) -> None:
        self._tracer = tracer
        self._access = access
        self.is_observed = tracer is not None or access is not None
        self._makes_ids = log.format is LogFormat.JSON or self.is_observed
        self._prefix = secrets.token_hex(8)
        self._numbers = itertools.count(1)
        self.tracer_headers: Sequence[bytes] = () if tracer is None else tracer.headers
        self.headers = frozenset((*ID_HEADERS, *self.tracer_headers))

    def plan(self, find: Find, transport: str, method: str, route: str) -> ContextFactory | None:
        """Decide how notes of requests with one head are taken.

        Args:
            find: gives the head's values.
            transport, method, route: see ``ContextFactory``; a long route is cut.

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
        """Note when the request was whole, and begin its trace."""
        note.started, note.arrived = time.time_ns(), time.perf_counter()
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
        self.end(note, _GONE[note.plan.transport])

    def make_id(self) -> str:
        """An id of this worker's that no other request has."""
        return f"{self._prefix}-{next(self._numbers):x}"


class ContextFactory:
    """How notes of requests with one head are taken.

    Args:
        notes, find, brought, transport, method, route: see ``RequestLog.plan_brought``.
        decode_id: decodes the IDs that ``take`` is given.

    Attributes:
        transport: ``rest`` or ``grpc``.
        method: HTTP's.
        route: the path without its query; of gRPC, service and method.
    """

    __slots__ = ("_brought", "_find", "_is_observed", "_notes", "decode_id", "method", "route", "transport")

    def __init__(
        self,
        notes: RequestLog,
        find: Find,
        brought: str | None,
        transport: str,
        method: str,
        route: str,
        decode_id: Callable[[bytes], bytes] = bytes,
    ) -> None:
        self._notes = notes
        self.decode_id = decode_id
        self._find = find
        self._brought = brought
        self._is_observed = notes.is_observed
        self.transport = transport
        self.method = method
        self.route = route

    def take(self, encoded_id: bytes = b"") -> RequestContext:
        """Take the note of a request that is whole now.

        Args:
            encoded_id: takes precedence over the ID that the head brings; see ``RequestContext``.
        """
        note = RequestContext(self, "" if encoded_id else self._brought or self._notes.make_id(), encoded_id)
        return self._notes.begin(self._find, note) if self._is_observed else note

    def end(self, note: RequestContext, status: int | str) -> None:
        """See ``RequestLog``."""
        if self._is_observed:
            self._notes.end(note, status)
        else:
            note.call = None

    def abandon(self, note: RequestContext) -> None:
        """See ``RequestLog``."""
        self._notes.abandon(note)


class VaryingContextFactory:
    """How notes are taken of requests whose heads differ only in the values of some headers.

    ``plan`` is for values as text; ``plan_encoded`` is for IDs as the transport encodes them.

    Args:
        notes: takes and ends them.
        find: gives the values of one of these heads.
        places: of the values that differ, by the names of their headers.
        transport, method, route, decode_id: see ``ContextFactory``; a long route is cut.
    """

    def __init__(
        self,
        notes: RequestLog,
        find: Find,
        places: Mapping[bytes, int],
        transport: str,
        method: str,
        route: str,
        decode_id: Callable[[bytes], bytes] = bytes,
    ) -> None:
        self._notes = notes
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
        self._is_traced = not places.keys().isdisjoint(notes.tracer_headers)
        self._decode_id = decode_id
        self._noted = self._plan_encoded(find)
        self._unnamed = notes.plan_brought(find, self._constant_id, transport, method, self._route)

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

    def plan_encoded(self, values: Sequence[bytes]) -> tuple[ContextFactory | None, bytes]:
        """Do what ``plan`` does.

        Returns:
            The factory, and for its ``take`` the encoded ID, if the head brings one that varies.
        """
        plan, encoded_id = self._unnamed, b""
        for place in self._id_places:
            if values[place]:
                plan, encoded_id = self._noted, values[place]
                break
        if self._is_traced and plan is not None:
            plan = self._plan_encoded(partial(self.find, values))
        return plan, encoded_id

    def _plan_encoded(self, find: Find) -> ContextFactory:
        return ContextFactory(
            self._notes, find, self._constant_id, self._transport, self._method, self._route, self._decode_id
        )

    def find(self, values: Sequence[bytes], name: bytes) -> bytes | None:
        """The value of a header of the head with these values."""
        place = self._places.get(name)
        return self._find_constant(name) if place is None else values[place]


def make_context(plan: ContextFactory | None) -> RequestContext | None:
    """The note of a request that is whole now, if anybody asks for one."""
    return None if plan is None else plan.take()


def find_id(find: Find) -> str | None:
    """The id that a request brings; None if it brings none, or one that is not fit to be repeated."""
    for header in ID_HEADERS:
        found = _read_id(find(header))
        if found is not None:
            return found
    return None


def _read_id(raw: bytes | None) -> str | None:
    """The ID that the value of a header is; None if there is none, or one that is not fit to be repeated."""
    return None if raw is None or SOUND_ID.fullmatch(raw) is None else raw.decode("ascii")


@contextmanager
def working_on(note: BaseContext | None) -> Iterator[None]:
    """A context in which what this thread logs bears the id of a request."""
    before = WORKED_ON.set(note)
    try:
        yield
    finally:
        WORKED_ON.reset(before)
