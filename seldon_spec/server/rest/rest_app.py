"""The REST port: the short way for messages and probes, and Flask for everything else.

A message that is posted as plain JSON goes from its transport to the model threads as it is. It takes the way through
Flask wherever the answer could be another one there: for other media types, query strings and encodings, and always if
the user's class brings handlers of its own or a setting of Flask's decides on requests. Both ways give the same bytes.
"""

from __future__ import annotations

import asyncio
import logging
import re
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache, partial
from typing import Any, Protocol

from seldon_spec.config.model import FlaskSpec, Spec
from seldon_spec.errors import NotServing, Overloaded, SeldonSpecError
from seldon_spec.inference.call import WORKED_ON
from seldon_spec.inference.dispatcher import Dispatcher
from seldon_spec.inference.message import Codec, Operation
from seldon_spec.observability.request_context import (
    ID_HEADER,
    ContextFactory,
    RequestContext,
    RequestLog,
    VaryingContextFactory,
    make_context,
    working_on,
)
from seldon_spec.protocols.json_style import JsonStyle
from seldon_spec.protocols.seldon_v1.errors import describe
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec, PassthroughCodec
from seldon_spec.protocols.seldon_v1.routes import (
    FAILURE_HEADERS,
    PING,
    POSTED,
    PROBE_TYPE,
    PROBES,
    cors_headers,
    failure_answer,
    preflight_headers,
)
from seldon_spec.server.auth import TokenAuth
from seldon_spec.server.bridge import ExecutorBridge, PendingCall, call_on_loop, late
from seldon_spec.server.rest.wsgi import WAITER, Waiter, WsgiApp, WsgiResponse, make_environ, run_app
from seldon_spec.transport.http1.messages import RequestCycle, RequestHandler, RequestHead, ResponseHead

logger = logging.getLogger(__name__)

_MODEL_THREADS = 64
_PROBE_THREADS = 4

_JSON_TYPE = re.compile(
    rb"application/json[ \t]*(;(?!.*charset[ \t]*=[ \t\"]*(?!utf[-_]?(8|16|32))).*)?\Z", re.IGNORECASE
)
_PLAIN_HOST = re.compile(rb"[A-Za-z0-9._:\[\]-]*\Z")


