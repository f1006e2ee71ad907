"""Runs requests through the Flask app of a class that has handlers of its own, in threads beside the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

from seldon_spec.inference.call import WORKED_ON
from seldon_spec.server.bridge import ExecutorBridge, PendingCall, call_on_loop
from seldon_spec.server.rest.wsgi import WsgiApp, WsgiResponse, make_environ, run_app

_THREADS = 64
_PROBE_THREADS = 4  # of their own, since a prediction blocks its thread until the model has responded

CURRENT_CALL: ContextVar[PendingCall | None] = ContextVar("current_call", default=None)
"""The call of the request that this thread handles; None outside of the server."""


class FlaskRunner:
    """Runs requests in threads; belongs to the running event loop.

    Args:
        bridge: tracks the calls, so that its timeout and its queue limit apply.
        make_app: creates the Flask app; called on one of the threads, when the first request needs it.
        respond: sends a response; called on the loop with a call that is not finished.
        fail: sends the response to an error; called in the same way.
    """

    def __init__(
        self,
        bridge: ExecutorBridge,
        make_app: Callable[[], WsgiApp],
        respond: Callable[[PendingCall, WsgiResponse], None],
        fail: Callable[[PendingCall], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._bridge = bridge
        self._make_app = make_app
        self._respond = respond
        self._fail = fail
        self._app: WsgiApp | None = None
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(_THREADS, "seldon-spec-rest")
        self._probe_pool = ThreadPoolExecutor(_PROBE_THREADS, "seldon-spec-probe")

    def reset(self) -> None:
        """Create the app anew for the next request: the component is built, and has handlers."""
        self._app = None

    def run(self, call: PendingCall, *, is_probe: bool = False) -> None:
        """Run a request whose call is tracked, with the body in ``wire``, in a thread."""
        body, call.wire = call.wire, None
        if call.request_context is not None:
            call.request_context.call = None  # the view sets the call of the component, if there is one
        environ = make_environ(call.owner, body)
        future = (self._probe_pool if is_probe else self._pool).submit(self._run, environ, call)
        call.add_future(future)

        def finish(done: Future[WsgiResponse]) -> None:
            if done.cancelled():  # the pool keeps the task, and so the body, until a thread is free
                environ.clear()
            call_on_loop(self._loop, self._finish, call, done)

        future.add_done_callback(finish)

    def close(self) -> None:
        """Stop the threads; do not wait for them."""
        for pool in (self._pool, self._probe_pool):
            pool.shutdown(wait=False, cancel_futures=True)

    def _run(self, environ: dict[str, Any], call: PendingCall) -> WsgiResponse:
        CURRENT_CALL.set(call)
        WORKED_ON.set(call.request_context)
        with self._lock:
            if self._app is None:
                self._app = self._make_app()
            app = self._app
        return run_app(app, environ)

    def _finish(self, call: PendingCall, done: Future[WsgiResponse]) -> None:
        if call.is_finished:
            return
        self._bridge.untrack(call)
        call.error = done.exception()
        if call.error is None:
            self._respond(call, done.result())
        else:
            self._fail(call)
