"""A request between its arrival and its response, with timestamps."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextvars import Context, ContextVar
from typing import Any

from seldon_spec.inference.message import Operation
from seldon_spec.inference.request import Codec, EncodedResponse


class BaseContext:
    """What logs and traces use of a request.

    Args:
        id: the request's id in the logs and in the response's headers.

    Attributes:
        trace: the tracer's object for this request; None: it is not traced.
        call: the call for this request; None: there is none yet.
        logs_failure: whether a failure is logged; False: the caller gets the exception.
    """

    __slots__ = ("_id", "call", "trace")

    logs_failure = True

    def __init__(self, id: str) -> None:  # noqa: A002
        self._id = id
        self.trace: Any = None
        self.call: Call | None = None

    @property
    def id(self) -> str:
        """The request's ID."""
        return self._id

    def find_header(self, _name: bytes) -> bytes | None:
        """Return the first value of a header, or metadata key, that the server keeps; ``name`` in lower case.

        Returns:
            None if the request does not have it, or the server does not keep it.
        """
        return None


WORKED_ON: ContextVar[str | BaseContext | None] = ContextVar("worked_on", default=None)
"""The context of the request that this thread handles; for a batch, the IDs of its requests, joined by commas.

The event loop sets the context's ``call`` to None when the request ends, which may be before the component returns.
"""


def find_request_id() -> str | None:
    """Return the ID of the request that this thread handles, or the IDs of a batch."""
    found = WORKED_ON.get()
    return found.id if isinstance(found, BaseContext) else found


class FeedbackCopy(BaseContext):
    """The context of feedback that another process with the same component has got, and passes on.

    That process has recorded the metrics, and has sent the feedback to the components that are servers of their own.
    """

    __slots__ = ()


def is_copy() -> bool:
    """Return whether this thread handles feedback that another process has passed on."""
    return isinstance(WORKED_ON.get(), FeedbackCopy)


class Call:
    """One request to the component.

    Args:
        operation: the operation.
        wire: what the codec's ``decode`` takes; released as soon as it is decoded.
        codec: decodes the request and encodes the response.
        then: called with this call, on a model thread, when it is finished; never if the dispatcher is stopped before.
        request_context: None: the request is neither logged nor traced.
        context: the context variables for the component's code; None: the model thread's own.
        deadline: when the response is no longer needed, by ``time.perf_counter``.

    Attributes:
        response: the response; None if there is an error.
        error: the error; None if there is a response.
        is_unwanted: the call was cancelled or is held; a model thread does not start it.
        is_held: the call is held; a model thread that dequeues it returns it, with neither response nor error.
        arrived_at, dequeued_at, decoded_at, predict_started_at, predict_ended_at, ended_at: when the request arrived, a
            model thread dequeued it, its message was decoded, the call of the component began and ended, and the
            response was encoded, by ``time.perf_counter``; NaN: it did not happen.
        waited_seconds: between ``decoded_at`` and ``predict_started_at``, for other requests of a batch.
        body_bytes, rows: of the request; NaN: unknown.
    """

    __slots__ = (
        "arrived_at",
        "body_bytes",
        "codec",
        "context",
        "deadline",
        "decoded_at",
        "dequeued_at",
        "ended_at",
        "error",
        "is_held",
        "is_unwanted",
        "operation",
        "predict_ended_at",
        "predict_started_at",
        "request_context",
        "response",
        "rows",
        "then",
        "waited_seconds",
        "wire",
    )

    def __init__(
        self,
        operation: Operation,
        wire: Any,
        codec: Codec,
        then: Callable[[Any], None],
        request_context: BaseContext | None = None,
        context: Context | None = None,
        deadline: float = math.inf,
    ) -> None:
        self.operation = operation
        self.wire = wire
        self.codec = codec
        self.then = then
        self.request_context = request_context
        self.context = context
        if request_context is not None:
            request_context.call = self
        self.response: EncodedResponse | None = None
        self.error: BaseException | None = None
        self.is_unwanted = self.is_held = False
        self.dequeued_at = self.decoded_at = self.predict_started_at = self.predict_ended_at = self.ended_at = math.nan
        self.body_bytes = self.rows = math.nan
        self.waited_seconds = 0.0
        self.deadline = deadline
        self.arrived_at = time.perf_counter()

    def give_up(self, _cause: object = None) -> None:
        """Cancel the call: its response is not needed any more."""
        self.is_held = False
        self.is_unwanted = True
        self.wire = None


class CallFuture(Future[EncodedResponse]):
    """The future of the response to a call; it is running while the component processes the call."""

    call: Call

    def running(self) -> bool:
        return not self.done() and not math.isnan(self.call.predict_started_at)


def settle(future: Future[EncodedResponse], call: Call) -> None:
    """Set a future from a finished call."""
    with contextlib.suppress(InvalidStateError):  # stop() or a caller's cancel() came first
        if call.response is not None:
            future.set_result(call.response)
        else:
            future.set_exception(call.error)
