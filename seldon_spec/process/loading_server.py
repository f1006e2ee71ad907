"""Responds to probes while a template process loads the model and there is no worker yet."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import NoReturn

from seldon_spec.config.model import Spec
from seldon_spec.inference.component.progress import Progress
from seldon_spec.inference.dispatcher import Dispatcher
from seldon_spec.inference.executor import ModelThreads
from seldon_spec.observability.logs import LogHandler
from seldon_spec.observability.metrics import Exposition, Metrics
from seldon_spec.process.observability import open_request_log
from seldon_spec.process.worker import make_flask_app, run_loop
from seldon_spec.server.bridge import RequestLimits
from seldon_spec.server.engine import Engine
from seldon_spec.server.sockets import Sockets


@contextlib.contextmanager
def loading_server(spec: Spec, sockets: Sockets, progress: Progress, handler: LogHandler) -> Iterator[None]:
    """Serve as a worker does that loads its model, on another thread, which has ended when the context is left.

    Requests to the model wait, and get the response 503 in the end.

    Args:
        spec: what the workers will serve.
        sockets: of the workers. That of gRPC is not used with ``engine: uvicorn``: grpcio does not allow a fork.
        progress: the step of the load, for the response to ``/ready``.
        handler: writes the access log.
    """
    grpc = None if sockets.grpc is None or spec.server.engine == "uvicorn" else sockets.grpc.dup()
    sockets = Sockets(sockets.http.dup(), sockets.metrics.dup(), grpc)  # an engine may close its sockets
    is_loaded: Future[None] = Future()
    serving = _serve(spec, sockets, progress, handler, is_loaded)
    thread = threading.Thread(target=run_loop, args=(serving,), name="seldon-spec-loading")
    thread.start()
    try:
        yield
    finally:
        is_loaded.set_result(None)
        thread.join()
        for other in threading.enumerate():
            if other.name.startswith(("seldon-spec-rest", "seldon-spec-probe")):  # of Flask
                other.join()
        sockets.close()


async def _serve(
    spec: Spec, sockets: Sockets, progress: Progress, handler: LogHandler, is_loaded: Future[None]
) -> None:
    metrics = Metrics(spec.unit)
    dispatcher = Dispatcher(_never, ModelThreads(), metrics, progress=progress)
    limits = RequestLimits(spec.server.request_timeout_seconds, spec.server.max_queue)
    with open_request_log(spec, None, handler) as request_log:
        render = Exposition(metrics).render
        engine = Engine(
            dispatcher, request_log, lambda: make_flask_app(dispatcher, spec), sockets, spec, limits, render
        )
        engine.start()
        await asyncio.wrap_future(is_loaded)
        dispatcher.stop()
        await engine.close()
        await asyncio.get_running_loop().shutdown_default_executor()  # its threads render the metrics page


def _never() -> NoReturn:
    raise NotImplementedError
