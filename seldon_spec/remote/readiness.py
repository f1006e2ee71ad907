"""Polls a server until it is closed: whether it is ready, and the metadata of its model."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Any

from seldon_spec.errors import RequestError
from seldon_spec.remote.failures import limit_seconds
from seldon_spec.remote.server import Server

logger = logging.getLogger(__name__)

_INTERVAL_SECONDS = 1.0
_POLL_SECONDS = 5.0
_LIMIT_TEXT = f"no response to a readiness check within {_POLL_SECONDS:g} seconds"


class ReadinessMonitor:
    """Polls one server once a second, in a thread of its own.

    Args:
        name: of the component, for the log.
        server: to poll.

    Attributes:
        is_ready: whether the server was ready when it was last polled.
        state: the reason why it is not ready, or ``ready``.
        metadata: of the server's model; None: it has sent none since it is ready.
    """

    def __init__(self, name: str, server: Server) -> None:
        self.is_ready = False
        self.state = f"component {name} has not been polled yet"
        self.metadata: Mapping[str, Any] | None = None
        self._name = name
        self._server = server
        self._is_stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"seldon-spec-remote-{name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop polling; ``join`` waits for the end of the thread."""
        self._is_stopped.set()

    def join(self) -> None:
        """Wait until the thread has ended; the server has been closed, so that it does not wait for a response."""
        self._thread.join(_POLL_SECONDS)

    def _run(self) -> None:
        while not self._is_stopped.is_set():
            self._poll()
            self._is_stopped.wait(_INTERVAL_SECONDS)
        self.is_ready = False

    def _poll(self) -> None:
        try:
            self._server.check_ready(limit_seconds(_POLL_SECONDS, _LIMIT_TEXT))
        except RequestError as error:
            self._set_unready(str(error))
            return
        except Exception as error:  # the thread must not end
            logger.exception("component %s: the readiness check failed", self._name)
            self._set_unready(str(error))
            return
        if not self.is_ready:
            self._read_metadata()
            self.is_ready, self.state = True, "ready"
            logger.info("component %s: the server %s is ready", self._name, self._server.address)

    def _set_unready(self, reason: str) -> None:
        state = f"component {self._name} is not ready: {reason}"
        is_new = self.is_ready or self.state != state
        self.is_ready, self.state = False, state
        if is_new and not self._is_stopped.is_set():
            logger.warning("%s", state)

    def _read_metadata(self) -> None:
        try:
            found = self._server.read_metadata((), limit_seconds(_POLL_SECONDS, _LIMIT_TEXT))
        except RequestError as error:
            logger.warning("component %s: no metadata: %s", self._name, error)
            found = None
        self.metadata = found if isinstance(found, dict) else None
