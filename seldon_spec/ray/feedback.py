"""Feedback to one of several replicas of a deployment, which passes it on to the others."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from ray import serve

from seldon_spec.inference.call import Call, FeedbackCopy
from seldon_spec.inference.message import Operation
from seldon_spec.inference.request import Codec
from seldon_spec.observability.request_context import working_on
from seldon_spec.server.bridge import call_on_loop

logger = logging.getLogger(__name__)

_EARLIER_SECONDS = 0.25
"""The wait for other replicas ends this long before the deadline of the request, so that its client gets a response."""

_MAX_SECONDS = 30.0
"""The wait for other replicas of a request without a deadline."""


class OtherReplicas:
    """The replicas of this deployment beside this one; belongs to the running event loop.

    Args:
        context: the ``ReplicaContext`` of this one.
    """

    def __init__(self, context: Any) -> None:
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._handle: Any = None
        self._tasks: set[asyncio.Task[None]] = set()

    def share(self, call: Call) -> None:
        """Have a call of feedback finish after all replicas have applied it, if it succeeds here."""
        if call.operation is Operation.FEEDBACK and not isinstance(call.request_context, FeedbackCopy):
            call.then = partial(self._continue, call.wire, call.codec, call.then)

    def _continue(self, wire: Any, codec: Codec, then: Callable[[Call], None], call: Call) -> None:
        """Pass on what a call has applied; runs on a model thread, which must not wait for those of other replicas."""
        call.then = then  # a call that is held is queued again
        if call.response is None:
            then(call)
        else:
            call_on_loop(self._loop, self._start, partial(_encode, wire, codec), call)

    def _start(self, encode: Callable[[], bytes], call: Call) -> None:
        self._keep(self._loop.create_task(self._finish(encode, call)))

    async def _finish(self, encode: Callable[[], bytes], call: Call) -> None:
        with working_on(call.request_context):
            sending = self._loop.create_task(self._send(encode, call))
            self._keep(sending)
            left = call.deadline - time.perf_counter() - _EARLIER_SECONDS
            await asyncio.wait({sending}, timeout=min(max(0.0, left), _MAX_SECONDS))
            if not sending.done():
                logger.warning("feedback: not all replicas have applied it in time")
        call.then(call)

    async def _send(self, encode: Callable[[], bytes], call: Call) -> None:
        """Send a copy to all replicas, and log the errors."""
        context = self._context
        request_id = "" if call.request_context is None else call.request_context.id
        try:
            if self._handle is None:  # in a thread, because it asks the controller
                get = serve.get_deployment_handle
                self._handle = await asyncio.to_thread(get, context.deployment, context.app_name)
            copy, transport = await asyncio.to_thread(encode), call.codec.transport.value
            response = self._handle.broadcast("apply_feedback", context.replica_tag, transport, copy, request_id)
            for failed in await response.results_async(return_exceptions=True):
                if failed is not None:
                    logger.error("feedback: another replica has not applied it: %s", failed)
        except Exception as error:  # of any replica or of Ray; the client's request has succeeded
            logger.exception("feedback: it is not sent to the other replicas: %s", error)

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _encode(wire: Any, codec: Codec) -> bytes:
    """Return feedback, which may be a form, as a message of its encoding."""
    return bytes(codec.write_raw(codec.decode(Operation.FEEDBACK, wire).raw))