class RestApp:
    """Answers the requests of the REST port; belongs to the running event loop.

    Args:
        dispatcher: says whether the server is ready.
        lane: the way to the model threads.
        notes: takes and ends the requests' notes; probes have none.
        spec: its bounds and its ``flask`` section are used.
        make_app: makes the Flask app, when a request needs it for the first time; in any thread.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        lane: ExecutorBridge,
        notes: RequestLog,
        spec: Spec,
        make_app: Callable[[], WsgiApp],
    ) -> None:
        self._dispatcher = dispatcher
        self._notes = notes
        self._make_app = make_app
        self._app: WsgiApp | None = None
        self._app_lock = threading.Lock()
        self._pools = (
            ThreadPoolExecutor(_MODEL_THREADS, "seldon-spec-rest"),
            ThreadPoolExecutor(_PROBE_THREADS, "seldon-spec-probe"),
        )
        self._places: dict[_Place, None] = {}
        self._has_begun = self._is_aborted = False
        self._style = JsonStyle.from_flask(spec.flask)
        self._is_passthrough = spec.unit.is_passthrough
        self._json, self._passing = JsonCodec(self._style), PassthroughCodec(self._style)
        self._guard = TokenAuth(spec.server.auth)
        self.lane = lane
        self.timeout_seconds = spec.server.request_timeout_seconds
        self.max_body_bytes = spec.server.max_body_bytes
        self.is_plain = _is_unseen(spec.flask)
        self.is_open = False

    def plan(self, head: RequestHead) -> RequestHandler:
        """Choose the way of the requests with this head.

        Raises:
            Unauthenticated: they need a token and have none that is valid.
        """
        if self._guard.is_preflight(head.method, head.find):
            return _Preflight(head)
        self._guard.check_rest(head.path, head.find)
        if self.is_probe(head):
            return _Probe(self, head)
        operation = POSTED.get(head.path) if head.method == "POST" else None
        if operation is not None and _is_plain_json(head):
            codec = self._passing if self._is_passthrough and operation is Operation.PREDICT else self._json
            return _NativeHandler(self, operation, codec, self._answer_head(200, head), self._plan_notes(head))
        return _FlaskHandler(self, self._plan_notes(head))

    def vary(
        self, head: RequestHead, names: Sequence[bytes]
    ) -> Callable[[RequestHead, Sequence[bytes]], RequestHandler]:
        """See ``HttpApp``: all that depends on other headers than the fixed ones are the token and the notes."""
        plan = head.plan
        has_token = b"authorization" in names and self._guard.is_closed and not isinstance(plan, _Preflight)
        noted = plan if isinstance(plan, (_NativeHandler, _FlaskHandler)) and head.path not in PROBES else None
        if noted is None or self._notes.headers.isdisjoint(names):
            if not has_token:
                return lambda _head, _values: plan
            noted = None
        places = {name: place for place, name in enumerate(names)}
        notes = VaryingContextFactory(self._notes, head.finder(), places, "rest", head.method, _read_path(head.path))

        def plan_varied(head: RequestHead, values: Sequence[bytes]) -> RequestHandler:
            if has_token:
                self._guard.check_rest(head.path, head.find)
            return plan if noted is None else noted.with_notes(notes.plan(values))

        return plan_varied

    def is_probe(self, head: RequestHead) -> bool:
        """See ``HttpApp``."""
        return head.method == "GET" and head.path in PROBES and not head.query

    def begin(self, component: Any) -> None:
        """The component is built: answer what has waited for it, and everything that comes.

        Args:
            component: what it brings of Flask's decides whether there is a short way.
        """
        self._has_begun = True
        if component.error_blueprint is not None:
            self.is_plain = False
            self._app = None  # the next one knows the class's handlers
        self.is_plain = self.is_plain and not _has_listeners()
        self.is_open = self.is_plain and not component.uses_flask
        for place in list(self._places):
            place.resume()

    def abort(self) -> None:
        """There will be no component; what waits for it, and what still comes, gets no answer."""
        self._is_aborted, self.is_open = True, False
        for place in list(self._places):
            place.leave()

    def close(self) -> None:
        """Let the threads go; does not wait for them."""
        for pool in self._pools:
            pool.shutdown(wait=False, cancel_futures=True)

    def begin_when_built(self, plan: _Resumable, exchange: RequestCycle, notes: ContextFactory | None) -> None:
        """Handle a request now if the component is built, else as soon as it is."""
        if self._is_aborted:
            return
        note = make_context(notes)
        if self._has_begun:
            plan.resume(exchange, note, 0.0)
            return
        try:
            self._places[_Place(self, plan, exchange, note, is_bounded=not isinstance(plan, _Probe))] = None
        except Overloaded as error:
            exchange.answer(*self.fail(error, exchange.head, note))

    def drop(self, place: _Place) -> None:
        """The request does not wait for the component any more."""
        self._places.pop(place, None)

    def detour(
        self, exchange: RequestCycle, note: RequestContext | None, waited_seconds: float, *, is_probe: bool = False
    ) -> None:
        """Have Flask answer, in a thread of its own."""
        try:
            _FlaskRequest(self, self._pools[is_probe], exchange, note, waited_seconds, is_counted=not is_probe)
        except Overloaded as error:
            exchange.answer(*self.fail(error, exchange.head, note))

    def probe(self, path: str, exchange: RequestCycle) -> None:
        """Answer a probe."""
        if self._is_aborted:
            return
        if not self.is_plain:
            self.detour(exchange, None, 0.0, is_probe=True)
        elif path == "/ready" and not self._dispatcher.is_ready:
            exchange.answer(*self.fail(NotServing(self._dispatcher.describe_state()), exchange.head, None))
        else:
            exchange.answer(_make_head(200, PROBE_TYPE, exchange.head), PROBES[path].encode())

    def fail(self, error: BaseException, head: RequestHead, note: RequestContext | None) -> tuple[ResponseHead, bytes]:
        """The answer that tells of an error."""
        if not isinstance(error, SeldonSpecError):
            with working_on(note):
                logger.error("unexpected: %s", error, exc_info=error)
        status, _, body = failure_answer(describe(error), self._style)
        return self.end(note, self._answer_head(status, head, FAILURE_HEADERS.get(type(error), ()))), body

    def refuse(self, error: BaseException, head: RequestHead | None) -> tuple[ResponseHead, bytes]:
        """The answer to what is not even a request, or none that is read."""
        status, _, body = failure_answer(describe(error), self._style)
        answer = self._answer_head(status, head, FAILURE_HEADERS.get(type(error), ()))
        return self.end(None if head is None else make_context(self._plan_notes(head)), answer), body

    def status_head(self, status: int, head: RequestHead) -> ResponseHead:
        """The head of an answer whose status the class has chosen."""
        return self._answer_head(status, head)

    def end(self, note: RequestContext | None, head: ResponseHead) -> ResponseHead:
        """The head of the answer is known; returns it with the request's id, where it has one."""
        if note is None:
            return head
        self._notes.end(note, head.status)
        return head.extended(ID_HEADER, note.id.encode())

    def abandon(self, note: RequestContext) -> None:
        """The client has gone."""
        self._notes.abandon(note)

    def run_app(self, environ: dict[str, Any], waiter: Waiter) -> WsgiResponse:
        """Have Flask answer, on the calling thread."""
        WAITER.set(waiter)
        WORKED_ON.set(waiter.note)
        with self._app_lock:
            if self._app is None:
                self._app = self._make_app()
            app = self._app
        return run_app(app, environ)

    def _plan_notes(self, head: RequestHead) -> ContextFactory | None:
        if head.path in PROBES:
            return None
        return self._notes.plan(head.finder(), "rest", head.method, _read_path(head.path))

    def _answer_head(self, status: int, head: RequestHead | None, more: Iterable[tuple[str, str]] = ()) -> ResponseHead:
        return _make_head(status, self._style.mimetype, head, more)


