"""Serve a spec: bind the sockets, handle the signals, run the processes. The only module that defines their order.

The heavy modules are imported in the processes that serve, after the fork.
"""

from __future__ import annotations

import logging
import resource
import threading

from seldon_spec.config.model import Spec
from seldon_spec.errors import SeldonSpecError, Stopped
from seldon_spec.observability.logs import configure_logs
from seldon_spec.process.signals import ServerSignals
from seldon_spec.process.spec_reloader import SpecReloader
from seldon_spec.server.sockets import Sockets, bind_sockets, port_of, show_address

logger = logging.getLogger(__name__)

_MIN_OPEN_FILES = 64
"""What a worker needs to start, and some for the class and its clients."""


class TooFewFiles(SeldonSpecError):
    """The system allows fewer open files than a server needs."""


def serve(spec: Spec, reloader: SpecReloader | None = None) -> None:
    """Serve a spec until SIGTERM or SIGINT.

    Args:
        spec: its secrets are resolved, its environment is applied, and its certificates can be read.
        reloader: the source of newer specs; None: the spec never changes.

    Raises:
        BindFailed: a port cannot be bound.
        ComponentFailed: the user's class could not be built; ``__cause__`` is its exception.
        TooFewFiles: the limit of open files is too low.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit != resource.RLIM_INFINITY and limit < _MIN_OPEN_FILES:
        raise TooFewFiles(f"the limit of open files is {limit} (ulimit -n): a server needs {_MIN_OPEN_FILES} or more")
    configure_logs(spec.server.log)
    with ServerSignals() as signals:
        sockets = bind_sockets(spec)
        try:
            _log_addresses(spec, sockets)
            if threading.current_thread() is threading.main_thread():
                from seldon_spec.observability.metrics import Segments
                from seldon_spec.process.supervisor import Supervisor

                Supervisor(spec, sockets, signals, Segments(spec.server.workers + 1), reloader).run()
            else:  # a process with several threads must not fork
                from seldon_spec.process.worker import WorkerContext, run_worker

                run_worker(WorkerContext(spec, sockets, signals, lambda message: logger.info("%s", message)))
        except Stopped:
            pass
        finally:
            sockets.close()
    logger.info("stopped")


def _log_addresses(spec: Spec, sockets: Sockets) -> None:
    host, scope = spec.server.host, ""
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared only
        host, scope = "localhost", " (all interfaces)"  # terminals open the URL
    scheme = "http" if spec.server.tls is None else "https"
    path = spec.unit.metrics_path
    logger.info("REST on %s://%s%s", scheme, show_address(host, port_of(sockets.http)), scope)
    logger.info("metrics on %s://%s%s%s", scheme, show_address(host, port_of(sockets.metrics)), path, scope)
    if sockets.grpc is not None:
        logger.info("gRPC on %s%s", show_address(host, port_of(sockets.grpc)), scope)
