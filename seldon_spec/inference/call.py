"""A request on its way to the model threads and back."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextvars import Context, ContextVar
from typing import Any

from seldon_spec.inference.message import Codec, EncodedResponse, Operation


class BaseContext:
    """What a transport has noted of a request besides what is asked, where somebody will look at it.

    Args:
        id: the request's, as it is logged and as the client is told it.

    Attributes:
        trace: the trace that the request belongs to, as whoever traces knows it; None: it is not traced.
        call: what was made of the request; None: nothing yet.
    """

    __slots__ = ("_id", "call", "trace")

    def __init__(self, id: str) -> None:  # noqa: A002
        self._id = id
        self.trace: Any = None
        self.call: Call | None = None

    @property
    def id(self) -> str:
        """The request's ID."""
        return self._id


WORKED_ON: ContextVar[str | BaseContext | None] = ContextVar("worked_on", default=None)
"""The note of the request that this thread works on; the IDs of several, joined by commas, where one call answers them.
"""


def find_request_id() -> str | None:
    """Return the ID of the request that this thread works on, or those of several."""
    found = WORKED_ON.get()
    return found.id if isinstance(found, BaseContext) else found


class Call:
    """One request.

    Args:
        operation: what is asked.
        wire: what the transport received, as the codec takes it; let go of as soon as it is read.
        codec: the form of the wire.
        then: is called with this call when it has been answered, on a model thread; never if the dispatcher is
            stopped before.
        note: None: nobody asks for one.
        context: in which the component is called; None: the model thread's own.

    Attributes:
        reply: the answer; None if there is an error.
        error: what the request met; None if there is a reply.
        is_unwanted: the call was cancelled or is held; a model thread does not start it.
        is_held: the call is held; a model thread that dequeues it returns it, with neither reply nor error.
        arrived, begun, read, asked, told, ended: when the request was there, a thread took it, its message had been
            read, the component was asked, the component had answered, and the answer was encoded, by
            ``time.perf_counter``; NaN: it never came to that.
        waited_seconds: between ``read`` and ``asked``, where it was to be answered together with others.
        body_bytes, rows: of the request; NaN: unknown.
    """

    __slots__ = (
        "arrived",
        "asked",
        "begun",
        "body_bytes",
        "codec",
        "context",
        "ended",
        "error",
        "is_held",
        "is_unwanted",
        "note",
        "operation",
        "read",
        "reply",
        "rows",
        "then",
        "told",
        "waited_seconds",
        "wire",
    )

    def __init__(
        self,
        operation: Operation,
        wire: Any,
        codec: Codec,
        then: Callable[[Any], None],
        note: BaseContext | None = None,
        context: Context | None = None,
    ) -> None:
        self.operation = operation
        self.wire = wire
        self.codec = codec
        self.then = then
        self.note = note
        self.context = context
        if note is not None:
            note.call = self
        self.reply: EncodedResponse | None = None
        self.error: BaseException | None = None
        self.is_unwanted = self.is_held = False
        self.begun = self.read = self.asked = self.told = self.ended = math.nan
        self.body_bytes = self.rows = math.nan
        self.waited_seconds = 0.0
        self.arrived = time.perf_counter()

    def give_up(self, _cause: object = None) -> None:
        """Nobody waits for the answer any more."""
        self.is_held = False
        self.is_unwanted = True
        self.wire = None


def settle(future: Future[EncodedResponse], call: Call) -> None:
    """Hand an answered call to whoever waits for a future."""
    with contextlib.suppress(InvalidStateError):  # stop() was quicker, or a caller's cancel()
        if call.reply is not None:
            future.set_result(call.reply)
        else:
            future.set_exception(call.error)