class _Resumable(Protocol):
    """A plan whose requests may have to wait for the component."""

    def resume(self, exchange: RequestCycle, note: RequestContext | None, waited_seconds: float) -> None:
        """Handle a request that arrived so long ago; the component is built."""


class _Place:
    """A request that waits for the component, within the bounds of those that wait for a model thread.

    Args:
        is_bounded: whether it counts and times out; a probe does neither.

    Raises:
        Overloaded: too many wait already.
    """

    def __init__(
        self, front: RestApp, plan: _Resumable, exchange: RequestCycle, note: RequestContext | None, *, is_bounded: bool
    ) -> None:
        if is_bounded:
            front.lane.wait(self)
        self._front = front
        self._plan = plan
        self._exchange = exchange
        self._note = note
        self._loop = asyncio.get_running_loop()
        self._arrived = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        if is_bounded and front.timeout_seconds is not None:
            self._timer = self._loop.call_later(front.timeout_seconds, self._expire)
        exchange.on_gone = self._abandon

    def resume(self) -> None:
        """The component is built."""
        self.leave()
        self._plan.resume(self._exchange, self._note, self._loop.time() - self._arrived)

    def leave(self) -> None:
        """Stop waiting."""
        if self._timer is not None:
            self._timer.cancel()
        self._front.lane.leave(self)
        self._front.drop(self)

    def _expire(self) -> None:
        self.leave()
        error = late(self._front.timeout_seconds)
        self._exchange.answer(*self._front.fail(error, self._exchange.head, self._note))

    def _abandon(self) -> None:
        self.leave()
        if self._note is not None:
            self._front.abandon(self._note)


