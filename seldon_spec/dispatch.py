"""The way of a request: decode, call, encode, with its metrics around it. The same for every transport.

Knows no HTTP and no gRPC; the codec is an argument, so there is nothing to fork on.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import cache, partial
from typing import Any

from seldon_spec.component.base import Component, Recorder
from seldon_spec.component.threads import ModelThreads
from seldon_spec.errors import ComponentFailed, NotServing, RequestError
from seldon_spec.metrics import Metrics
from seldon_spec.payload.message import Codec, Reply, Verb

logger = logging.getLogger(__name__)


class Call:
    """One request on its way to the model threads and back.

    Args:
        verb: what is asked.
        wire: what the transport received, as the codec takes it; let go of as soon as it is read.
        codec: the form of the wire.
        then: is called with this call when it has been answered, on a model thread; never if the dispatcher is
            stopped before.

    Attributes:
        reply: the answer; None if there is an error.
        error: what the request met; None if there is a reply.
        is_unwanted: nobody waits for the answer any more: the call is not begun if it has not been.
        arrived: when the request was there, by ``time.perf_counter``.
    """

    __slots__ = ("arrived", "codec", "error", "is_unwanted", "reply", "then", "verb", "wire")

    def __init__(self, verb: Verb, wire: Any, codec: Codec, then: Callable[[Any], None]) -> None:
        self.verb = verb
        self.wire = wire
        self.codec = codec
        self.then = then
        self.reply: Reply | None = None
        self.error: BaseException | None = None
        self.is_unwanted = False
        self.arrived = time.perf_counter()


class Dispatcher:
    """Takes requests from the transports and answers them on the model threads.

    Args:
        make_component: imports, builds and loads the user's class; called once, on a model thread.
        threads: the only threads on which the component is called.
        metrics: where requests and the component's own metrics are counted.
    """

    def __init__(self, make_component: Callable[[], Component], threads: ModelThreads, metrics: Metrics) -> None:
        self._make_component = make_component
        self._threads = threads
        self._built: Future[Component] | None = None
        self._component: Component | None = None
        self._is_draining = False
        self._recorder = cache(self._make_recorder)
        self.metrics = metrics

    def start(self) -> Future[Component]:
        """Have the component built; it is the threads' first task, so early requests wait behind it.

        Returns:
            A future that ends when the component is ready, or with the ComponentFailed that it raised.
        """
        self._built = self._threads.submit(self._build)
        self._threads.start()
        return self._built

    def _build(self) -> Component:
        self._component = self._make_component()
        return self._component

    @property
    def is_ready(self) -> bool:
        """Whether new requests are welcome: the component has been built, and the server does not mean to stop."""
        return not self._is_draining and self._component is not None

    @property
    def component(self) -> Component | None:
        """The component, once it is built."""
        return self._component

    def post(self, calls: Sequence[Call]) -> None:
        """Queue calls, which costs one hand-over for all of them.

        Raises:
            NotServing: the server has been stopped.
        """
        self._threads.post(calls, self._answer)

    def submit(self, verb: Verb, wire: Any, codec: Codec) -> Future[Reply]:
        """Queue a request that its own thread waits for.

        Args:
            verb: what is asked.
            wire: what the transport received, as the codec takes it.
            codec: the form of the wire.

        Returns:
            A future of the answer, or of the SeldonSpecError that the request met; it may be cancelled as long
            as the request has not begun.

        Raises:
            NotServing: the server has been stopped.
        """
        arrived = time.perf_counter()
        return self._threads.submit(partial(self._observe, verb, [wire], codec, arrived))

    def drain(self) -> None:
        """Be ready no more; what is under way, and what still comes, is answered until ``stop``."""
        self._is_draining = True

    def stop(self) -> None:
        """End whatever still waits for an answer with NotServing; does not wait for the model."""
        self._threads.stop()

    def _answer(self, call: Call) -> None:
        """Answer a call, on a model thread; whatever is raised goes to whoever waits."""
        wire, call.wire = call.wire, None  # first, for whoever gives up on a call lets go of it, too
        if not call.is_unwanted:
            held = [wire]
            del wire
            try:
                call.reply = self._observe(call.verb, held, call.codec, call.arrived)
            except BaseException as error:
                call.error = error
        call.then(call)

    def _observe(self, verb: Verb, wire: list[Any], codec: Codec, arrived: float) -> Reply:
        outcome = "error"
        try:
            answer = self.handle(verb, wire, codec)
            outcome = "success"
            return answer
        except ComponentFailed as error:
            logger.error("%s: %s", verb.value, error, exc_info=error.__cause__)
            raise
        except RequestError as error:
            logger.warning("%s: %s: %s", verb.value, type(error).__name__, error)
            raise
        finally:
            self.metrics.observe_request(verb.value, outcome, time.perf_counter() - arrived)

    def handle(self, verb: Verb, wire: list[Any], codec: Codec) -> Reply:
        """Answer one request, on the calling thread.

        Args:
            verb: what is asked.
            wire: a list of one, which is emptied: so nobody up the stack holds a large body while it is answered.
            codec: the form of the wire.

        Raises:
            SeldonSpecError: what the request met; ``server/status.py`` has a row for each.
        """
        component = self._component or self._await_component()
        request = codec.decode(verb, wire.pop())
        result = component.call(request, self._recorder(verb))
        return codec.encode(result, request)

    def _make_recorder(self, verb: Verb) -> Recorder:
        return partial(self.metrics.record, verb.value)

    def _await_component(self) -> Component:
        if self._built is None:
            raise NotServing("the server has not been started")
        try:
            return self._built.result()  # with several threads, the others wait here for the first one
        except ComponentFailed as error:
            raise NotServing("the model could not be built") from error
