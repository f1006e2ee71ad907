"""The dispatcher: calls from the transports to the model threads."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextvars import Context
from functools import partial
from typing import Any

from seldon_spec.config.model import BatchingSpec
from seldon_spec.errors import ComponentFailed, NotServing
from seldon_spec.inference.batching import Batcher
from seldon_spec.inference.call import BaseContext, Call, settle
from seldon_spec.inference.component.base import Component
from seldon_spec.inference.component.progress import Progress
from seldon_spec.inference.executor import ModelThreads
from seldon_spec.inference.message import Codec, EncodedResponse, Operation
from seldon_spec.inference.processor import RequestProcessor, Trace
from seldon_spec.observability.metrics import Metrics

logger = logging.getLogger(__name__)


class Dispatcher:
    """Takes requests from the transports and answers them on the model threads.

    Args:
        make_component: imports, builds and loads the user's class; called once, on a model thread.
        threads: the only threads on which the component is called.
        metrics: where requests and the component's own metrics are counted.
        batching: None: each request is a call of its own.
        trace: None: nothing is traced.
        progress: of ``make_component``.
    """

    def __init__(
        self,
        make_component: Callable[[], Component],
        threads: ModelThreads,
        metrics: Metrics,
        batching: BatchingSpec | None = None,
        trace: Trace | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._make_component = make_component
        self._threads = threads
        self._built: Future[Component] | None = None
        self._component: Component | None = None
        self._is_draining = False
        self._progress = progress or Progress()
        self._answering = RequestProcessor(self._find_component, metrics, trace)
        self._merger = None if batching is None else Batcher(threads, self._answering, batching)
        self.metrics = metrics

    def start(self) -> Future[Component]:
        """Start the model threads and build the component; see ``build``."""
        built = self.build()
        self._threads.start()
        return built

    def build(self) -> Future[Component]:
        """Queue the building of the component; it is the threads' first task, so early requests wait behind it.

        Returns:
            A future that ends when the component is ready, or with the ComponentFailed that it raised.
        """
        self._built = self._threads.submit(self._build)
        return self._built

    def run(self, on_end: Callable[[], object] = lambda: None, on_first: Callable[[], object] = lambda: None) -> None:
        """Make the calling thread the first model thread, until ``stop``; see ``ModelThreads.run``."""
        self._threads.run(on_end, on_first)

    def _build(self) -> Component:
        began = time.monotonic()
        self._component = component = self._make_component()
        self.metrics.set_load_seconds(time.monotonic() - began)
        if self._merger is not None and not component.batchable:
            logger.warning(
                "server.batching has no effect: the class is called for each request, because its methods take a"
                " request's meta or the whole message, use Flask, or return no rows"
            )
        return component

    @property
    def is_ready(self) -> bool:
        """Whether new requests are welcome: the component has been built, and the server does not mean to stop."""
        return not self._is_draining and self._component is not None

    def describe_state(self) -> str:
        """Why it is not ready."""
        return "the server is stopping" if self._is_draining else self._progress.describe()

    @property
    def component(self) -> Component | None:
        """The component, once it is built."""
        return self._component

    def count_at_work(self) -> int:
        """How many requests the model threads can be at, if there are so many; batches count in full."""
        return self._threads.count if self._merger is None else max(self._threads.count, self._merger.at_work)

    def post(self, calls: Sequence[Call]) -> None:
        """Queue calls, which costs one hand-over for all of them.

        Raises:
            NotServing: the server has been stopped.
        """
        if self._merger is None:
            self._threads.post(calls, self._answering.process)
        else:
            self._merger.post(calls)

    def remove_unwanted(self) -> None:
        """Remove cancelled calls from the queue, without waiting for a model thread."""
        if self._merger is None:
            self._threads.discard(self._answering.process, lambda call: call.is_unwanted and not call.is_held)
        else:
            self._merger.remove_unwanted()

    def submit(
        self,
        operation: Operation,
        wire: Any,
        codec: Codec,
        request_context: BaseContext | None = None,
        context: Context | None = None,
    ) -> Future[EncodedResponse]:
        """Queue a request that its own thread waits for.

        Args:
            operation: what is asked.
            wire: what the transport received, as the codec takes it.
            codec: the form of the wire.
            request_context: None: the request is neither logged nor traced.
            context: see ``Call``.

        Returns:
            A future of the answer, or of the SeldonSpecError that the request met. Once it is cancelled, a request that
            has not begun never will.

        Raises:
            NotServing: the server has been stopped.
        """
        future: Future[EncodedResponse] = self._threads.promise()
        call = Call(operation, wire, codec, partial(settle, future), request_context, context)
        future.add_done_callback(call.give_up)
        self.post([call])
        return future

    def drain(self) -> None:
        """Be ready no more; what is under way, and what still comes, is answered until ``stop``."""
        self._is_draining = True

    def stop(self) -> None:
        """End whatever still waits for an answer with NotServing; does not wait for the model."""
        self._threads.stop()

    def _find_component(self) -> Component:
        return self._component or self._await_component()

    def _await_component(self) -> Component:
        if self._built is None:
            raise NotServing("the server has not been started")
        try:
            return self._built.result()  # with several threads, the others wait here for the first one
        except ComponentFailed as error:
            raise NotServing("the model could not be built") from error