class _NativeHandler:
    """The body goes to the model threads as it is."""

    __slots__ = ("_codec", "_front", "_head", "_lane", "_operation", "notes")

    def __init__(
        self, front: RestApp, operation: Operation, codec: Codec, head: ResponseHead, notes: ContextFactory | None
    ) -> None:
        self._front = front
        self.notes = notes
        self._lane = front.lane
        self._operation = operation
        self._codec = codec
        self._head = head

    def with_notes(self, notes: ContextFactory | None) -> _NativeHandler:
        """Return this plan for requests whose notes are taken in another way."""
        return _NativeHandler(self._front, self._operation, self._codec, self._head, notes)

    def begin(self, exchange: RequestCycle) -> None:
        """Queue the call."""
        if self._front.is_open:
            self._submit(exchange, None if self.notes is None else self.notes.take(), 0.0)
        else:
            self._front.begin_when_built(self, exchange, self.notes)

    def resume(self, exchange: RequestCycle, note: RequestContext | None, waited_seconds: float) -> None:
        """Queue the call, unless Flask has to see it."""
        if self._front.is_open:
            self._submit(exchange, note, waited_seconds)
        else:
            self._front.detour(exchange, note, waited_seconds)

    def _submit(self, exchange: RequestCycle, note: RequestContext | None, waited_seconds: float) -> None:
        try:
            call = self._lane.submit(
                self._operation, exchange.take_body(), self._codec, self._finish, exchange, note, waited_seconds
            )
        except Overloaded as error:
            exchange.answer(*self._front.fail(error, exchange.head, note))
            return
        exchange.on_gone = partial(self._lane.cancel, call) if note is None else partial(self._abandon, call, note)

    def _finish(self, call: PendingCall) -> None:
        exchange: RequestCycle = call.owner
        note: Any = call.request_context
        reply = call.response
        if reply is None:
            assert call.error is not None
            exchange.answer(*self._front.fail(call.error, exchange.head, note))
            return
        head = self._head if reply.status is None else self._front.status_head(reply.status, exchange.head)
        exchange.answer(head if note is None else self._front.end(note, head), reply.body)

    def _abandon(self, call: PendingCall, note: RequestContext) -> None:
        self._lane.cancel(call)
        self._front.abandon(note)


class _Preflight:
    """The response is known."""

    def __init__(self, head: RequestHead) -> None:
        requested = head.find(b"access-control-request-headers")
        more = preflight_headers(None if requested is None else requested.decode("latin-1"))
        self._head = _make_head(200, PROBE_TYPE, head, more)

    def begin(self, exchange: RequestCycle) -> None:
        """Send it."""
        exchange.answer(self._head, b"")


class _Probe:
    """The answer is known."""

    def __init__(self, front: RestApp, head: RequestHead) -> None:
        self._front = front
        self._path = head.path

    def begin(self, exchange: RequestCycle) -> None:
        """Answer it; as in the original, a pong means that the model is loaded, so until then it is waited for."""
        if self._path == PING:
            self._front.begin_when_built(self, exchange, None)
        else:
            self._front.probe(self._path, exchange)

    def resume(self, exchange: RequestCycle, _note: RequestContext | None, _waited_seconds: float) -> None:
        """Answer it."""
        self._front.probe(self._path, exchange)


class _FlaskHandler:
    """Flask answers."""

    def __init__(self, front: RestApp, notes: ContextFactory | None) -> None:
        self._front = front
        self.notes = notes

    def with_notes(self, notes: ContextFactory | None) -> _FlaskHandler:
        """Return this plan for requests whose notes are taken in another way."""
        return _FlaskHandler(self._front, notes)

    def begin(self, exchange: RequestCycle) -> None:
        """Queue it for a thread."""
        self._front.begin_when_built(self, exchange, self.notes)

    def resume(self, exchange: RequestCycle, note: RequestContext | None, waited_seconds: float) -> None:
        """Queue it for a thread."""
        self._front.detour(exchange, note, waited_seconds)


