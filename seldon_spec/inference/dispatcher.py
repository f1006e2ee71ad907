"""The dispatcher: passes calls to the model threads of one component."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextvars import Context
from functools import partial
from typing import Any

from seldon_spec.config.model import BatchingSpec
from seldon_spec.errors import ComponentFailed, NotServing
from seldon_spec.inference.batching import Batcher
from seldon_spec.inference.call import BaseContext, Call, CallFuture, settle
from seldon_spec.inference.component.base import Component
from seldon_spec.inference.component.progress import Progress
from seldon_spec.inference.executor import ModelThreads
from seldon_spec.inference.message import Operation
from seldon_spec.inference.metrics_sink import MetricsSink
from seldon_spec.inference.processor import RequestProcessor, Trace
from seldon_spec.inference.request import Codec, EncodedResponse

logger = logging.getLogger(__name__)


class Dispatcher:
    """Builds one component and processes its requests on the model threads.

    Args:
        make_component: imports, builds and loads the user's class; called once, on a model thread.
        threads: the only threads on which the component is called.
        metrics: where requests and the component's own metrics are recorded.
        batching: None: each request is a call of its own.
        trace: None: nothing is traced.
        progress: updated by ``make_component``.
        on_post: called with each call before it is queued; it may replace the call's ``then``.
    """

    def __init__(
        self,
        make_component: Callable[[], Component],
        threads: ModelThreads,
        metrics: MetricsSink,
        batching: BatchingSpec | None = None,
        trace: Trace | None = None,
        progress: Progress | None = None,
        on_post: Callable[[Call], None] | None = None,
    ) -> None:
        self._make_component = make_component
        self._threads = threads
        self._built: Future[Component] | None = None
        self._component: Component | None = None
        self._is_draining = False
        self._progress = progress or Progress()
        self._processor = RequestProcessor(self._find_component, metrics, trace)
        self._batcher = None if batching is None else Batcher(threads, self._processor, batching)
        self._on_post = on_post
        self.metrics = metrics

    def start(self) -> Future[Component]:
        """Start the model threads and build the component; see ``build``."""
        built = self.build()
        self._threads.start()
        return built

    def build(self) -> Future[Component]:
        """Queue the construction of the component as the threads' first task; requests queue behind it.

        Returns:
            A future of the component, or of the ComponentFailed that its construction raised.
        """
        self._built = self._threads.submit(self._build)
        return self._built

    def run(self, on_end: Callable[[], object] = lambda: None, on_first: Callable[[], object] = lambda: None) -> None:
        """Make the calling thread the first model thread, until ``stop``; see ``ModelThreads.run``."""
        self._threads.run(on_end, on_first)

    def _build(self) -> Component:
        started = time.monotonic()
        self._component = component = self._make_component()
        self.metrics.set_load_seconds(time.monotonic() - started)
        if self._batcher is not None and not component.batchable:
            logger.warning(
                "server.batching has no effect: the class is called for each request, because its methods take a"
                " request's meta or the whole message, use Flask, or return no rows"
            )
        return component

    @property
    def is_ready(self) -> bool:
        """Whether the component accepts new requests: it has been built, is ready, and is not draining."""
        return not self._is_draining and self._component is not None and self._component.is_ready

    def describe_state(self) -> str:
        """Return the reason why it is not ready."""
        if self._is_draining:
            return "the server is stopping"
        return self._progress.describe() if self._component is None else self._component.describe_state()

    @property
    def component(self) -> Component | None:
        """The component, once it is built."""
        return self._component

    def count_at_work(self) -> int:
        """Return the largest number of requests that can be running now; each request of a batch counts."""
        return self._threads.count if self._batcher is None else max(self._threads.count, self._batcher.running)

    def post(self, calls: Sequence[Call]) -> None:
        """Queue calls; all of them cost one wake-up of a thread.

        Raises:
            NotServing: the server has been stopped.
        """
        if self._on_post is not None:
            for call in calls:
                self._on_post(call)
        if self._batcher is None:
            self._threads.post(calls, self._processor.process)
        else:
            self._batcher.post(calls)

    def remove_unwanted(self) -> None:
        """Remove cancelled calls from the queue, without waiting for a model thread."""
        if self._batcher is None:
            self._threads.discard(self._processor.process, lambda call: call.is_unwanted and not call.is_held)
        else:
            self._batcher.remove_unwanted()

    def submit(
        self,
        operation: Operation,
        wire: Any,
        codec: Codec,
        request_context: BaseContext | None = None,
        context: Context | None = None,
        deadline: float = math.inf,
    ) -> Future[EncodedResponse]:
        """Queue a request whose own thread waits for the response.

        Args:
            operation: the method of the component.
            wire: the encoded request, in the form that the codec decodes.
            codec: the protocol's codec.
            request_context: None: neither logs nor traces need one.
            context, deadline: see ``Call``.

        Returns:
            A future of the response, or of the SeldonSpecError that the request caused. Cancelling it keeps a request
            that has not started from running.

        Raises:
            NotServing: the server has been stopped.
        """
        future = CallFuture()
        self._threads.guard(future)
        call = Call(operation, wire, codec, partial(settle, future), request_context, context, deadline)
        future.call = call
        future.add_done_callback(call.give_up)
        self.post([call])
        return future

    def drain(self) -> None:
        """Report not ready; requests are still processed until ``stop``."""
        self._is_draining = True

    def stop(self) -> None:
        """End waiting requests with NotServing; do not wait for the model."""
        self._threads.stop()
        if self._component is not None:
            self._component.close()

    def _find_component(self) -> Component:
        return self._component or self._await_component()

    def _await_component(self) -> Component:
        if self._built is None:
            raise NotServing("the server has not been started")
        try:
            return self._built.result()  # of several threads, the others wait here for the first one
        except ComponentFailed as error:
            raise NotServing("the model could not be built") from error
