"""The tracing and the request log of a process that serves."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from seldon_spec.config.model import Spec
from seldon_spec.errors import ComponentFailed
from seldon_spec.inference.graph.headers import find_kept_headers
from seldon_spec.observability.access_log import AccessLog
from seldon_spec.observability.logs import LogHandler
from seldon_spec.observability.request_context import RequestLog, Tracer

if TYPE_CHECKING:
    from seldon_spec.observability.tracing import Tracing


def make_tracing(spec: Spec) -> Tracing | None:
    """Set up the tracing of this process, if the spec enables it.

    Raises:
        ComponentFailed: a variable selects something that is not installed.
    """
    if not spec.server.tracing:
        return None
    try:
        # imports the packages of an extra, which read variables
        from seldon_spec.observability import tracing
        from seldon_spec.protocols.open_inference_v2.grpc_methods import INFER_PATHS
        from seldon_spec.protocols.open_inference_v2.routes import list_operation_paths as list_v2_paths
        from seldon_spec.protocols.seldon_v1.grpc_methods import SELDON_V1
        from seldon_spec.protocols.seldon_v1.routes import list_operation_paths as list_v1_paths
        from seldon_spec.transport.grpc.headers import STATUS

        return tracing.make_tracing(
            spec,
            rest_routes=[*list_v1_paths(spec), *list_v2_paths(spec)],
            grpc_routes=[
                *(f"/{service}/{name}" for service, methods in SELDON_V1.services.items() for name in methods),
                *INFER_PATHS,
            ],
            grpc_status_numbers=STATUS,
        )
    except Exception as error:
        raise ComponentFailed(f"server.tracing: {error}") from None


@contextlib.contextmanager
def open_request_log(spec: Spec, tracer: Tracer | None, handler: LogHandler) -> Iterator[RequestLog]:
    """Open the log of the process's requests; on exit, the access log is flushed.

    Args:
        spec: its ``server.log`` is used.
        tracer: None: nothing is traced.
        handler: writes the access log.
    """
    log, kept_headers = spec.server.log, find_kept_headers(spec)
    if not log.access:
        yield RequestLog(log, tracer, kept_headers=kept_headers)
        return
    access = AccessLog(handler.write, log.format)
    try:
        yield RequestLog(log, tracer, access, kept_headers)
    finally:
        access.close()