class _FlaskRequest:
    """One exchange that Flask answers, in a thread.

    Raises:
        Overloaded: too many wait already.
    """

    def __init__(
        self,
        front: RestApp,
        pool: ThreadPoolExecutor,
        exchange: RequestCycle,
        note: RequestContext | None,
        waited_seconds: float,
        *,
        is_counted: bool,
    ) -> None:
        if is_counted:
            front.lane.enter(self)
        self._front = front
        self._exchange: RequestCycle | None = exchange
        self._note = note
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        if front.timeout_seconds is not None:
            self._timer = self._loop.call_later(front.timeout_seconds - waited_seconds, self._expire)
        self._waiter = Waiter(note, waited_seconds)
        environ = make_environ(exchange, exchange.take_body())
        self._future = pool.submit(front.run_app, environ, self._waiter)
        exchange.on_gone = self._abandon
        self._future.add_done_callback(self._come_back)

    def _come_back(self, future: Future[WsgiResponse]) -> None:
        if not future.cancelled():
            call_on_loop(self._loop, self._finish, future)

    def _finish(self, future: Future[WsgiResponse]) -> None:
        exchange = self._end()
        if exchange is None:
            return
        error = future.exception()
        if error is None:
            answer = future.result()
            exchange.answer(self._front.end(self._note, answer.head), answer.body, answer.length)
        else:
            exchange.answer(*self._front.fail(error, exchange.head, self._note))

    def _expire(self) -> None:
        exchange = self._end()
        if exchange is not None:
            if self._future.running():
                self._front.lane.report_late()
            error = late(self._front.timeout_seconds)
            exchange.answer(*self._front.fail(error, exchange.head, self._note))

    def _abandon(self) -> None:
        if self._end() is not None and self._note is not None:
            self._front.abandon(self._note)

    def _end(self) -> RequestCycle | None:
        """The exchange, if it still has no answer; what has not been begun never will be."""
        exchange, self._exchange = self._exchange, None
        if self._timer is not None:
            self._timer.cancel()
        self._future.cancel()
        self._waiter.give_up()
        self._front.lane.leave(self)
        return exchange


@lru_cache(maxsize=256)
def _read_path(path: str) -> str:
    """Return the path as text, given a character for each byte."""
    return path.encode("latin-1").decode(errors="replace")


def _is_plain_json(head: RequestHead) -> bool:
    """Whether Flask would do nothing with this request but hand its body on."""
    return (
        not head.query
        and head.find(b"content-encoding") is None
        and _JSON_TYPE.match(head.find(b"content-type") or b"") is not None
        and _PLAIN_HOST.match(head.find(b"host") or b"") is not None
    )


def _is_unseen(flask: FlaskSpec) -> bool:
    """Whether none of Flask's settings decides on a request or on the form of an answer, but what the codec heeds."""
    return (
        flask.MAX_CONTENT_LENGTH is None
        and not flask.TRUSTED_HOSTS
        and flask.SERVER_NAME is None
        and flask.JSONIFY_MIMETYPE.startswith("application/")
        and flask.JSONIFY_MIMETYPE.endswith("json")
    )


def _has_listeners() -> bool:
    """Whether somebody listens to Flask's signals, which only requests through Flask send."""
    signals = sys.modules.get("flask.signals")
    return signals is not None and any(getattr(value, "receivers", None) for value in vars(signals).values())


def _make_head(
    status: int, content_type: str, head: RequestHead | None, more: Iterable[tuple[str, str]] = ()
) -> ResponseHead:
    """The head of a response to requests with a head; None: theirs cannot be read."""
    origin = None if head is None else head.find(b"origin")
    cors = cors_headers(None if origin is None else origin.decode("latin-1"))
    pairs = [("Content-Type", content_type), *cors, *more]
    return ResponseHead(status, [(name.lower().encode(), value.encode("latin-1")) for name, value in pairs])
